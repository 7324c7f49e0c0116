"""What looking after an installation finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` tells what to do about it.

    `project_id` is whose it is, "" for what all share; `connection_id` is the connection that it is about.
    """

    level: Level
    subject: str
    text: str
    remedy: str = ""
    project_id: str = ""
    connection_id: str = ""


class LooksAfterSystem(Protocol):
    """Looks at a server that runs."""

    async def look(self) -> Sequence[Finding]:
        """Everything that is found, in a fixed order; quick enough to be asked again and again, and changes nothing."""
        ...
