"""What a group commit does, without a database: from requests and what was read to the rows to write.

A batch is handled in four steps: every request names what it needs (`ask`); the store reads that in a few
set-based queries (`Known`); every request is planned in order on the sessions in memory (`plan`); the store
writes all rows at once. A request that cannot be planned raises, and leaves no trace in the plan.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from warmline.domain.decide import NOTHING
from warmline.domain.effects import Arm, Effect, TimerChange, stream_key
from warmline.domain.errors import LeaseLost, RuleViolation, SessionNotFound
from warmline.domain.events import Event, MessageReceived, Recorded, UserMessage
from warmline.domain.session import Session, evolve
from warmline.ports import (
    Change,
    Committed,
    Ids,
    InboxRow,
    Link,
    OutboxRow,
    Settlement,
    Timer,
    TurnRecord,
    partition_of,
)
from warmline.ports.uses import DAY_MS, counted_name
from warmline.store import codec, sql

T_co = TypeVar("T_co", covariant=True)
Values = tuple[object, ...]


@dataclass(slots=True)
class Needs:
    """What must be read before a batch can be planned."""

    sessions: set[str] = field(default_factory=set)
    changes: set[tuple[str, str]] = field(default_factory=set)
    """(session, dedup key) that may have been seen."""
    partitions: set[int] = field(default_factory=set)
    outbox: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Known:
    """What was read. `seen` maps (session, dedup key) to the events of the first time."""

    sessions: dict[str, Session] = field(default_factory=dict)
    seen: dict[tuple[str, str], tuple[Recorded, ...]] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    unsettled: set[int] = field(default_factory=set)

    def add_seen(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take the rows of `sql.SEEN_…`: one per event, or one without event for a change that had none."""
        for session_id, dedup_key, *event in rows:
            before = self.seen.get((session_id, dedup_key), ())
            found = () if event[0] is None else (codec.decode_recorded(*event),)
            self.seen[session_id, dedup_key] = before + found


@dataclass(slots=True)
class RowIds:
    """Ids that the database gave: those of `Plan.effects`, and those of new webhooks by (connection, key)."""

    effects: list[int] = field(default_factory=list)
    webhooks: dict[tuple[str, str], int] = field(default_factory=dict)


Reply = Callable[[RowIds], T_co]
"""Makes a request's result once its rows are written."""


class Request(Protocol[T_co]):
    """Something that wants to join a group commit."""

    def ask(self, needs: Needs) -> None:
        """Add what must be read first."""
        ...

    def plan(self, plan: "Plan") -> Reply[T_co]:
        """Put rows into the plan. Raises what the caller shall get, before it has put any."""
        ...


class SessionCache:
    """The sessions used last, as of their last commit."""

    def __init__(self, limit: int = 4096) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._limit = limit

    def get(self, session_id: str) -> Session | None:
        """The session if it is here."""
        session = self._sessions.get(session_id)
        if session is not None:
            self._sessions.move_to_end(session_id)
        return session

    def update(self, sessions: Mapping[str, Session]) -> None:
        """Remember these."""
        for session_id, session in sessions.items():
            self._sessions[session_id] = session
            self._sessions.move_to_end(session_id)
        while len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)

    def forget(self, session_ids: Iterable[str]) -> None:
        """Forget these."""
        for session_id in session_ids:
            self._sessions.pop(session_id, None)

    def clear(self) -> None:
        """Forget all: what is stored may be other than what is here."""
        self._sessions.clear()


class Plan:
    """The rows that a batch writes, and the sessions as they will be."""

    def __init__(self, known: Known, ids: Ids) -> None:
        self.known = known
        self.changed: dict[str, Session] = {}
        """Sessions that are other than they were read."""
        self.effects: list[Values] = []
        """Rows of `sql.NEW_EFFECT`."""
        self.webhooks: dict[tuple[str, str], Values] = {}
        """Rows of `sql.NEW_WEBHOOK` by (connection, key)."""
        self.uuid = ids.uuid
        self._rows: dict[tuple[str, Values], tuple[sql.Write, Values]] = {}

    def put(self, write: sql.Write, *row: object) -> None:
        """Write this row. A later write of the same row of a table replaces an earlier one."""
        key = (write.table, row[: write.keys])
        if write.weak and key in self._rows and self._rows[key][0] is not write:
            return
        if write is sql.SNAPSHOT and (begun := self._rows.get(key)) and begun[0] is sql.NEW_SESSION:
            session_id, info, _, _, created_at, _ = begun[1]
            write, row = sql.NEW_SESSION, (session_id, info, row[1], row[2], created_at, row[3])
        self._rows[key] = (write, row)

    def writes(self) -> dict[sql.Write, list[Values]]:
        """All rows except new effects and webhooks, by what writes them."""
        grouped: dict[sql.Write, list[Values]] = {}
        for write, row in self._rows.values():
            grouped.setdefault(write, []).append(row)
        return grouped


