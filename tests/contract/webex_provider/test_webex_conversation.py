"""Whole conversations between the provider and the emulator, over real HTTP and real signatures."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from support.desk import Desk
from support.webex import open_request
from warmline.domain import commands as c
from warmline.emulators.webex import RunningSim
from warmline.handoff.contract import OutgoingMessage, Parsed, Provider, ProviderError, Receipt
from warmline.handoff.registry import Registry
from warmline.ports import Connection, InboxRow, Link
from warmline.system import SystemClock
from warmline.testing.messaging_client import PATIENCE_S

from .conftest import Connecting, Door


@dataclass
class Conversation:
    """One handoff, as delivery would lead it."""

    provider: Provider
    link: Link
    door: Door
    news: list[Parsed] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    receipts: list[Receipt] = field(default_factory=list)

    async def until(self, condition: Callable[["Conversation"], bool]) -> None:
        """Take webhooks in until the condition holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition(self):
                self.take()
                await asyncio.sleep(0.01)

    def take(self) -> None:
        for request in self.door.waiting():
            receipt = self.provider.verify(request)
            if receipt is None or receipt.key in self.seen or receipt.remote_id != self.link.remote_id:
                continue
            self.seen.add(receipt.key)
            self.receipts.append(receipt)
            row = InboxRow(
                id=len(self.receipts),
                connection_id=self.link.connection_id,
                endpoint=request.endpoint,
                key=receipt.key,
                remote_id=receipt.remote_id,
                received_at=request.received_at,
                event_at=receipt.event_at,
                body=request.body,
            )
            self.news.append(self.provider.parse(row, self.link, SystemClock().now()))

    @property
    def commands(self) -> list[c.ProviderCommand]:
        return [parsed.command for parsed in self.news if parsed.command is not None]

    def texts(self) -> list[str]:
        """What the contact centre said, each fact once."""
        known: dict[str, str] = {}
        for parsed in self.news:
            if isinstance(parsed.command, c.AgentMessage):
                known.setdefault(parsed.dedup_key, parsed.command.text)
        return list(known.values())

    def has(self, kind: type) -> bool:
        return any(isinstance(command, kind) for command in self.commands)

    async def say(self, text: str) -> str:
        message_id = str(uuid4())
        await self.provider.send(self.link, OutgoingMessage(message_id=message_id, text=text, at=SystemClock().now()))
        return message_id


@pytest.fixture
async def connected(connecting: Connecting, registry: Registry, sim: RunningSim) -> tuple[Connection, Provider]:
    """A connection whose asset webhook is set, as an administrator would."""
    report, connection = await connecting()
    assert report.ok
    assert connection is not None
    (asset,) = sim.sim.settings.assets
    set_asset = msgspec.structs.replace(
        asset,
        webhook_url=connection.values["asset_webhook_url"],
        webhook_secret=connection.secrets["asset_webhook_secret"],
    )
    configure(sim, assets=(set_asset,))
    provider = registry.get(connection.id)
    assert provider is not None
    return connection, provider


def configure(sim: RunningSim, **settings: Any) -> None:
    sim.sim.configure(msgspec.structs.replace(sim.sim.settings, **settings))


async def opened(connected: tuple[Connection, Provider], door: Door, **changes: Any) -> Conversation:
    connection, provider = connected
    now = SystemClock().now()
    request = open_request(session_id=str(uuid4()), message_id=str(uuid4()), at=now, **changes)
    result = await provider.open(request)
    link = Link(
        handoff_id=request.handoff_id,
        session_id=request.session_id,
        connection_id=connection.id,
        remote_id=result.remote_id,
        data=result.data,
    )
    return Conversation(provider, link, door)


