"""Which rows may have been sent although this node knows nothing of it, and how long they wait for a confirmation."""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from warmline.delivery.cache import Cache
from warmline.domain.effects import ForwardMessage, SendBriefRest, SendText
from warmline.ports import Clock, OutboxRow

_REMEMBERED = 10_000


class Doubts:
    """What became of a row that was in somebody's hands is told by news, which may be late for reasons of our own.

    Args:
        wait_s: so long news of what was sent are waited for after such a reason.
    """

    def __init__(self, clock: Clock, wait_s: float) -> None:
        self._clock = clock
        self._wait_s = wait_s
        self._inherited: set[int] = set()
        """Partitions that became ours and were not read since."""
        self._interrupted: Cache[int, bool] = Cache(_REMEMBERED)
        """Rows that were in our hands when their partition went away."""
        self._deaf_until = -math.inf

    def moved(self, gained: Collection[int], lost: Collection[int]) -> None:
        """Partitions came or went."""
        self._inherited = (self._inherited - set(lost)) | set(gained)

    def was_read(self, partitions: Collection[int]) -> None:
        """What waits in these partitions is in memory."""
        self._inherited -= set(partitions)

    def interrupted(self, row: OutboxRow) -> None:
        """The row's partition went away while it was in our hands."""
        self._interrupted.put(row.id, True)

    def deaf(self) -> None:
        """News could not be taken in until now, here or elsewhere; the platform tells them again in a while."""
        self._deaf_until = self._clock.monotonic() + self._wait_s

    def marked(self, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
        """`rows`, just read, oldest first, with those as uncertain that somebody may have sent.

        Of a predecessor the first row of each stream may have been in flight when it died. Its handler looks for a
        confirmation before it sends again. The same goes for what was in our own hands when its partition went away.
        """
        wait_until = self._clock.now() + round(self._wait_s * 1000)
        seen: set[str] = set()
        marked: list[OutboxRow] = []
        for row in rows:
            first = row.partition in self._inherited and row.stream_key not in seen
            seen.add(row.stream_key)
            doubtful = first or self._interrupted.get(row.id)
            self._interrupted.forget(row.id)
            if doubtful and isinstance(row.effect, ForwardMessage | SendBriefRest | SendText):
                attempts, next_at = max(1, row.attempts), max(wait_until, row.next_at)
                row = replace(row, attempts=attempts, next_at=next_at, last_error=row.last_error or "interrupted")
            marked.append(row)
        return marked

    def given_time(self, row: OutboxRow) -> OutboxRow:
        """The row, due no sooner than what may confirm it had its time since news could not be taken in."""
        left_s = self._deaf_until - self._clock.monotonic()
        if left_s <= 0 or not row.attempts or not isinstance(row.effect, ForwardMessage):
            return row
        return replace(row, next_at=max(row.next_at, self._clock.now() + round(left_s * 1000)))
