"""The real sources of time and identifiers."""

import subprocess
import sys
import threading
import uuid

from warmline.system import SystemIds


def test_uuids_are_version_4_and_never_the_same_whatever_the_thread() -> None:
    ids = SystemIds()
    made: list[list[str]] = [[] for _ in range(4)]

    def make(into: list[str]) -> None:
        into.extend(ids.uuid() for _ in range(2_000))

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [one for into in made for one in into]
    assert len(set(everything)) == 8_000
    assert all(str(uuid.UUID(one)) == one and uuid.UUID(one).version == 4 for one in everything)


_FULL_COLLECTIONS = """
import gc
from warmline.system import make_full_collections_rare

make_full_collections_rare()
full = []
gc.callbacks.append(lambda phase, told: full.append(0) if (phase, told["generation"]) == ("stop", 2) else None)
kept = [[] for _ in range(300_000)]
soon = len(full)
kept += [[] for _ in range(600_000)]
print(soon, len(full), gc.get_freeze_count() > 10_000)
"""


def test_full_collections_are_rare_pass_over_the_start_and_are_not_switched_off() -> None:
    told = subprocess.run([sys.executable, "-c", _FULL_COLLECTIONS], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["0", "1", "True"]