async def test_A87_a_conversation_from_create_to_the_agents_end(
    connected: tuple[Connection, Provider], door: Door, sim: RunningSim
) -> None:
    async with Desk(sim.url) as desk:
        await desk.ready()
        talk = await opened(connected, door, options={"global_variables": {"reason": "billing"}})
        await talk.until(lambda t: t.has(c.ConversationOpened) and t.has(c.ConversationQueued))
        task_id = await desk.take()
        await talk.until(lambda t: t.has(c.AgentJoined))
        sent = await talk.say("Hello, anybody?")
        await desk.until_heard(task_id, ["Hello, anybody?"])
        await desk.say(task_id, "Hi & welcome <you>\nWhat is it?")
        await talk.until(lambda t: len(t.texts()) == 1 and t.has(c.MessageConfirmed))
        await desk.end(task_id)
        await talk.until(lambda t: t.has(c.ConversationEnded))
        task = await desk.task(task_id)
    assert talk.texts() == ["Hi & welcome &lt;you>\nWhat is it?"]
    joined = next(x for x in talk.commands if isinstance(x, c.AgentJoined))
    assert (await connected[1].agent(joined.agent.id)).name == "Maya"
    confirmed = [x for x in talk.commands if isinstance(x, c.MessageConfirmed)]
    assert [(x.message_id, x.stored_text) for x in confirmed] == [(sent, None)]
    ended = next(x for x in talk.commands if isinstance(x, c.ConversationEnded))
    assert ended.reason == "Agent Left"
    assert task["globalVariables"] == {"reason": "billing"}
    assert task["transcript"][0]["text"] == "Reason: billing"
    in_order = sorted(talk.receipts, key=lambda receipt: (receipt.event_at, receipt.rank))
    assert in_order[-1].terminal


