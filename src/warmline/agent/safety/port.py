"""The port of a safety filter."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Direction(StrEnum):
    """Whose text is judged."""

    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a text is not let through: its category (`prompt_injection` besides those of projects) and who says so."""

    category: str
    judge: str


class SafetyFilter(Protocol):
    """Judges texts."""

    async def judge(self, text: str, levels: Mapping[str, str], direction: Direction) -> Verdict | None:
        """Judge a text; None lets it through.

        Args:
            text: what the customer or the agent says.
            levels: the enabled categories, each with its level: lenient, medium or strict.
            direction: whose text it is.

        Raises:
            SafetyUnavailable: it cannot be judged now.
        """
        ...


class SafetyUnavailable(Exception):
    """A filter cannot judge now; the message is for the operator."""
