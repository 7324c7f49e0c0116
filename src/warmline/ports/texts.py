"""The part of the store that the SMS channel needs. See `ports`."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from warmline.ports.records import Connection

TEXTS_ENDPOINT = "sms"
"""The endpoint of inbox rows that the SMS channel takes care of, not the inbox of the contact centres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState:
    """What is known about a customer's number and ours: the session it writes in ("": none), and its opt-out."""

    session_id: str = ""
    opted_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SentText:
    """A text that went out. `id` is that of its outbox row, `sid` the carrier's; `error` its code, "" for none.

    News with a `rank` that is not above what is known change nothing: they come in any order.
    """

    id: str
    connection_id: str
    session_id: str
    sid: str
    status: str
    rank: int
    at: int
    error: str = ""


class TextStore(Protocol):
    """Keeps connections that are for texts, lines, opt-outs and the fate of texts. Numbers are E.164."""

    async def text_connections(self) -> list[Connection]:
        """The connections of the SMS channel, whose providers begin with `sms_`; the oldest first, secrets opened."""
        ...

    async def line(self, connection_id: str, number: str, customer: str) -> LineState:
        """The line as it is; an unknown one has no session."""
        ...

    async def take_line(
        self, connection_id: str, number: str, customer: str, *, session_id: str, instead_of: str, at: int
    ) -> str:
        """Make `session_id` the line's session if it is still `instead_of`; returns which one it is now."""
        ...

    async def set_opted_out(self, connection_id: str, number: str, customer: str, *, opted_out: bool, at: int) -> None:
        """Remember that the customer wants no texts, or wants them again; durable when this returns."""
        ...

    async def save_text(self, text: SentText) -> bool:
        """Note what is known of a text; False: as much was known."""
        ...

    async def sent_text(self, text_id: str) -> SentText | None:
        """What is known of a text; None: nothing."""
        ...

    async def sent_texts(self, session_id: str) -> list[SentText]:
        """Those of a session, oldest first."""
        ...

    async def known_sids(self, sids: Collection[str]) -> set[str]:
        """Which of these the store has as sent texts."""
        ...
