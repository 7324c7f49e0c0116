"""Compares what was said with what arrived, per direction of a conversation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

WINDOW_MS = 300.0
"""So long news of the contact centre wait for earlier ones (docs/adr/0003)."""


@dataclass(slots=True)
class Count:
    """Messages of one direction.

    `late`: out of place because the server received them only after the window in which news are put in order.
    `held`: out of place because the node that had received them could not store them within that window, and said so
    to nobody yet, while another node stored what belongs behind them.
    `unconfirmed`: arrived again because the contact centre had not confirmed them when it was to be asked again.
    `stray`: arrived where nobody had said them.
    """

    said: int = 0
    arrived: int = 0
    lost: int = 0
    doubled: int = 0
    unconfirmed: int = 0
    reordered: int = 0
    late: int = 0
    held: int = 0
    stray: int = 0

    def add(self, other: "Count") -> None:
        """Add the counts of another conversation."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))

    @property
    def clean(self) -> bool:
        """Nothing was lost, doubled, out of order or in the wrong place."""
        return not (self.lost or self.doubled or self.reordered or self.stray)


def judge(
    said: Sequence[str],
    arrived: Sequence[str],
    received_ms: Mapping[str, float] | None = None,
    stored_ms: Mapping[str, float] | None = None,
    unconfirmed: Mapping[str, int] | None = None,
) -> Count:
    """Count one direction of one conversation.

    A message that comes later than the window after another that belongs behind it has lost its place, also towards
    what stands between them: that had to be shown before the other.

    Args:
        said: all messages in their right order; no two are equal.
        arrived: what the other side got, in the order in which they got it.
        received_ms: when the server first received a message for good, milliseconds; None: lateness is no excuse.
        stored_ms: when it was in the database, the same where nothing else is known.
        unconfirmed: how often a message had to be sent again for want of a confirmation.
    """
    place = {text: number for number, text in enumerate(said)}
    times = Counter(arrived)
    first = [text for text in dict.fromkeys(arrived) if text in place]
    again = {text: number - 1 for text, number in times.items() if text in place}
    excused = {text: min(number, (unconfirmed or {}).get(text, 0)) for text, number in again.items()}
    count = Count(
        said=len(said),
        arrived=len(first),
        lost=sum(text not in times for text in said),
        doubled=sum(again.values()) - sum(excused.values()),
        unconfirmed=sum(excused.values()),
        stray=sum(number for text, number in times.items() if text not in place),
    )
    for number, text in enumerate(first):
        overtakers = [other for other in first[:number] if place[other] > place[text]]
        if not overtakers:
            continue
        if all(place[other] <= _excused(text, overtakers, place, received_ms) for other in overtakers):
            count.late += 1
        elif all(place[other] <= _excused(text, overtakers, place, stored_ms) for other in overtakers):
            count.held += 1
        else:
            count.reordered += 1
    return count


def _excused(
    text: str, overtakers: Sequence[str], place: Mapping[str, int], times_ms: Mapping[str, float] | None
) -> int:
    """Up to which place the text may have been overtaken, because it came so late; -1: not at all."""
    if times_ms is None:
        return -1
    gaps = {other: times_ms[text] - times_ms[other] for other in overtakers}
    return max((place[other] for other, gap in gaps.items() if gap > WINDOW_MS), default=-1)
