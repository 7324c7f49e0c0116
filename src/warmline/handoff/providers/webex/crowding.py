"""Whether the organization has room for conversations (webex-byoc.md §15.2, ORG_DIGITAL_CONTACT_LIMIT_EXCEEDED)."""

from collections import deque

import structlog

_log = structlog.get_logger(__name__)

WITHIN_MS = 5 * 60_000
USUAL = 3
"""So many refusals within that time are borne in silence."""
_REMEMBERED_MS = 3600_000

CROWDED = (
    "The organization's limit of digital contacts is often reached: customers wait or are refused. "
    "Ask your Cisco team to raise it, or let agents close conversations sooner."
)


class LimitWatch:
    """Raises the alarm when conversations are refused again and again for want of room. Times are epoch ms."""

    def __init__(self, connection_id: str) -> None:
        self._connection_id = connection_id
        self._refused: deque[int] = deque(maxlen=USUAL + 1)
        self._alarmed_at = 0

    def refused(self, at: int) -> None:
        """A conversation was refused."""
        self._refused.append(at)
        if len(self._refused) <= USUAL or at - self._refused[0] > WITHIN_MS:
            return
        if at - self._alarmed_at > WITHIN_MS:
            _log.error("webex.contact_limit", connection_id=self._connection_id, refused=USUAL + 1, within_s=300)
        self._alarmed_at = at

    def warning(self, now: int) -> str:
        """What the operator should know; "" for nothing."""
        return CROWDED if self._alarmed_at and now - self._alarmed_at < _REMEMBERED_MS else ""
