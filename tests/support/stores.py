"""Opens stores for tests and makes the usual changes in them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from warmline.domain import commands as c
from warmline.domain.decide import decide
from warmline.domain.events import Recorded
from warmline.domain.messages import Say
from warmline.domain.session import Session, evolve
from warmline.domain.turn import HandoffRequest, TurnKind, TurnOutcome
from warmline.ports import Change, Committed, Ids, OutboxRow, SessionInfo, Settlement, Store
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemIds

INFO = SessionInfo(connector_id="connector", project_id="project", subject="user")
KEY = "a-key-of-at-least-16-characters"
NODE = "node-a"
TTL_MS = 10_000


@asynccontextmanager
async def opened(
    url: str, ids: Ids | None = None, key: str = KEY, *, previous: Sequence[str] = (), reading: bool = False
) -> AsyncIterator[Store]:
    """A started store, closed at the end."""
    store = open_store(url, ids or SystemIds(), AesSecretBox(key, previous), reading=reading)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def change(session_id: str, command: c.Command, **more: object) -> Change:
    """A change that decides `command` with the domain's own rules."""
    return Change(session_id=session_id, decide=lambda s: decide(s, command), at=command.at, **more)  # type: ignore[arg-type]


async def begin(store: Store, session_id: str, *, at: int = 1) -> Committed:
    """A new session that the virtual agent has joined."""
    await store.transact(change(session_id, c.StartSession(at=at, channel="webchat.polyai"), create=INFO))
    return await store.transact(change(session_id, c.RequestJoin(at=at, agent_name="Lumi")))


async def post(store: Store, session_id: str, text: str, *, key: str = "", at: int = 2) -> Committed:
    """The customer writes `text`; its message id is `key` or the text."""
    command = c.PostUserMessage(at=at, message_id=key or text, text=text)
    return await store.transact(change(session_id, command, dedup_key=key))


def hand_off(session_id: str, handoff_id: str, *, at: int = 3) -> Change:
    """The virtual agent hands over: gives effects of a provider's stream and a timer."""
    outcome = TurnOutcome(says=(Say(text="One moment."),), handoff=HandoffRequest(integration="webex_integration"))
    plan = c.HandoffPlan(handoff_id=handoff_id, connection_id="connection", provider="webex", queue_timeout_s=60)
    command = c.ApplyTurn(at=at, kind=TurnKind.START, outcome=outcome, message_ids=(f"{handoff_id}-says",), plan=plan)
    return change(session_id, command)


def settlement(row: OutboxRow, epochs: Mapping[int, int], **more: object) -> Settlement:
    """What settles `row` under the leases in `epochs`."""
    return Settlement(row_id=row.id, partition=row.partition, epoch=epochs[row.partition], **more)  # type: ignore[arg-type]


def fold(session_id: str, events: list[Recorded]) -> Session:
    """The session that a log amounts to; raises on a gap."""
    session = Session(id=session_id)
    for recorded in events:
        session = evolve(session, recorded)
    return session


async def check_log(store: Store, session_id: str) -> list[Recorded]:
    """The whole log, after checking that it has no gap and that its fold is the stored snapshot."""
    events = await store.events(session_id, 0, 1_000_000)
    stored = await store.session(session_id)
    assert stored is not None
    assert [r.sequence for r in events] == list(range(1, len(events) + 1))
    assert len({r.id for r in events}) == len(events)
    assert fold(session_id, events) == stored.session
    return events
