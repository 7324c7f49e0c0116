"""Any order and repetition of Webex's signed webhooks gives the customer the same view (webex-byoc.md §11.4–11.5)."""

import asyncio
import itertools
import random
import uuid
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from support.delivery import CONNECTION, Site, site
from support.webex import ASSET_SECRET, EVENTS_SECRET, SECRETS, VALUES, fixture, raw, signature
from warmline.handoff.contract import (
    OpenRequest,
    OpenResult,
    OutgoingMessage,
    ProviderEnvironment,
    SendResult,
    WebhookRequest,
)
from warmline.handoff.providers.webex import mapping
from warmline.handoff.providers.webex.provider import WebexProvider
from warmline.ports import Connection, Link
from warmline.testing import ManualClock

PERMUTATIONS = 2000
TOGETHER = 500
T = TypeVar("T")

AGENTS = (str(uuid.UUID(int=1)), str(uuid.UUID(int=2)))


class QuietWebex(WebexProvider):
    """The real provider, whose tasks come about without anybody being called: webhooks are all that matters here."""

    async def open(self, request: OpenRequest) -> OpenResult:
        task_id = str(uuid.uuid5(uuid.NAMESPACE_OID, request.session_id))
        return OpenResult(remote_id=task_id, data=mapping.link_data(request))

    async def send(self, link: Link, message: OutgoingMessage) -> SendResult:
        return SendResult()

    async def close(self, link: Link, reason: str) -> None:
        return

    def ready(self) -> None:
        return None


async def _ignore(*_: object) -> None:
    return


def quiet_webex(s: Site) -> QuietWebex:
    values = {**VALUES, "agent_label": "Agent"}
    connection = Connection(
        id=CONNECTION, provider="webex", name="Webex", project_id="project", values=values, secrets=SECRETS
    )
    environment = ProviderEnvironment(
        http=s.http,
        clock=s.clock,
        ids=s.ids,
        public_url="https://warmline.example.org",
        install_secret=b"install",
        save_secrets=_ignore,
        set_state=_ignore,
    )
    return QuietWebex(connection, environment)


def event(name: str, task_id: str, at: int, **data: Any) -> dict[str, Any]:
    """A fixture of Webex, of another task and time."""
    made: dict[str, Any] = fixture(name)
    made["comciscotimestamp"] = at + 40
    made["data"] |= {"taskId": task_id, **data}
    if name.startswith("task_"):
        made["id"] = task_id
        made["data"]["createdTime"] = at
    return made


def says(task_id: str, at: int, number: int, agent: str, text: str) -> dict[str, Any]:
    alias = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{task_id}/{number}"))
    params = {"type": "text", "message": {"aliasId": alias, "text": f"<p>{text}</p>", "timestamp": at - 25_200_000}}
    made = event("appended_outbound_agent", task_id, at, senderId=agent, channelParams=params)
    made["id"] = alias
    return made


def received(task_id: str, at: int, alias: str, text: str) -> dict[str, Any]:
    params = {"type": "text", "message": {"aliasId": alias, "text": text, "timestamp": at}}
    made = event("appended_inbound", task_id, at, channelParams=params)
    made["id"] = alias
    return made


def story(task_id: str, base: int, own: str) -> list[tuple[dict[str, Any], str]]:
    """One conversation's webhooks in order, each with its endpoint."""
    events = [
        event("task_new", task_id, base),
        event("task_parked", task_id, base + 20),
        event("task_connect", task_id, base + 40),
        event("task_connected", task_id, base + 60, agentId=AGENTS[0]),
        says(task_id, base + 80, 1, AGENTS[0], "Hello, this is Ada."),
        received(task_id, base + 90, own, "Hi"),
        says(task_id, base + 100, 2, AGENTS[0], "How can I help?"),
        says(task_id, base + 120, 3, AGENTS[0], "One moment, I ask a colleague."),
        event("task_parked", task_id, base + 200),
        event("task_connect", task_id, base + 220),
        event("task_connected", task_id, base + 240, agentId=AGENTS[1]),
        says(task_id, base + 300, 4, AGENTS[1], "Bob here, all done."),
        event("task_ended", task_id, base + 360),
    ]
    return [(made, "asset" if made["data"].get("messageDirection") == "OUTBOUND" else "events") for made in events]


