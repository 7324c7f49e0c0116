"""Webhooks that tell programs outside of events: signed, in order per session, until they are accepted."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.faulty import FaultyStore
from support.stores import INFO, begin, change, opened, post
from warmline.conversation.catalog import Catalog
from warmline.delivery.event_hooks import EventHooks, HookSettings
from warmline.delivery.leases import Leases
from warmline.domain.commands import StartSession
from warmline.domain.events import LiveAgentMessage, QueueStatusChanged, Recorded, UserMessage
from warmline.domain.messages import Attachment, LiveAgent
from warmline.domain.published import KINDS as KINDS_TOLD
from warmline.domain.published import fields_of
from warmline.ports import TEST_CHAT, Receiver, Store
from warmline.system import SystemClock
from warmline.testing import ManualClock
from warmline.testing.messaging_client import PATIENCE_S

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
KINDS = ("session.started", "virtual_agent.joined", "customer.message")


@dataclass
class Program:
    """Somebody's program: keeps what it is told and answers with `status`."""

    status: int = 204
    hang: bool = False
    url: str = ""
    refuse: str = ""
    told: list[dict[str, object]] = field(default_factory=list)
    asked: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def hear(self, request: web.Request) -> web.Response:
        self.asked += 1
        content = await request.read()
        if self.hang:
            await asyncio.sleep(30)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(content)
        if self.refuse and self.refuse.encode() in content:
            return web.Response(status=400)
        if self.status < 300:
            self.told.append(json.loads(content))
        headers = {"Location": self.url} if self.status == 302 else {}
        return web.Response(status=self.status, headers=headers)

    def texts(self, session_id: str) -> list[object]:
        return [e["data"]["text"] for e in self.told if e["session_id"] == session_id and "text" in e["data"]]  # type: ignore[index, operator]


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    heard = Program()
    app = web.Application()
    app.router.add_post("/events", heard.hear)
    async with TestServer(app) as server:
        heard.url = str(server.make_url("/events"))
        yield heard


