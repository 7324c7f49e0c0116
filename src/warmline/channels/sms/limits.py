"""Bounds on what customers may send (messaging-protocol.md §17.4), counted in memory.

A restart forgets the counts, and that is meant: they bound what one customer costs, and a restart allows each of them
at most as much again as a minute does. Remembering would take a write for every text.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from warmline.ports import Clock

_SWEEP_AT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsLimits:
    """`messages` per `seconds` from one customer; `repeats` of one text in `repeat_s` block for `block_s` seconds.

    More than `project_messages` per `project_s` of one project wait.
    """

    messages: int = 10
    seconds: float = 60.0
    repeats: int = 5
    repeat_s: float = 300.0
    block_s: float = 600.0
    project_messages: int = 100
    project_s: float = 60.0


class Verdict(StrEnum):
    """What becomes of a text."""

    TAKEN = "taken"
    TOO_FAST = "too_fast"
    REPEATED = "repeated"
    BLOCKED = "blocked"
    """As before: the customer has been told."""


@dataclass(slots=True)
class _Sender:
    times: deque[float] = field(default_factory=deque)
    texts: deque[tuple[float, str]] = field(default_factory=deque)
    blocked_until: float = 0.0
    told: bool = False


class Limiter:
    """Judges the texts of every line, and how long those of a project must wait."""

    def __init__(self, limits: SmsLimits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._senders: dict[str, _Sender] = {}
        self._projects: dict[str, deque[float]] = {}

    def judge(self, line: str, text: str, at: int) -> Verdict:
        """Count a text of `line`; TOO_FAST and REPEATED are said once, what follows is BLOCKED.

        `at` is when it was sent (milliseconds), not when its turn came: an outage makes nobody hasty.
        """
        now, limits = at / 1000, self._limits
        self._sweep(now)
        sender = self._senders.setdefault(line, _Sender())
        if now < sender.blocked_until:
            return Verdict.BLOCKED
        _forget(sender.times, now - limits.seconds)
        if len(sender.times) >= limits.messages:
            told, sender.told = sender.told, True
            return Verdict.BLOCKED if told else Verdict.TOO_FAST
        sender.told = False
        sender.times.append(now)
        while sender.texts and sender.texts[0][0] <= now - limits.repeat_s:
            sender.texts.popleft()
        sender.texts.append((now, text.strip().casefold()))
        if sum(said == sender.texts[-1][1] for _, said in sender.texts) >= limits.repeats:
            sender.blocked_until = now + limits.block_s
            sender.texts.clear()
            return Verdict.REPEATED
        return Verdict.TAKEN

    def wait(self, project_id: str) -> float:
        """Count a text of the project; returns the seconds that it must wait, 0 for none."""
        now = self._clock.monotonic()
        times = self._projects.setdefault(project_id, deque())
        _forget(times, now - self._limits.project_s)
        if len(times) >= self._limits.project_messages:
            return times[0] + self._limits.project_s - now
        times.append(now)
        return 0.0

    def _sweep(self, now: float) -> None:
        if len(self._senders) < _SWEEP_AT:
            return
        old = now - max(self._limits.seconds, self._limits.repeat_s)
        for line, sender in list(self._senders.items()):
            if now >= sender.blocked_until and (not sender.times or sender.times[-1] < old):
                del self._senders[line]


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] <= before:
        times.popleft()