@dataclass(frozen=True, slots=True)
class Put:
    """A request to write one row whatever else is."""

    write: sql.Write
    row: Values

    def ask(self, needs: Needs) -> None:
        """It needs nothing."""

    def plan(self, plan: Plan) -> Reply[None]:
        """Put the row."""
        plan.put(self.write, *self.row)
        return _nothing


def _nothing(ids: RowIds) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Accept:
    """A request to store a webhook; gives the row's id, None for a duplicate."""

    row: InboxRow

    def ask(self, needs: Needs) -> None:
        """It needs nothing: the table's unique key decides."""

    def plan(self, plan: Plan) -> Reply[int | None]:
        """Put the row unless this batch has its key already."""
        row = self.row
        key = (row.connection_id, row.key)
        if key in plan.webhooks:
            return _nothing
        plan.webhooks[key] = (
            row.connection_id,
            row.endpoint,
            row.key,
            row.remote_id,
            row.received_at,
            row.event_at,
            row.body,
            row.partition,
            row.rank,
            row.hold,
            row.terminal,
        )
        return lambda ids: ids.webhooks.get(key)


@dataclass(frozen=True, slots=True)
class Apply:
    """A request to apply a change of a session."""

    change: Change

    def ask(self, needs: Needs) -> None:
        """The session, whether it has seen the change, and what fences the settlement."""
        change = self.change
        needs.sessions.add(change.session_id)
        if change.dedup_key and "\0" not in change.dedup_key:
            needs.changes.add((change.session_id, change.dedup_key))
        if change.settle is not None:
            needs.partitions.add(change.settle.partition)
            needs.outbox.add(change.settle.row_id)
        if change.fence is not None:
            needs.partitions.add(change.fence[0])

    def plan(self, plan: Plan) -> Reply[Committed]:
        """Decide and put the rows. Raises LeaseLost, SessionNotFound, and whatever `decide` raises."""
        change, known = self.change, plan.known
        if "\0" in change.dedup_key:
            raise RuleViolation("invalid_dedup_key", "a client reference must not contain the character NUL")
        if change.settle is not None:
            _check_fence(change.settle, known)
        if change.fence is not None and known.epochs.get(change.fence[0]) != change.fence[1]:
            raise LeaseLost
        session = known.sessions.get(change.session_id)
        if session is None and change.create is None:
            raise SessionNotFound
        before = session or Session(id=change.session_id)
        seen = (change.session_id, change.dedup_key)
        if change.dedup_key and seen in known.seen:
            first_time = known.seen[seen]
            _settle(plan, change)
            return lambda ids: Committed(session=before, events=first_time, duplicate=True)

        decision = change.decide(before) if change.decide is not None else NOTHING
        after, events = _record(before, decision.events, change.at, plan.uuid)
        effects = [_place(before.id, effect) for effect in decision.effects]
        rows = _encode(change, session is None, after, events) + _masked(before, events)

        for write, row in rows:
            plan.put(write, *row)
        if change.dedup_key:
            plan.put(sql.SEEN_CHANGE, *seen, before.last_sequence + 1, after.last_sequence)
            known.seen[seen] = events
        known.sessions[after.id] = plan.changed[after.id] = after
        start = len(plan.effects)
        plan.effects.extend(e.values(after.id, change.at) for e in effects)
        timers = tuple(_set_timer(plan, after.id, timer) for timer in decision.timers)
        _settle(plan, change)
        if (webhook := change.inbox_row) is not None:
            place = (webhook.connection_id, webhook.key, webhook.endpoint, webhook.remote_id)
            times = (webhook.received_at, webhook.event_at)
            plan.put(sql.SETTLED_WEBHOOK, *place, *times, b"", webhook.partition, "done")

        def reply(ids: RowIds) -> Committed:
            given = ids.effects[start : start + len(effects)]
            outbox = tuple(e.row(row_id, after.id, change.at) for e, row_id in zip(effects, given, strict=True))
            return Committed(session=after, events=events, outbox=outbox, timers=timers)

        return reply


