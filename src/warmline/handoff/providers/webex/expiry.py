"""Warnings before the refresh token dies: past that day only a human can help (webex-byoc.md §5.5)."""

from datetime import UTC, datetime

import structlog

from warmline.handoff.providers.webex.tokens import REMEDY

_log = structlog.get_logger(__name__)

DAY_MS = 24 * 3600 * 1000
WARN_DAYS = (1, 7, 14, 30)


def stage(expires_at: int, now: int) -> int | None:
    """The smallest of `WARN_DAYS` within which it dies; 0: it is dead; None: later, or not known (`expires_at` 0)."""
    if not expires_at:
        return None
    if now >= expires_at:
        return 0
    return next((days for days in WARN_DAYS if expires_at - now <= days * DAY_MS), None)


def date_of(at: int) -> str:
    """A day in UTC, such as 2026-11-22."""
    return datetime.fromtimestamp(at / 1000, UTC).date().isoformat()


def warning(expires_at: int, now: int) -> str:
    """What the operator should know about the refresh token; "" for nothing."""
    reached = stage(expires_at, now)
    if reached is None:
        return ""
    if not reached:
        return f"The refresh token expired on {date_of(expires_at)}. {REMEDY}"
    days = "1 day" if reached == 1 else f"{reached} days"
    return f"The refresh token expires within {days}, on {date_of(expires_at)}. {REMEDY}"


class ExpiryWatch:
    """Logs each warning once."""

    def __init__(self, connection_id: str) -> None:
        self._connection_id = connection_id
        self._told: int | None = None

    def look(self, expires_at: int, now: int) -> str:
        """The warning as it is now."""
        reached = stage(expires_at, now)
        if reached != self._told and reached is not None:
            _log.warning(
                "webex.refresh_token_expires",
                connection_id=self._connection_id,
                within_days=reached,
                on=date_of(expires_at),
            )
        self._told = reached
        return warning(expires_at, now)
