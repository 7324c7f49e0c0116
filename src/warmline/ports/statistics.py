"""The part of the store that counts conversations and handoffs over a time, from the catalog."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A project's conversations that began from `since` to before `until`, milliseconds since the epoch.

    `step` is the length of one column of a chart, milliseconds. `sandbox`: count the environment "sandbox" too.
    """

    project_id: str
    since: int
    until: int
    step: int
    sandbox: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What began within one step from `at`."""

    at: int
    conversations: int
    handed_over: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How long something took, milliseconds; None when it never happened."""

    count: int
    p50: int | None
    p95: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The numbers of a period. `ended` counts conversations that are over, `contained` those of them without handoff.

    `outcomes` are (connection id, outcome, handoffs), "" being those under way; `reasons` are (reason, handoffs), the
    most frequent first. `accepted` and `joined` count from the wish for a human.
    """

    conversations: int
    ended: int
    contained: int
    messages: int
    columns: tuple[Column, ...]
    outcomes: tuple[tuple[str, str, int], ...]
    reasons: tuple[tuple[str, int], ...]
    accepted: Spread
    joined: Spread


class StatisticsStore(Protocol):
    """Counts."""

    async def statistics(self, period: Period) -> Statistics:
        """The numbers of a period."""
        ...
