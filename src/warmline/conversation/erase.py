"""Erases a customer: finds what is theirs, ends what runs, deletes it everywhere."""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from warmline.agent.project.model import Project
from warmline.agent.turn.customers import customer_of
from warmline.agent.turn.memory import read_memory
from warmline.conversation.catalog import PACE_S
from warmline.conversation.retention import STEP
from warmline.conversation.service import Conversations
from warmline.domain import commands as c
from warmline.domain import texts
from warmline.domain.errors import SessionNotFound
from warmline.ports import Clock, Erasure, Store, StoredSession

_log = structlog.get_logger(__name__)

LIVE_SCRUB_BYTES = 32 << 20
"""Up to this size the file of a running server is written anew: nothing else is written meanwhile, also no webhook."""
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """What is known to be one customer's. `running` are those of `sessions` that have not ended.

    `handed_over` of them are with a contact centre now.
    """

    sessions: tuple[str, ...]
    running: tuple[str, ...]
    handed_over: int
    numbers: tuple[str, ...]
    remembered: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was deleted: rows by table. `scrubbed`: nothing of it is left in unused parts of the database's file.

    `unclosed` counts sessions whose contact centre could not be told in time that it is over.
    """

    sessions: int
    rows: Mapping[str, int]
    unclosed: int
    scrubbed: bool


class Eraser:
    """Erases customers.

    Args:
        project: the project of an id, as its files are; None for one that is not here any more.
        wait_s: how long the contact centre is given to hear that a conversation is over.
        scrub_bytes: up to which size the database's file is written anew (0: whatever it takes).
    """

    def __init__(
        self,
        store: Store,
        conversations: Conversations,
        clock: Clock,
        project: Callable[[str], Project | None],
        *,
        wait_s: float = 10.0,
        scrub_bytes: int = LIVE_SCRUB_BYTES,
    ) -> None:
        self._store = store
        self._conversations = conversations
        self._clock = clock
        self._project = project
        self._wait_s = wait_s
        self._scrub_bytes = scrub_bytes

    async def find(self, wanted: str) -> Customer | None:
        """The customer of a session id, a phone number (E.164) or a user identity; None when nothing is stored.

        A session's customer is who writes from its number, else who has its user identity. Programs that begin
        sessions for others have one identity for all; then it is the session alone.
        """
        stored = await self._store.session(wanted)
        if stored is not None:
            return await self._customer(wanted, stored.info.caller_number, stored.info.subject)
        if wanted.startswith("+"):
            return await self._customer("", wanted, "")
        return await self._customer("", "", wanted)

    async def _customer(self, session_id: str, number: str, subject: str) -> Customer | None:
        found = [session_id] if session_id else []
        if number:
            found += await self._store.sessions_of(number=number)
        elif _personal(subject):
            found += await self._store.sessions_of(subject=subject)
        sessions = [s for s in [await self._store.session(name) for name in dict.fromkeys(found)] if s is not None]
        numbers = {s.info.caller_number for s in sessions if s.info.caller_number} | ({number} if number else set())
        if not sessions and not numbers:
            return None
        running = [s for s in sessions if s.session.ended is None]
        return Customer(
            sessions=tuple(s.session.id for s in sessions),
            running=tuple(s.session.id for s in running),
            handed_over=sum(1 for s in running if s.session.active_handoff is not None),
            numbers=tuple(sorted(numbers)),
            remembered=tuple({key for s in sessions if (key := await self._remembered(s)) is not None}),
        )

    async def _remembered(self, stored: StoredSession) -> tuple[str, str] | None:
        """Under what the session's project remembers its customer."""
        info, project = stored.info, self._project(stored.info.project_id)
        if project is None:
            return None
        start = await self._store.turn_start(stored.session.id, "")
        memory = read_memory(start.memory)
        customer = customer_of(project, info.caller_number, info.integration_attributes, memory.texts)
        return (info.project_id, customer) if customer else None

    async def erase(self, customer: Customer) -> Erased:
        """End what runs, then delete everything. Raises StoreUnavailable; then it may be repeated."""
        for session_id in customer.running:
            await self._end(session_id)
        unclosed = await self._waited_for(customer.running)
        rows: Counter[str] = Counter()
        await self._delete(customer, rows)
        # What follows the logs, or was under way, may have written once more.
        await self._clock.sleep(PACE_S * 2)
        await self._delete(customer, rows)
        scrubbed = await self._store.scrub(most_bytes=self._scrub_bytes)
        _log.info("customer.erased", sessions=len(customer.sessions), unclosed=unclosed, scrubbed=scrubbed)
        return Erased(sessions=len(customer.sessions), rows=rows, unclosed=unclosed, scrubbed=scrubbed)

    async def _delete(self, customer: Customer, rows: Counter[str]) -> None:
        """In steps, between which others write."""
        for start in range(0, len(customer.sessions), STEP):
            rows.update(await self._store.erase(Erasure(sessions=customer.sessions[start : start + STEP])))
        rows.update(await self._store.erase(Erasure(numbers=customer.numbers, customers=customer.remembered)))

    async def _end(self, session_id: str) -> None:
        stored = await self._store.session(session_id)
        handoff = None if stored is None else stored.session.active_handoff
        now = self._clock.now()
        command: c.Command = c.TellCustomer(at=now, text=texts.ENDED_BY_OPERATOR, end=True)
        if handoff is not None:
            command = c.EndHandoff(at=now, handoff_id=handoff.id)
        try:
            await self._conversations.apply(session_id, command)
        except SessionNotFound:
            _log.info("customer.session_over_already", session_id=session_id)

    async def _waited_for(self, sessions: tuple[str, ...]) -> int:
        """Wait until nothing of these is on its way; returns of how many something still is."""
        left = list(sessions)
        for _ in range(max(1, round(self._wait_s / _LOOK_S))):
            left = [name for name in left if any(not dead for _, dead in await self._store.deliveries(name))]
            if not left:
                return 0
            await self._clock.sleep(_LOOK_S)
        return len(left)


def _personal(subject: str) -> bool:
    """An identity that was made for one customer's token, not a program's name for itself."""
    try:
        uuid.UUID(subject)
    except ValueError:
        return False
    return True
