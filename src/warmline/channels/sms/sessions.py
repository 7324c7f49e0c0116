"""Which session a line writes in (messaging-protocol.md §17.4)."""

import uuid

from warmline.channels.sms.configuration import Configurations
from warmline.conversation.service import Conversations
from warmline.domain.commands import RequestJoin
from warmline.domain.line import Line, line_key
from warmline.ports import Clock, Connection, SessionInfo, Store, StoredSession

CHANNEL = "sms.polyai"
"""Channel type of two-way SMS (messaging-protocol.md §17.4)."""

_SESSIONS = uuid.UUID("5d2d6f5c-6a26-4f0a-9a35-1a4c43b0c1de")
"""Namespace of session ids: the same cause never begins two sessions, also when it is processed again."""


class Sessions:
    """Finds and begins the sessions of lines."""

    def __init__(
        self, store: Store, conversations: Conversations, configurations: Configurations, clock: Clock
    ) -> None:
        self._store = store
        self._conversations = conversations
        self._configurations = configurations
        self._clock = clock

    def line(self, connection: Connection, number: str, customer: str) -> Line:
        """The line by the rules of now."""
        rules = self._configurations.rules(connection.project_id, number)
        return Line(
            connection_id=connection.id,
            number=number,
            customer=customer,
            mms=connection.values.get("mms") == "true",
            sentences=rules.sentences,
            silence_ms=rules.silence_ms,
            grace_ms=rules.grace_ms,
        )

    @staticmethod
    def id_of(connection: Connection, cause: str) -> str:
        """The id of the session that `cause` begins."""
        return str(uuid.uuid5(_SESSIONS, f"{connection.id}/{cause}"))

    async def current(self, connection_id: str, number: str, customer: str) -> StoredSession | None:
        """The line's session if it is not over."""
        known = await self._store.line(connection_id, number, customer)
        if not known.session_id:
            return None
        stored = await self._conversations.session(known.session_id)
        return None if stored is None or stored.session.ended is not None else stored

    async def begin(self, connection: Connection, line: Line, cause: str, *, instead_of: str) -> str:
        """A session for `line` begun by `cause` in the place of `instead_of`; returns the one the line has now."""
        session_id = self.id_of(connection, cause)
        info = SessionInfo(
            connector_id=connection.id,
            project_id=connection.project_id,
            subject=line_key(line.connection_id, line.number, line.customer),
            environment=connection.values.get("environment") or "live",
            variant=connection.values.get("variant", ""),
            platform="sms",
            caller_number=line.customer,
        )
        await self._conversations.start(info, channel=CHANNEL, line=line, session_id=session_id)
        return await self._store.take_line(
            line.connection_id,
            line.number,
            line.customer,
            session_id=session_id,
            instead_of=instead_of,
            at=self._clock.now(),
        )

    async def open(self, connection: Connection, line: Line, cause: str) -> StoredSession:
        """The line's session, a new one if there is none; the virtual agent is in it or asked in."""
        while True:
            known = await self._store.line(line.connection_id, line.number, line.customer)
            stored = await self._conversations.session(known.session_id) if known.session_id else None
            if stored is None or stored.session.ended is not None:
                session_id = await self.begin(connection, line, cause, instead_of=known.session_id)
                stored = await self._conversations.session(session_id)
            if stored is None or stored.session.ended is not None:
                # This very cause had its session, which is over: what is asked now needs another.
                cause = f"{cause}+"
                continue
            if not stored.session.joined:
                await self.join(connection, stored.session.id)
            return stored

    async def join(self, connection: Connection, session_id: str, *, greeting: str = "", greeting_id: str = "") -> None:
        """Ask the virtual agent in; with `greeting` that is what it says first."""
        command = RequestJoin(
            at=self._clock.now(),
            agent_name=connection.values.get("agent_name", ""),
            greeting=greeting,
            greeting_id=greeting_id,
        )
        await self._conversations.apply(session_id, command, dedup_key="greeting" if greeting else "")
