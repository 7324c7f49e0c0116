"""The one writer: every change of a session goes through `Conversations`."""

from collections.abc import Callable
from dataclasses import replace

import structlog

from warmline import telemetry
from warmline.conversation.presence import Presence
from warmline.domain import commands as c
from warmline.domain.decide import Decision, decide
from warmline.domain.effects import Arm, Disarm
from warmline.domain.errors import Overtaken
from warmline.domain.events import Custom, Recorded, SessionEnded
from warmline.domain.line import Line
from warmline.domain.messages import Attachment
from warmline.domain.session import Session
from warmline.domain.texting import IDLE
from warmline.ports import (
    Bus,
    Change,
    Clock,
    Committed,
    Connector,
    Ephemeral,
    Ids,
    InboxRow,
    Link,
    Poke,
    SessionInfo,
    Settlement,
    Store,
    StoredSession,
    TurnRecord,
)

_log = structlog.get_logger(__name__)


class Conversations:
    """Applies commands to sessions and tells everybody who must know, after the commit.

    `idle_s` is how long a session lives without a frame from its customer (messaging-protocol.md §3.6).
    """

    def __init__(self, store: Store, bus: Bus, clock: Clock, ids: Ids, *, idle_s: int = 600) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._ids = ids
        self.idle_ms = idle_s * 1000
        self._silence_counts_from = clock.now()
        self.presence = Presence(store, clock, self.idle_ms)
        self._watchers: list[Callable[[Committed], None]] = []

    def watch(self, callback: Callable[[Committed], None]) -> None:
        """Call `callback` after every commit that changed something. It must not block."""
        self._watchers.append(callback)

    async def start(
        self,
        info: SessionInfo,
        *,
        channel: str = "webchat.polyai",
        streaming: bool = False,
        line: Line | None = None,
        session_id: str = "",
    ) -> str:
        """Begin a session; returns its id (a UUID).

        Args:
            info: what is known about it.
            channel: a channel type (messaging-protocol.md §17.4).
            streaming: whether its customer's client takes messages in pieces.
            line: where its texts go, on SMS; it is then not abandoned because no client is there.
            session_id: "" makes a new one; one that exists already changes nothing.
        """
        session_id = session_id or self._ids.uuid()
        now = self._clock.now()
        command = c.StartSession(at=now, channel=channel, streaming=streaming, line=line, context_id=info.context_id)
        timers = () if line is not None else (Arm(kind=IDLE, due=now + self.idle_ms, handoff_id=""),)

        def begin(session: Session) -> Decision:
            return replace(decide(session, command), timers=timers)

        self.presence.began(session_id, now)
        await self._commit(Change(session_id=session_id, decide=begin, at=now, create=info))
        return session_id

    async def join(self, session_id: str, connector: Connector, custom: Custom | None = None) -> Committed:
        """Ask the virtual agent in."""
        return await self.apply(
            session_id,
            c.RequestJoin(
                at=self._clock.now(),
                agent_name=connector.agent_name,
                agent_avatar_url=connector.agent_avatar_url,
                custom=custom,
            ),
        )

    async def post(
        self,
        session_id: str,
        text: str,
        *,
        custom: Custom | None = None,
        client_ref: str = "",
        attachments: tuple[Attachment, ...] = (),
    ) -> Committed:
        """Accept a customer message. The same `client_ref` again returns the first one's events.

        Raises: SessionNotFound, StoreUnavailable; RuleViolation for attachments that nobody takes now.
        """
        command = c.PostUserMessage(
            at=self._clock.now(), message_id=self._ids.uuid(), text=text, custom=custom, attachments=attachments
        )
        with telemetry.begin("message.accept", command.message_id, session_id=session_id):
            return await self.apply(session_id, command, dedup_key=f"client:{client_ref}" if client_ref else "")

    async def end_by_user(self, session_id: str, custom: Custom | None = None) -> Committed:
        """The customer ends the session."""
        return await self.apply(session_id, c.EndByUser(at=self._clock.now(), custom=custom))

    async def abandon(self, session_id: str) -> Committed:
        """End a session that nobody is at."""
        return await self.apply(session_id, c.Abandon(at=self._clock.now()))

    async def apply(
        self,
        session_id: str,
        command: c.Command,
        *,
        dedup_key: str = "",
        settle: Settlement | None = None,
        inbox_done: int | None = None,
        inbox_row: InboxRow | None = None,
        link: Link | None = None,
        turn: TurnRecord | None = None,
        fence: tuple[int, int] | None = None,
        holds: Callable[[Session], bool] | None = None,
    ) -> Committed:
        """Apply any command, together with what must be true in the same transaction (see `ports.Change`).

        Raises Overtaken when `holds` is given and the session, as it is then, does not meet it.
        """
        return await self._commit(
            Change(
                session_id=session_id,
                decide=lambda session: _decide(session, command, holds),
                at=command.at,
                dedup_key=dedup_key,
                settle=settle,
                inbox_done=inbox_done,
                inbox_row=inbox_row,
                link=link,
                turn=turn,
                fence=fence,
            )
        )

    async def session(self, session_id: str) -> StoredSession | None:
        """The session as of its last commit."""
        return await self._store.session(session_id)

    async def events(self, session_id: str, after: int, limit: int = 1000) -> list[Recorded]:
        """The log above sequence `after`."""
        return await self._store.events(session_id, after, limit)

    def seen(self, session_id: str) -> None:
        """The customer's client is there: its inactivity counts from now."""
        self.presence.heard(session_id)

    def last_seen(self, session_id: str) -> int:
        """When its client was last heard by this node, milliseconds; at the earliest when silence began to count."""
        return max(self.presence.last_heard(session_id), self._silence_counts_from)

    def count_silence_anew(self) -> None:
        """Nobody could be heard until now: what is silence is known later."""
        self._silence_counts_from = self._clock.now()

    def show(self, session_id: str, kind: str, **payload: object) -> None:
        """Show something that is worth showing only now."""
        self._bus.send(Ephemeral(session_id=session_id, kind=kind, payload=payload))

    async def _commit(self, change: Change) -> Committed:
        with telemetry.part("store.commit"):
            committed = await self._store.transact(change)
        if committed.duplicate:
            return committed
        if committed.events:
            upto = committed.session.last_sequence
            self._bus.send(Poke(session_id=change.session_id, upto=upto, events=committed.events))
        if committed.session.ended:
            self.presence.ended(change.session_id)
        for watcher in self._watchers:
            try:
                watcher(committed)
            except Exception:
                _log.exception("conversation.watcher_failed", session_id=change.session_id)
        return committed


def _decide(session: Session, command: c.Command, holds: Callable[[Session], bool] | None) -> Decision:
    if holds is not None and not holds(session):
        raise Overtaken
    decision = decide(session, command)
    if decision.events and isinstance(decision.events[-1], SessionEnded):
        return replace(decision, timers=(*decision.timers, Disarm(kind=IDLE)))
    return decision