class World:
    """A store, the catalog that follows its logs, and the sender."""

    def __init__(self, store: Store, clock: ManualClock, program: Program) -> None:
        self.store, self.clock, self.program = store, clock, program
        self.leases = Leases(store, clock, "node", ttl_s=10**7)
        self.hooks = EventHooks(store, self.leases, clock, relaxed=True)
        self.catalog = Catalog(store, clock, lambda: self.hooks.receivers, self.hooks.wake)

    async def subscribe(self, **more: object) -> Receiver:
        receiver = Receiver(id="r1", name="CRM", url=self.program.url, kinds=KINDS, secret=SECRET)
        receiver = replace(receiver, **more)  # type: ignore[arg-type]
        await self.leases.renew()
        await self.store.save_receiver(receiver)
        await self.hooks.changed()
        return receiver

    async def talk(self, session_id: str, *texts: str) -> None:
        now = self.clock.now()
        for text in texts:
            self.catalog.observe(await post(self.store, session_id, text, at=now))
        await self.catalog.write()

    async def begin(self, session_id: str) -> None:
        self.catalog.observe(await begin(self.store, session_id, at=self.clock.now()))
        await self.catalog.write()

    async def until(self, fine: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not fine():  # noqa: ASYNC110  (what is waited for tells nobody)
                await asyncio.sleep(0.005)

    async def nothing_waits(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.store.backlogs():  # noqa: ASYNC110  (what is waited for tells nobody)
                await asyncio.sleep(0.005)

    async def rest(self) -> None:
        """Wait until the sender has done what it can do now."""
        await self.until(lambda: all(line.task is None for line in self.hooks._lines.values()))

    async def later(self, seconds: float) -> None:
        """Time passes while nothing is sent, then the sender looks again and does what is due."""
        await self.rest()
        await self.clock.advance(seconds)
        self.hooks.wake()
        await self.rest()


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A SQLite database, unless a test asks for every kind by its mark."""
    everywhere = request.node.get_closest_marker("usefixtures")
    return str(request.getfixturevalue("store_url")) if everywhere else f"sqlite:///{tmp_path / 'hooks.db'}"


@pytest.fixture
async def world(url: str, clock: ManualClock, program: Program) -> AsyncIterator[World]:
    async with opened(url) as store:
        made = World(store, clock, program)
        yield made
        await made.hooks.stop()


@pytest.mark.usefixtures("store_url")
async def test_a_receiver_is_told_in_order_and_signed(world: World, program: Program) -> None:
    await world.subscribe()
    await world.begin("s1")
    await world.talk("s1", "one", "two", "three")
    await world.until(lambda: len(program.told) == 5)
    assert [e["type"] for e in program.told] == ["session.started", "virtual_agent.joined", *["customer.message"] * 3]
    assert program.texts("s1") == ["one", "two", "three"]
    assert [e["sequence"] for e in program.told] == sorted(e["sequence"] for e in program.told)  # type: ignore[type-var]
    assert program.told[2]["project_id"] == "project"
    for headers, content in zip(program.headers, program.bodies, strict=True):
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + content
        expected = base64.b64encode(hmac.new(KEY, signed, "sha256").digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert json.loads(content)["id"] == headers["webhook-id"]
    await world.nothing_waits()
    (receiver,) = await world.store.receivers()
    assert receiver.accepted_at == world.clock.now()


async def test_while_it_is_unreachable_nothing_is_lost_and_order_is_kept(world: World, program: Program) -> None:
    await world.subscribe()
    program.status = 503
    await world.begin("s1")
    await world.talk("s1", "one", "two")
    await world.begin("s2")
    await world.talk("s2", "other")
    await world.until(lambda: program.asked >= 1)
    await world.rest()
    backlog = (await world.store.backlogs())["r1"]
    assert (backlog.waiting, backlog.dead) == (7, 0)
    asked = program.asked
    await world.later(0.1)
    assert program.asked == asked, "it is left alone for a while"
    program.status = 200
    for _ in range(20):
        await world.later(60)
    await world.until(lambda: len(program.told) == 7)
    assert (program.texts("s1"), program.texts("s2")) == (["one", "two"], ["other"])


@pytest.mark.usefixtures("store_url")
async def test_an_event_that_is_refused_holds_up_only_its_own_session(world: World, program: Program) -> None:
    await world.subscribe(kinds=("customer.message",))
    program.refuse = "poison"
    await world.begin("s1")
    await world.begin("s2")
    await world.talk("s1", "poison", "after")
    await world.talk("s2", "fine")
    await world.until(lambda: program.texts("s2") == ["fine"])
    assert program.texts("s1") == []
    # Given up after a day of trying; then the next one goes.
    for _ in range(60):
        await world.later(3600)
        if program.texts("s1"):
            break
    assert program.texts("s1") == ["after"]
    (dead,) = await world.store.dead_events("r1")
    assert (dead.error, dead.attempts > 5) == ("http_400", True)
    program.refuse = ""
    assert await world.store.redeliver_events("r1", world.clock.now()) == 1
    await world.later(1)
    await world.until(lambda: program.texts("s1") == ["after", "poison"])


@pytest.mark.usefixtures("store_url")
async def test_an_event_that_is_due_again_does_not_wait_for_a_clock_that_was_set_back(
    world: World, program: Program
) -> None:
    await world.subscribe(kinds=("customer.message",))
    program.status = 400
    await world.begin("s1")
    await world.talk("s1", "patient")
    await world.until(lambda: program.asked == 1)
    await world.rest()
    world.clock.leap(-24 * 3600)
    program.status = 200
    # As it does by itself every few seconds.
    await world.hooks.changed()
    await world.nothing_waits()
    assert program.texts("s1") == ["patient"]


async def test_what_is_older_than_a_day_is_given_up_at_once_when_it_stays_away(world: World, program: Program) -> None:
    await world.subscribe()
    program.status = 500
    await world.begin("s1")
    await world.talk("s1", *(f"m{n}" for n in range(20)))
    await world.until(lambda: program.asked >= 1)
    for _ in range(3):
        await world.later(25 * 3600)
    backlog = (await world.store.backlogs())["r1"]
    assert (backlog.waiting, backlog.dead) == (0, 22)


@pytest.mark.usefixtures("store_url")
async def test_a_crash_between_the_log_and_the_queue_loses_nothing(world: World, program: Program) -> None:
    await world.subscribe()
    await begin(world.store, "s1", at=world.clock.now())
    await post(world.store, "s1", "written before the crash", at=world.clock.now())
    # Nobody observed these. The next run finds the session behind its log.
    again = World(world.store, world.clock, program)
    await again.hooks.changed()
    again.leases = world.leases
    await again.catalog.catch_up()
    world.hooks.wake()
    await world.until(lambda: program.texts("s1") == ["written before the crash"])
    await again.catalog.catch_up()
    world.hooks.wake()
    await world.rest()
    assert len(program.told) == 3, "following again queues nothing twice"
    await again.hooks.stop()


async def test_a_paused_receiver_gets_everything_later(world: World, program: Program) -> None:
    receiver = await world.subscribe(paused=True)
    await world.begin("s1")
    await world.talk("s1", "meanwhile")
    await world.rest()
    assert program.asked == 0
    await world.store.save_receiver(replace(receiver, paused=False))
    await world.hooks.changed()
    await world.until(lambda: program.texts("s1") == ["meanwhile"])


async def test_only_what_was_chosen_is_told(world: World, program: Program) -> None:
    await world.subscribe(kinds=("customer.message",), project_id="project")
    await world.begin("s1")
    await world.talk("s1", "for you")
    await world.until(lambda: len(program.told) == 1)
    other = Receiver(id="r2", name="x", url=program.url, kinds=KINDS, secret=SECRET, project_id="another")
    recorded = Recorded(sequence=1, id="e", at=5, event=UserMessage(message_id="m", text="t"))
    assert not other.wants("project", "live", recorded)
    assert other.wants("another", "live", recorded)
    assert not replace(other, created_at=6).wants("another", "live", recorded)


@pytest.mark.usefixtures("store_url")
@pytest.mark.parametrize("sandbox", [False, True])
async def test_test_chats_are_told_of_only_on_request_and_say_what_they_are(
    world: World, program: Program, sandbox: bool
) -> None:
    await world.subscribe(sandbox=sandbox)
    (kept,) = await world.store.receivers()
    assert kept.sandbox == sandbox
    tried = replace(INFO, connector_id=TEST_CHAT, environment="sandbox")
    command = StartSession(at=world.clock.now(), channel="webchat.polyai")
    world.catalog.observe(await world.store.transact(change("tried", command, create=tried)))
    await world.catalog.write()
    await world.begin("real")
    await world.until(lambda: len(program.told) == 2 + sandbox)
    await world.nothing_waits()
    told = {(event["session_id"], event["environment"], event.get("test_chat", False)) for event in program.told}
    assert told == {("real", "live", False)} | ({("tried", "sandbox", True)} if sandbox else set())


async def test_what_is_queued_while_the_sender_looks_and_finds_nothing_does_not_wait_for_its_next_look(
    world: World, program: Program
) -> None:
    slow = FaultyStore(world.store)
    world.hooks._store = slow  # type: ignore[assignment]
    await world.subscribe()
    await world.rest()
    slow.late.add("events_due")
    slow.answered.clear()
    world.hooks.wake()
    await world.until(lambda: "events_due" in slow.answered)
    await world.begin("s1")
    slow.gate.set()
    await world.until(lambda: len(program.told) == 2)


async def test_a_receiver_whose_secret_this_node_cannot_open_stops_no_other(
    postgres_url: str, clock: ManualClock, program: Program
) -> None:
    async with opened(postgres_url) as store, opened(postgres_url, key="the key of another node") as elsewhere:
        world = World(store, clock, program)
        await world.subscribe()
        await world.hooks.start()
        unknown = Receiver(id="r2", name="BI", url=program.url, kinds=KINDS, secret=SECRET)
        await elsewhere.save_receiver(unknown)
        program.status = 503
        await world.begin("s1")
        await world.until(lambda: program.asked >= 1)
        program.status = 204
        async with asyncio.timeout(PATIENCE_S):
            while len(program.told) < 2:
                await clock.advance(5)
                await asyncio.sleep(0.005)
        await world.hooks.stop()


async def test_without_receivers_nothing_is_queued(world: World) -> None:
    await world.leases.renew()
    await world.hooks.changed()
    await world.begin("s1")
    await world.subscribe()
    assert await world.store.backlogs() == {}


async def test_both_secrets_sign_after_a_rotation(world: World, program: Program, clock: ManualClock) -> None:
    new = "whsec_" + base64.b64encode(b"n" * 32).decode()
    receiver = await world.subscribe(secret=new, previous=SECRET, previous_until=clock.now() + 1000)
    assert (await world.hooks.test(receiver)).error == ""
    assert len(program.headers[-1]["webhook-signature"].split()) == 2
    await clock.advance(2)
    await world.hooks.test(receiver)
    assert len(program.headers[-1]["webhook-signature"].split()) == 1


async def test_nothing_goes_to_private_addresses(world: World, program: Program) -> None:
    strict = EventHooks(world.store, world.leases, world.clock)
    assert strict.problem("https://127.0.0.1/x") == strict.problem("https://10.0.0.1/") == "private_address"
    assert strict.problem("http://example.com/") == strict.problem("https://u:p@example.com") == "bad_address"
    assert strict.problem("https://hooks.example.com/warmline") == ""
    receiver = await world.subscribe(url=program.url.replace("http:", "https:").replace("127.0.0.1", "localhost"))
    tried = await strict.test(receiver)
    assert (tried.error, tried.status, program.asked) == ("private_address", 0, 0)
    await strict.stop()


@pytest.mark.parametrize(("status", "error"), [(302, "http_302"), (410, "http_410"), (500, "http_500")])
async def test_a_test_tells_what_was_answered(world: World, program: Program, status: int, error: str) -> None:
    receiver = await world.subscribe()
    program.status = status
    tried = await world.hooks.test(receiver)
    assert (tried.status, tried.error, program.asked) == (status, error, 1)


async def test_a_receiver_that_does_not_answer_is_not_waited_for_long(world: World, program: Program) -> None:
    receiver = await world.subscribe()
    program.hang = True
    settings = HookSettings(answer_within_s=0.2)
    hasty = EventHooks(world.store, world.leases, world.clock, relaxed=True, settings=settings)
    assert (await hasty.test(receiver)).error == "too_slow"
    await hasty.stop()


async def test_the_guide_s_example_verifies_what_is_sent(world: World, program: Program) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "event-webhooks.md").read_text(encoding="utf-8")
    code: dict[str, Callable[..., bool]] = {}
    exec(guide.split("```python\n")[1].split("```")[0], code)
    receiver = await world.subscribe()
    real = EventHooks(world.store, world.leases, SystemClock(), relaxed=True)
    await real.test(receiver)
    headers, content = program.headers[-1], program.bodies[-1]
    assert code["is_from_warmline"](SECRET, headers, content)
    assert not code["is_from_warmline"](SECRET, headers, content + b" ")
    assert not code["is_from_warmline"](SECRET, {**headers, "webhook-timestamp": "1000"}, content)
    await real.stop()


def test_every_kind_is_in_the_guide_and_tells_its_fields() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "event-webhooks.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS_TOLD.values() if f"`{kind}`" not in guide] == []
    agent = LiveAgent(id="a", name="Ana")
    picture = Attachment(content_url="https://f.example/1", title="p.png", mime_type="image/png")
    assert fields_of(LiveAgentMessage(message_id="m", text="Hi", agent=agent, attachments=(picture,))) == {
        "message_id": "m",
        "text": "Hi",
        "agent": {"id": "a", "name": "Ana"},
        "attachments": [{"url": "https://f.example/1", "title": "p.png", "mime_type": "image/png"}],
    }
    assert fields_of(QueueStatusChanged(queue_name="billing")) == {"queue_name": "billing"}