def shuffled(events: list[tuple[dict[str, Any], str]], chance: random.Random) -> list[tuple[str, bytes]]:
    """(endpoint, body) in random order: some twice as they are, some rebuilt later, also by the other path."""
    bodies: list[tuple[str, bytes]] = []
    for made, endpoint in events:
        bodies.append((endpoint, raw(made)))
        kind = chance.random()
        if kind < 0.2:
            bodies.append(bodies[-1])
        elif kind < 0.5:
            bodies.append(("events", raw(made | {"comciscotimestamp": made["comciscotimestamp"] + 7})))
    chance.shuffle(bodies)
    return bodies


async def deliver(s: Site, webex: QuietWebex, endpoint: str, body: bytes) -> None:
    """What the endpoint does with a request: check it, store it durably."""
    secret = ASSET_SECRET if endpoint == "asset" else EVENTS_SECRET
    headers = {"x-webexcc-signature": signature(body, secret)}
    receipt = webex.verify(WebhookRequest(endpoint=endpoint, headers=headers, body=body, received_at=s.clock.now()))
    assert receipt is not None
    await s.node.delivery.inbox.accept(CONNECTION, endpoint, receipt, body)


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do it, some hundred at a time."""
    done: list[T] = []
    rest = iter(work)
    while some := list(itertools.islice(rest, TOGETHER)):
        done += await asyncio.gather(*some)
    return done


async def view(s: Site, session_id: str) -> list[str]:
    """What the customer sees, in order. When a receipt comes does not matter: those are the last lines."""
    lines = [f"{type(made).__name__} {getattr(made, 'text', '')}".strip() for made in await s.log(session_id)]
    return sorted(lines, key=lambda line: line == "MessageReceived")


async def test_A68_two_thousand_permutations_with_duplicates_give_the_same_view(
    tmp_path: Path, clock: ManualClock
) -> None:
    chance = random.Random(11)
    async with site(tmp_path, clock=clock) as s:
        webex = quiet_webex(s)
        s.providers.keys[CONNECTION] = "webex"
        s.providers.providers[CONNECTION] = webex  # type: ignore[assignment]
        sessions = await together(s.node.hand_off() for _ in range(PERMUTATIONS + 1))
        own = dict(zip(sessions, await together(s.node.post(session_id, "Hi") for session_id in sessions), strict=True))
        await s.pass_time(2)
        base = clock.now()
        stories = [
            story(str(uuid.uuid5(uuid.NAMESPACE_OID, session_id)), base, own[session_id]) for session_id in sessions
        ]
        deliveries = [[(endpoint, raw(made)) for made, endpoint in stories[0]]]
        deliveries += [shuffled(events, chance) for events in stories[1:]]
        for turn in range(max(map(len, deliveries))):
            arriving = [bodies[turn] for bodies in deliveries if turn < len(bodies)]
            await together(deliver(s, webex, *body) for body in arriving)
            await clock.advance(0.02)

        async def processed() -> bool:
            return not await s.store.inbox_pending()

        await s.until(processed)
        expected = await view(s, sessions[0])
        assert expected[-12:] == [
            "HandoffAccepted",
            "QueueStatusChanged",
            "LiveAgentJoined",
            "LiveAgentMessage Hello, this is Ada.",
            "LiveAgentMessage How can I help?",
            "LiveAgentMessage One moment, I ask a colleague.",
            "QueueStatusChanged",
            "LiveAgentJoined",
            "LiveAgentMessage Bob here, all done.",
            "LiveAgentLeft",
            "SessionEnded",
            "MessageReceived",
        ]
        views = await together(view(s, session_id) for session_id in sessions[1:])
        assert [shown for shown in views if shown != expected] == []
