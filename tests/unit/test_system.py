"""The real sources of time and identifiers."""

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
