"""Whether this node has been told of everything that came before."""

import itertools

from warmline.delivery.cache import Cache
from warmline.domain.effects import SendText
from warmline.ports import Committed, OutboxRow

_REMEMBERED = 100_000


class Continuity:
    """Follows the sequences of sessions: where one is missing, another node wrote, perhaps rows of the outbox.

    Those rows are in the store only. Without this, a later row that this node writes itself would overtake them.
    """

    def __init__(self) -> None:
        self._sessions: Cache[str, tuple[int, int]] = Cache(_REMEMBERED)
        """Last sequence seen, and the number of the last gap; 0: seen from its beginning without a gap."""
        self._looked_up: Cache[str, int] = Cache(_REMEMBERED)
        """Streams and the number of the gap after which they were read from the store."""
        self._gaps = itertools.count(1)

    def observe(self, committed: Committed) -> None:
        """A change was committed here."""
        session = committed.session
        before = session.last_sequence - len(committed.events)
        known = self._sessions.get(session.id) if before else (0, 0)
        gap = known[1] if known is not None and known[0] == before else next(self._gaps)
        self._sessions.put(session.id, (session.last_sequence, gap))

    def next_in_line(self, row: OutboxRow) -> bool:
        """All earlier rows of the row's stream were seen. If not, its stream must be read from the store now."""
        known = self._sessions.get(row.session_id)
        gap = next(self._gaps) if known is None else known[1]
        # A customer's texts are one stream over all their sessions: what another node wrote may be of an earlier one.
        shared = isinstance(row.effect, SendText)
        stream = f"{row.stream_key}/{row.session_id}" if shared else row.stream_key
        if (gap == 0 and not shared) or self._looked_up.get(stream) == gap:
            return True
        self._looked_up.put(stream, gap)
        return False
