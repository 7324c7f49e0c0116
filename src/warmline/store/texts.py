"""Lines, opt-outs and sent texts in SQL; the same for both dialects."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any

from warmline.ports import LineState, SentText

_LINE = "SELECT session_id, opted_out_at FROM sms_lines WHERE connection_id = $1 AND number = $2 AND customer = $3"
_TAKE_LINE = """
    INSERT INTO sms_lines (connection_id, number, customer, session_id, opted_out_at, updated_at)
    VALUES ($1, $2, $3, $4, 0, $5)
    ON CONFLICT (connection_id, number, customer) DO UPDATE
    SET session_id = excluded.session_id, updated_at = excluded.updated_at WHERE sms_lines.session_id = $6"""
_SET_OPTED_OUT = """
    INSERT INTO sms_lines (connection_id, number, customer, session_id, opted_out_at, updated_at)
    VALUES ($1, $2, $3, '', $4, $5)
    ON CONFLICT (connection_id, number, customer) DO UPDATE
    SET opted_out_at = excluded.opted_out_at, updated_at = excluded.updated_at"""

_TEXT = "id, connection_id, session_id, sid, status, rank, at, error"
_SAVE_TEXT = f"""
    INSERT INTO sms_texts ({_TEXT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (id) DO UPDATE
    SET sid = excluded.sid, status = excluded.status, rank = excluded.rank, at = excluded.at, error = excluded.error
    WHERE excluded.rank > sms_texts.rank RETURNING id"""
_SENT_TEXT = f"SELECT {_TEXT} FROM sms_texts WHERE id = $1"
_SENT_TEXTS = f"SELECT {_TEXT} FROM sms_texts WHERE session_id = $1 ORDER BY CAST(id AS bigint)"
_KNOWN_SIDS = "SELECT sid FROM sms_texts WHERE sid = ANY($1)"


class TextsSql(ABC):
    """Implements `ports.TextStore` on reading and executing statements."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def line(self, connection_id: str, number: str, customer: str) -> LineState:
        """The line as it is."""
        for session_id, opted_out_at in await self._read(_LINE, connection_id, number, customer):
            return LineState(session_id=session_id, opted_out=opted_out_at > 0)
        return LineState()

    async def take_line(
        self, connection_id: str, number: str, customer: str, *, session_id: str, instead_of: str, at: int
    ) -> str:
        """Make this the line's session if it is still the one expected."""
        key = (connection_id, number, customer)
        _, rows = await self._execute((_TAKE_LINE, (*key, session_id, at, instead_of)), (_LINE, key))
        return str(rows[0][0])

    async def set_opted_out(self, connection_id: str, number: str, customer: str, *, opted_out: bool, at: int) -> None:
        """Remember an opt-out, or forget it."""
        await self._execute((_SET_OPTED_OUT, (connection_id, number, customer, at if opted_out else 0, at)))

    async def save_text(self, text: SentText) -> bool:
        """Insert, or replace what is older."""
        t = text
        row = (t.id, t.connection_id, t.session_id, t.sid, t.status, t.rank, t.at, t.error)
        (rows,) = await self._execute((_SAVE_TEXT, row))
        return bool(rows)

    async def sent_text(self, text_id: str) -> SentText | None:
        """What is known of a text."""
        return next((_text(row) for row in await self._read(_SENT_TEXT, text_id)), None)

    async def sent_texts(self, session_id: str) -> list[SentText]:
        """Those of a session, oldest first."""
        return [_text(row) for row in await self._read(_SENT_TEXTS, session_id)]

    async def known_sids(self, sids: Collection[str]) -> set[str]:
        """Which of these are known."""
        return {sid for (sid,) in await self._read(_KNOWN_SIDS, list(sids))} if sids else set()


def _text(row: Sequence[Any]) -> SentText:
    names = ("id", "connection_id", "session_id", "sid", "status", "rank", "at", "error")
    return SentText(**dict(zip(names, row, strict=True)))
