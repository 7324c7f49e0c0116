"""The worker's loop: read a request, run the function, write the reply. One request at a time."""

import contextlib
import faulthandler
import os
import resource
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from warmline.agent.turn import protocol
from warmline.agent.turn.worker.runner import Runner


def main() -> None:
    """Serve requests from standard input until it ends."""
    requests, replies = _private_pipes()
    setup = _read(requests)
    if not isinstance(setup, protocol.Setup):
        raise SystemExit("the first frame must be the setup")
    _limit_resources(setup.memory_mb)
    runner = Runner(setup)
    _write(replies, protocol.Reply())
    owner = os.getpid()
    while (request := _read(requests)) is not None:
        with _time_limit(request):
            reply = runner.run(request)
        if os.getpid() != owner:
            # A function forked: the copy must never speak to the engine.
            os._exit(0)
        reply.spent = reply.spent or _left_something_running()
        _write(replies, reply)


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the engine's pipes out of the project's reach: its own 0 and 1 lead nowhere."""
    requests, replies = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb")


def _limit_resources(memory_mb: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 1024 * 1024,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The server's own loop comes first on a busy machine.
    os.nice(5)


@contextlib.contextmanager
def _time_limit(request: protocol.Request) -> Iterator[None]:
    """End the process, with the place in the source on standard error, when the limit passes.

    The engine kills late workers too; this one also works when the engine is gone, and tells the line.
    """
    limit = getattr(request, "limit_s", 0)
    if limit:
        faulthandler.dump_traceback_later(limit, exit=True, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _left_something_running() -> bool:
    if threading.active_count() > 1:
        return True
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _read(stream: BinaryIO) -> protocol.Request | None:
    header = stream.read(protocol.HEADER)
    if len(header) < protocol.HEADER:
        return None
    return protocol.read_request(stream.read(int.from_bytes(header, "big")))


def _write(stream: BinaryIO, reply: protocol.Reply) -> None:
    stream.write(protocol.frame(reply))
    stream.flush()


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry) != Path.cwd()]
    main()