async def test_A84_logs_tell_ids_and_states_and_nothing_else(
    connected: tuple[Connection, Provider],
    door: Door,
    sim: RunningSim,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    configure(sim, outbound_shape="nested")
    async with Desk(sim.url) as desk:
        await desk.ready()
        talk = await opened(
            connected,
            door,
            text="brief of Ada Lovelace",
            customer_key="+46701234567",
            options={"origin_name": "Ada Lovelace", "colour": "Ada's", "global_variables": {"list": ["Ada's"]}},
        )
        task_id = await desk.take()
        sim.sim.oauth.revoke_access_tokens()
        await talk.say("Ada's question")
        await desk.say(task_id, "To Ada")
        await talk.until(lambda t: len(t.texts()) == 1)
        with pytest.raises(ProviderError):
            await connected[1].send(talk.link, OutgoingMessage(message_id="", text="Ada again", at=1))
    logged = capsys.readouterr().out + caplog.text
    assert "webex.call_refused" in logged
    assert "webex.message_shape" in logged
    assert "webex.options_left_out" in logged
    settings = sim.sim.settings
    for private in ("Ada", "46701234567", settings.client_secret, settings.refresh_token, "_SIM_"):
        assert private not in logged


async def test_the_customer_ends_first(connected: tuple[Connection, Provider], door: Door, sim: RunningSim) -> None:
    talk = await opened(connected, door)
    await talk.until(lambda t: t.has(c.ConversationQueued))
    await connected[1].close(talk.link, "REASON_USER_END")
    await talk.until(lambda t: t.has(c.ConversationEnded))
    await connected[1].close(talk.link, "REASON_USER_END")


async def test_A20_a_card_number_comes_back_masked(
    connected: tuple[Connection, Provider], door: Door, sim: RunningSim
) -> None:
    talk = await opened(connected, door)
    await talk.until(lambda t: t.has(c.ConversationQueued))
    await talk.say("My card is 4111 1111 1111 1111")
    await talk.until(lambda t: t.has(c.MessageConfirmed))
    (confirmed,) = [x for x in talk.commands if isinstance(x, c.MessageConfirmed)]
    assert confirmed.stored_text == "My card is XXXX XXXX XXXX XXXX"


async def test_A24_what_the_flow_says_before_the_queue_is_delivered_in_order_of_its_envelope(
    connected: tuple[Connection, Provider], door: Door, sim: RunningSim
) -> None:
    (entry_point,) = sim.sim.settings.entry_points
    configure(sim, entry_points=(msgspec.structs.replace(entry_point, flow="greet-and-ask"),))
    talk = await opened(connected, door)
    await talk.until(lambda t: len(t.texts()) == 1)
    (greeting,) = [x for x in talk.commands if isinstance(x, c.AgentMessage)]
    assert greeting.agent is None
    assert not talk.has(c.ConversationQueued)
    await talk.say("12345")
    await talk.until(lambda t: t.has(c.ConversationQueued))
    in_order = sorted(talk.receipts, key=lambda receipt: (receipt.event_at, receipt.rank))
    flow = next(receipt for receipt in talk.receipts if receipt.event_at == greeting.provider_at)
    assert in_order.index(flow) <= 2


@pytest.mark.parametrize(
    "variant",
    [
        *({"outbound_shape": shape} for shape in (
            "standard", "flatChannelParams", "dataMessage", "dataFlat", "payload", "content", "body", "eventData",
            "messageData", "nested",
        )),
        {"lower_case_direction": True},
        {"omit_message_direction": True},
        {"string_channel_params": True},
        {"string_message": True},
        {"timestamp_as_string": True},
        {"bare_lifecycle": True},
        {"asset_timestamp_header": False},
        {"html_agent_text": False},
        {"outbound_to_subscriptions": True},
        {"noise_events": True},
        {"lifecycle_id_is_task_id": False},
        {"sender_id_kind": "ci"},
    ],
    ids=lambda variant: "-".join(f"{value}" if key == "outbound_shape" else key for key, value in variant.items()),
)  # fmt: skip
async def test_A25_every_variant_of_the_emulator_tells_the_same_story(
    connected: tuple[Connection, Provider], door: Door, sim: RunningSim, variant: dict[str, Any]
) -> None:
    configure(sim, **variant)
    async with Desk(sim.url) as desk:
        await desk.ready()
        talk = await opened(connected, door)
        task_id = await desk.take()
        await desk.say(task_id, "Hello")
        await talk.until(lambda t: len(t.texts()) == 1)
        await desk.end(task_id)
        await talk.until(lambda t: t.has(c.ConversationEnded))
    assert talk.texts() == ["Hello"]
    spoken = next(x for x in talk.commands if isinstance(x, c.AgentMessage))
    assert spoken.agent is not None
    assert (await connected[1].agent(spoken.agent.id)).name == "Maya"
    kinds = [type(x) for x in talk.commands]
    for kind in (c.ConversationOpened, c.ConversationQueued, c.AgentJoined, c.ConversationEnded):
        assert kind in kinds


@pytest.mark.parametrize(
    ("settings", "reason", "again"),
    [
        ({"feature_enabled": False}, "FEATURE_FLAG_DISABLED", None),
        ({"assets": ()}, "CHANNEL_ASSET_UNDEFINED", None),
        ({"entry_points": ()}, "ENTRY_POINT_NOT_FOUND", None),
        ({"org_contact_limit": 0}, "ORG_DIGITAL_CONTACT_LIMIT_EXCEEDED", 15),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_A71_the_emulators_refusals(
    connected: tuple[Connection, Provider],
    door: Door,
    sim: RunningSim,
    settings: dict[str, Any],
    reason: str,
    again: float | None,
) -> None:
    configure(sim, **settings)
    talk = await opened(connected, door)
    await talk.until(lambda t: any(parsed.refused for parsed in t.news))
    refused = next(parsed.refused for parsed in talk.news if parsed.refused)
    assert (refused.reason, refused.retry_after) == (reason, again)


async def test_A71_the_same_customer_twice_is_recognised_as_our_own(
    connected: tuple[Connection, Provider], door: Door, sim: RunningSim
) -> None:
    first = await opened(connected, door, customer_key="x")
    await first.until(lambda t: t.has(c.ConversationQueued))
    request = open_request(session_id=first.link.session_id, message_id=str(uuid4()), at=SystemClock().now())
    result = await connected[1].open(request)
    second = Conversation(
        connected[1],
        Link(
            handoff_id="handoff",
            session_id=first.link.session_id,
            connection_id=connected[0].id,
            remote_id=result.remote_id,
            data=result.data,
        ),
        door,
    )
    await second.until(lambda t: any(parsed.refused for parsed in t.news))
    refused = next(parsed.refused for parsed in second.news if parsed.refused)
    assert refused.adopt == first.link.remote_id


async def test_a_task_that_is_gone_ends_the_conversation(
    connected: tuple[Connection, Provider], door: Door, sim: RunningSim
) -> None:
    """Race 25: `task:ended` was lost."""
    talk = await opened(connected, door)
    await talk.until(lambda t: t.has(c.ConversationQueued))
    task = sim.sim.world.tasks[talk.link.remote_id]
    task.open = False
    await talk.say("Still there?")
    await talk.until(lambda t: t.has(c.ConversationEnded))


async def test_A53_A8_race_14_an_access_token_that_webex_forgot_is_replaced_on_the_way(
    connected: tuple[Connection, Provider], door: Door, sim: RunningSim
) -> None:
    sim.sim.oauth.revoke_access_tokens()
    talk = await opened(connected, door)
    await talk.until(lambda t: t.has(c.ConversationQueued))
    tokens = [view for view in sim.sim.access.views() if view["endpoint"] == "token"]
    assert [view["status"] for view in tokens] == [200, 200]
