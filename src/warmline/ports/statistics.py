"""The part of the store that counts conversations and handoffs over a time, from the catalog."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

HOUR_MS = 3_600_000
COUNTED_DAYS = 31
"""So many days back are counted for good, hour by hour: as long a time as anybody asks for."""


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
    most frequent first. `accepted` and `joined` count from the wish for a human,
    and are exact up to 200 ms, then rounded up by at most a twentieth.
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


class Leg(StrEnum):
    """A way that a message takes."""

    UP = "up"
    """From the customer to the contact centre: from the moment it was accepted here until it was there."""
    DOWN = "down"
    """What a contact centre tells: from the moment its webhook came until it was in the conversation."""
    FAILED = "failed"
    """A customer's message that could not be delivered, from when it was accepted until it was given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayCount:
    """So many messages took the same time in an hour (hours since the epoch): at most 2 ^ (`bucket` / 4) ms."""

    connection_id: str
    hour: int
    leg: Leg
    bucket: int
    messages: int


class StatisticsStore(Protocol):
    """Counts."""

    async def add_relay_counts(self, counts: Sequence[RelayCount]) -> None:
        """Add to what was counted."""
        ...

    async def relay_spreads(
        self, connections: Sequence[str], *, since: int, until: int
    ) -> dict[tuple[str, Leg], Spread]:
        """By connection and leg, for the hours that touch the time from `since` to before `until` (epoch ms)."""
        ...

    async def forget_relay_counts(self, *, before: int) -> int:
        """Forget hours that were over before that time (epoch ms); returns how many counts."""
        ...

    async def statistics(self, period: Period) -> Statistics:
        """The numbers of a period. Hours that were counted for good are not counted again."""
        ...

    async def count_hours(self, project_id: str, *, until: int) -> int:
        """Count some of the last `COUNTED_DAYS` days' hours that are over by `until` (epoch ms), the newest first.

        What changes in an hour later takes its counts away. Gives how many hours are left to be counted.
        """
        ...

    async def forget_hours(self, *, before: int) -> int:
        """Forget counts of hours before that time (epoch ms), not what was counted; returns how many."""
        ...
