"""The start of a template: takes the engine's socket from standard input and serves it."""

import os
import sys
from pathlib import Path

from warmline.agent.turn.worker import guard
from warmline.agent.turn.worker.template import Template
from warmline.agent.turn.worker.wire import Wire


def main() -> None:
    """Serve the engine until it is gone."""
    # A process group of its own, in the session of the server: keys pressed in its terminal end the server only,
    # and the niceness of functions counts against it (see sched_autogroup_enabled in sched(7)).
    os.setpgid(0, 0)
    control, last_words = os.dup(0), os.dup(2)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    guard.speak_last_words(last_words)
    Template(Wire(control), last_words).serve()


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry) != Path.cwd()]
    main()