def _encode(change: Change, new: bool, after: Session, events: tuple[Recorded, ...]) -> list[tuple[sql.Write, Values]]:
    """Everything that can fail for what it contains, before any of it is in the plan."""
    rows: list[tuple[sql.Write, Values]] = []
    if new:
        info = codec.encode(change.create)
        created = (after.id, info, codec.encode(after), after.last_sequence, change.at, change.at)
        rows.append((sql.NEW_SESSION, created))
    elif events:
        rows.append((sql.SNAPSHOT, (after.id, codec.encode(after), after.last_sequence, change.at)))
    for recorded in events:
        event = recorded.event
        row = (after.id, recorded.sequence, recorded.id, recorded.at, codec.tag(event), codec.encode(event))
        rows.append((sql.EVENT, row))
    if change.link is not None:
        rows.append((sql.SAVE_LINK, link_row(change.link)))
    if change.turn is not None:
        rows.append((sql.TURN_DONE, (after.id, change.turn.turn_id, change.turn.record)))
        rows.append((sql.MEMORY, (after.id, change.turn.memory)))
        rows.extend(_used(change, change.turn))
    return rows


def _used(change: Change, turn: TurnRecord) -> list[tuple[sql.Write, Values]]:
    if not turn.topic:
        return []
    partition = change.settle.partition if change.settle is not None else 0
    topic, day = counted_name(turn.topic), change.at // DAY_MS
    return [
        (sql.TOPIC_USED, (turn.project_id, day, topic, partition, change.at, change.session_id, turn.turn_id)),
    ]


def _masked(before: Session, events: tuple[Recorded, ...]) -> list[tuple[sql.Write, Values]]:
    """What replaces customer messages that a platform has masked: their first text is stored nowhere any more."""
    rows: list[tuple[sql.Write, Values]] = []
    for recorded in events:
        match recorded.event:
            case MessageReceived(message_id=message_id, stored_text=str(text)) if before.handoff is not None:
                for message in before.handoff.undelivered:
                    if message.message_id == message_id:
                        body = UserMessage(
                            message_id=message_id, text=text, custom=message.custom, attachments=message.attachments
                        )
                        rows.append((sql.MASKED_EVENT, (before.id, message.sequence, codec.encode(body))))
            case _:
                pass
    return rows


@dataclass(frozen=True, slots=True)
class _Placed:
    """An effect with its place in the outbox."""

    effect: Effect
    body: str
    stream_key: str
    partition: int

    def values(self, session_id: str, at: int) -> Values:
        """A row of `sql.NEW_EFFECT`."""
        return (self.partition, self.stream_key, session_id, codec.tag(self.effect), self.body, at)

    def row(self, row_id: int, session_id: str, at: int) -> OutboxRow:
        return OutboxRow(
            id=row_id,
            partition=self.partition,
            stream_key=self.stream_key,
            session_id=session_id,
            effect=self.effect,
            created_at=at,
        )


def _place(session_id: str, effect: Effect) -> _Placed:
    key = stream_key(session_id, effect)
    return _Placed(effect, codec.encode(effect), key, partition_of(key))


def _record(
    session: Session, events: tuple[Event, ...], at: int, uuid: Callable[[], str]
) -> tuple[Session, tuple[Recorded, ...]]:
    recorded: list[Recorded] = []
    for event in events:
        recorded.append(Recorded(sequence=session.last_sequence + 1, id=uuid(), at=at, event=event))
        session = evolve(session, recorded[-1])
    return session, tuple(recorded)


def _check_fence(settle: Settlement, known: Known) -> None:
    if known.epochs.get(settle.partition) != settle.epoch or settle.row_id not in known.unsettled:
        raise LeaseLost


def _settle(plan: Plan, change: Change) -> None:
    if (settle := change.settle) is not None:
        plan.known.unsettled.discard(settle.row_id)
        if settle.dead:
            plan.put(sql.DEAD_LETTER, settle.row_id, "dead", settle.error)
        else:
            plan.put(sql.DELIVERED, settle.row_id)
            if (late := settle.late) is not None:
                tried = (late.kind, late.message_id, late.attempts, late.error)
                plan.put(sql.LATE, settle.row_id, change.session_id, *tried, late.created_at, late.delivered_at)
    if change.inbox_done is not None:
        plan.put(sql.WEBHOOK_DONE, change.inbox_done, "done", b"")


def _set_timer(plan: Plan, session_id: str, change: TimerChange) -> Timer | str:
    key = f"{session_id}/{change.kind}"
    if not isinstance(change, Arm):
        plan.put(sql.DISARM, key)
        return key
    timer = Timer(key=key, session_id=session_id, kind=change.kind, due=change.due, handoff_id=change.handoff_id)
    plan.put(sql.ARM, key, session_id, timer.kind, timer.due, timer.handoff_id)
    return timer


def link_row(link: Link) -> Values:
    """The row of `sql.SAVE_LINK`. Raises TypeError when `data` is not JSON-able."""
    return (link.handoff_id, link.session_id, link.connection_id, link.remote_id, codec.encode(link.data))
