"""How the demo whose data lie in a folder was started last: commands that work on it need its address and project."""

from pathlib import Path

import msgspec

_FILE = "started.json"


class Started(msgspec.Struct, frozen=True):
    """The options of `warmline demo`; `project` is a folder, "" that of the example."""

    port: int = 8080
    project: str = ""


def remember(data: Path, started: Started) -> None:
    """Write it into the demo's data folder."""
    (data / _FILE).write_bytes(msgspec.json.encode(started))


def last_start(data: Path) -> Started:
    """What was written last; the defaults where nothing was, or nothing that can be read."""
    try:
        return msgspec.json.decode((data / _FILE).read_bytes(), type=Started)
    except (FileNotFoundError, msgspec.DecodeError):
        return Started()
