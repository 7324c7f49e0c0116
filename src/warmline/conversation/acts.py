"""What an operator can do about a conversation: end a handoff, take it back, repair or drop a dead delivery."""

from collections.abc import Awaitable
from enum import StrEnum
from typing import Protocol

from warmline.conversation.service import Conversations
from warmline.domain import commands as c
from warmline.domain.effects import (
    CloseConversation,
    ForwardMessage,
    OpenConversation,
    ProviderEffect,
    RunTurn,
    SendBriefRest,
    SendText,
)
from warmline.domain.session import Handoff, Session
from warmline.ports import Clock, OutboxRow, Store, StoredSession

TEXTS_FOR_MS = 4 * 3_600_000
"""So long after it was written a text may still be sent (`channels.sms.SendSettings.send_for_s`)."""


class Hindrance(StrEnum):
    """Why a dead delivery cannot be tried again; NONE: it can."""

    NONE = ""
    GONE = "gone"
    """It was retried or discarded meanwhile."""
    SESSION_OVER = "session_over"
    HANDOFF_OVER = "handoff_over"
    ON_ITS_WAY = "on_its_way"
    NOT_KNOWN = "not_known"
    """The session does not know it as something that did not arrive."""
    OPENING_OVER = "opening_over"
    """Its handoff ended with it; the customer may ask for another one."""
    ANSWERED = "answered"
    TOO_OLD = "too_old"


class Revive(Protocol):
    """Tries a dead letter again (`delivery.outbox.Outbox.revive`)."""

    def __call__(self, row_id: int, *, at: int = 0) -> Awaitable[bool]:
        """Try it for as long as if it had been decided `at`; False when it is not dead any more."""
        ...


class Acts:
    """Carries out what operators decide. Every act is safe to repeat: the second time it changes nothing."""

    def __init__(self, store: Store, conversations: Conversations, clock: Clock, revive: Revive) -> None:
        self._store = store
        self._conversations = conversations
        self._clock = clock
        self._revive = revive

    async def end_handoff(self, session_id: str, handoff_id: str) -> bool:
        """End a handoff and its session; False when it was over. Raises SessionNotFound."""
        command = c.EndHandoff(at=self._clock.now(), handoff_id=handoff_id)
        return bool((await self._conversations.apply(session_id, command)).events)

    async def return_to_virtual_agent(self, session_id: str, handoff_id: str) -> bool:
        """End a handoff, and let the virtual agent go on; False when it was over. Raises SessionNotFound."""
        command = c.ReturnToVirtualAgent(at=self._clock.now(), handoff_id=handoff_id)
        return bool((await self._conversations.apply(session_id, command)).events)

    async def retry_message(self, session_id: str, handoff_id: str, message_id: str) -> bool:
        """Send a customer's message again of which they were told that it did not arrive; False: it is not such a one.

        Raises SessionNotFound.
        """
        command = c.RetryMessage(at=self._clock.now(), handoff_id=handoff_id, message_id=message_id)
        if not (await self._conversations.apply(session_id, command)).outbox:
            return False
        for row, dead in await self._store.deliveries(session_id):
            if dead and isinstance(row.effect, ForwardMessage) and row.effect.message_id == message_id:
                await self._store.discard(row.id)
        return True

    async def hindrance(self, row: OutboxRow) -> Hindrance:
        """Why this dead delivery cannot be tried again."""
        stored = await self._store.session(row.session_id)
        return Hindrance.SESSION_OVER if stored is None else hindrance(row, stored, self._clock.now())

    async def retry(self, row_id: int) -> Hindrance:
        """Try a dead delivery again.

        What the contact centre is to be told goes behind what waits for it, as a new effect; the rest is tried as it
        is. Nothing is sent that nobody wants any more: then the reason is returned and the delivery stays dead.
        """
        row = await self._store.dead_letter(row_id)
        if row is None:
            return Hindrance.GONE
        found = await self.hindrance(row)
        command = self._command(row)
        if command is None:
            if found is Hindrance.NONE and not await self._revive(row.id, at=self._counted_from(row)):
                return Hindrance.GONE
            return found
        if found is Hindrance.NONE:
            committed = await self._conversations.apply(row.session_id, command, dedup_key=f"retry/{row.id}")
            if not (committed.duplicate or committed.outbox):
                return Hindrance.HANDOFF_OVER
        elif found is not Hindrance.ON_ITS_WAY:
            return found
        await self._store.discard(row.id)
        return Hindrance.NONE

    async def discard(self, row_id: int) -> bool:
        """Drop a dead delivery; False when it was retried or discarded meanwhile."""
        return await self._store.discard(row_id)

    def _command(self, row: OutboxRow) -> c.Command | None:
        """The command that makes a new effect of it; None where the old one is as good as new."""
        effect, now = row.effect, self._clock.now()
        match effect:
            case ForwardMessage():
                return c.RetryMessage(at=now, handoff_id=effect.handoff_id, message_id=effect.message_id)
            case SendBriefRest():
                return c.ResendBriefPart(
                    at=now,
                    handoff_id=effect.handoff_id,
                    part=effect.part,
                    through=effect.through,
                    answered=effect.answered,
                    reason=effect.reason,
                )
            case _:
                return None

    def _counted_from(self, row: OutboxRow) -> int:
        # A text keeps its time: an earlier attempt is looked for at the carrier from then on.
        return 0 if isinstance(row.effect, SendText) else self._clock.now()


def hindrance(row: OutboxRow, stored: StoredSession, now: int) -> Hindrance:
    """Why a dead delivery of a session cannot be tried again at `now` (milliseconds since the epoch)."""
    session, effect = stored.session, row.effect
    match effect:
        case OpenConversation():
            return Hindrance.OPENING_OVER
        case CloseConversation():
            return Hindrance.NONE
        case SendText():
            return Hindrance.TOO_OLD if now - row.created_at > TEXTS_FOR_MS else Hindrance.NONE
        case RunTurn():
            return Hindrance.NONE if session.wants(effect) else Hindrance.ANSWERED
        case ForwardMessage():
            return _of_message(session, effect)
        case SendBriefRest():
            return Hindrance.NONE if _handoff(session, effect) is not None else _over(session)
        case _:
            return Hindrance.NOT_KNOWN


def _of_message(session: Session, effect: ForwardMessage) -> Hindrance:
    handoff = _handoff(session, effect)
    if handoff is None:
        return _over(session)
    if any(m.message_id == effect.message_id for m in handoff.failed):
        return Hindrance.NONE
    waits = any(m.message_id == effect.message_id for m in handoff.undelivered)
    return Hindrance.ON_ITS_WAY if waits else Hindrance.NOT_KNOWN


def _handoff(session: Session, effect: ProviderEffect) -> Handoff | None:
    handoff = session.active_handoff
    return handoff if handoff is not None and handoff.id == effect.handoff_id else None


def _over(session: Session) -> Hindrance:
    return Hindrance.SESSION_OVER if session.ended else Hindrance.HANDOFF_OVER
