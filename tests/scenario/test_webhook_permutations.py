"""Webhooks doubled, redelivered and permuted: the customer sees what an undisturbed delivery shows (webex A-68).

One conversation is held over real sockets and its webhooks are kept. They are then told again, in random orders and
with random duplicates, about 100 fresh conversations of the same server.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.desk import Desk
from support.installation import DISPUTE, ServerProcess, connect_order, customer, emulator, installation
from warmline.emulators.webex import RunningSim
from warmline.emulators.webex.state import Task
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient

PERMUTATIONS = 100
TOGETHER = 24
DELIVERING = 3
"""Conversations whose webhooks are sent at the same moment: few, so that each one's arrive close together."""
WINDOW_MS = 280
"""Order is mended among what arrives within 300 ms (docs/adr/0003): a slower delivery proves nothing."""

AGENT_SAYS = ["Hello, I am here to help.", "Which month is it?", "I have corrected it."]
CUSTOMER_SAYS = ["Hello!", "It is the bill of March.", "It is far too high."]

_NOT_SHOWN = frozenset({"REQUEST_POLY_AGENT_JOIN", "USER_MESSAGE", "LIVE_AGENT_RECEIVED_MESSAGE"})


@dataclass(frozen=True)
class View:
    """What the customer sees, reduced: the lines in order, their own ones since the handoff, and which have a tick."""

    lines: tuple[tuple[str, str], ...]
    own: tuple[str, ...]
    ticked: frozenset[str]
    ended: str | None


def view_of(visitor: MessagingClient) -> View:
    own = {str(event.payload["message_id"]): str(event.payload["text"]) for event in visitor.all("USER_MESSAGE")}
    return View(
        lines=tuple((event.type, _gist(event.payload)) for event in visitor.journal() if event.type not in _NOT_SHOWN),
        own=tuple(own.values())[1:],
        ticked=frozenset(own[str(e.payload["message_id"])] for e in visitor.all("LIVE_AGENT_RECEIVED_MESSAGE")),
        ended=visitor.ended,
    )


def _gist(payload: Mapping[str, Any]) -> str:
    shown = ("text", "message", "agent_name", "queue_name", "reason")
    return " ".join(str(payload[key]) for key in shown if payload.get(key))


def check(visitor: MessagingClient) -> None:
    """What holds whatever came in whatever order."""
    journal = [event.sequence for event in visitor.journal()]
    assert journal == list(range(1, len(journal) + 1))
    assert visitor.violations == []
    ticks = [event.payload["message_id"] for event in visitor.all("LIVE_AGENT_RECEIVED_MESSAGE")]
    assert len(ticks) == len(set(ticks))


async def to_the_queue(visitor: MessagingClient, wish: str = DISPUTE) -> None:
    await visitor.start()
    await visitor.expect("POLY_AGENT_MESSAGE")
    await visitor.say_and_wait(wish)
    await visitor.expect("POLY_AGENT_LEFT")


async def a_conversation(visitor: MessagingClient, desk: Desk) -> str:
    """Both sides write in turn; the live agent ends. Returns the task's id."""
    await desk.ready()
    await to_the_queue(visitor)
    task_id = await desk.take()
    await visitor.expect("LIVE_AGENT_JOINED")
    for number, (agent, own) in enumerate(zip(AGENT_SAYS, CUSTOMER_SAYS, strict=True), start=1):
        await desk.say(task_id, agent)
        await visitor.expect("LIVE_AGENT_MESSAGE", number)
        await visitor.say_and_wait(own)
        await visitor.expect("LIVE_AGENT_RECEIVED_MESSAGE", number)
    await desk.end(task_id)
    await visitor.expect("SESSION_END")
    return task_id


EXPECTED_LINES = (
    ("HANDOFF_ACCEPTED", ""),
    ("HANDOFF_QUEUE_STATUS", ""),
    ("LIVE_AGENT_JOINED", "Maya"),
    *(("LIVE_AGENT_MESSAGE", f"{text} Maya") for text in AGENT_SAYS),
    ("LIVE_AGENT_LEFT", "Agent Left"),
    ("SESSION_END", "REASON_NATURAL_END"),
)


def check_expected(visitor: MessagingClient) -> None:
    check(visitor)
    view = view_of(visitor)
    assert view.lines[-len(EXPECTED_LINES) :] == EXPECTED_LINES
    assert view.own == tuple(CUSTOMER_SAYS)
    assert view.ticked == frozenset(CUSTOMER_SAYS)


@contextlib.asynccontextmanager
async def site(tmp_path: Path) -> AsyncIterator[tuple[RunningSim, ServerProcess]]:
    """An installation without the platform's limit of calls per minute."""
    async with emulator(rate_limit_per_minute=0, create_delay_ms=20) as sim:
        order = connect_order(sim)
        order["values"]["rate_per_minute"] = "1000000"
        async with installation(f"sqlite:///{tmp_path}/warmline.db", sim, connect=order) as server:
            yield sim, server


@pytest.mark.parametrize("effect", [{"duplicate": 1}, {"duplicate": 2, "new_timestamp": True}], ids=["same", "rebuilt"])
async def test_races_9_and_10_every_webhook_sent_again_shows_nothing_twice(
    tmp_path: Path, effect: dict[str, object]
) -> None:
    async with site(tmp_path) as (sim, server), Desk(sim.url) as desk, customer(server) as visitor:
        await desk.call("POST", "/faults", {"match": {"endpoint": "webhook"}, "effect": effect})
        task_id = await a_conversation(visitor, desk)
        check_expected(visitor)
        assert await desk.heard(task_id) == CUSTOMER_SAYS
        deliveries = (await desk.call("GET", "/deliveries"))["deliveries"]
        counts: dict[tuple[str, str, str], int] = {}
        for delivery in deliveries:
            key = (delivery["event"], delivery["eventId"], str(delivery["body"]["data"].get("createdTime")))
            counts[key] = counts.get(key, 0) + (delivery["status"] == 200)
        assert all(count >= 2 for count in counts.values())


@dataclass(frozen=True)
class Recording:
    """The webhooks of one conversation, in the order in which they were sent, and what is its own in them."""

    hooks: tuple[tuple[str, dict[str, Any]], ...]
    """Endpoint (asset or events) and envelope."""
    names: tuple[str, ...]
    """Ids of the task, the customer, the brief and the customer's messages."""
    began: int
    """Milliseconds since the epoch."""
    view: View


async def record(server: ServerProcess, desk: Desk) -> Recording:
    async with customer(server) as visitor:
        task_id = await a_conversation(visitor, desk)
        check_expected(visitor)
        task = await desk.task(task_id)
        said = [m["aliasId"] for m in task["transcript"] if m["direction"] == "INBOUND"]
        deliveries = (await desk.call("GET", "/deliveries"))["deliveries"]
        ours = [d for d in deliveries if d["taskId"] == task_id]
        assert len(ours) >= 12
        return Recording(
            hooks=tuple(("asset" if d["destination"] == "asset" else "events", d["body"]) for d in ours),
            names=(task_id, task["origin"]["id"], *said),
            began=task["createdTime"],
            view=view_of(visitor),
        )


def retold(
    recording: Recording, names: tuple[str, ...], shift_ms: int, chance: random.Random
) -> list[tuple[str, bytes]]:
    """The webhooks about another conversation, in random order, some of them twice; each with its endpoint."""
    hooks: list[tuple[str, bytes]] = []
    for endpoint, envelope in recording.hooks:
        text = json.dumps(envelope)
        for old, new in zip(recording.names, names, strict=True):
            text = text.replace(old, new)
        body = json.loads(text)
        body["comciscotimestamp"] += shift_ms
        if "createdTime" in body["data"]:
            body["data"]["createdTime"] += shift_ms
        hooks.append((endpoint, json.dumps(body).encode()))
        kind = chance.random()
        if kind < 0.2:
            hooks.append(hooks[-1])
        elif kind < 0.4:
            body["comciscotimestamp"] += chance.randint(1, 400)
            hooks.append((endpoint, json.dumps(body).encode()))
    chance.shuffle(hooks)
    return hooks


class Teller:
    """Delivers webhooks as the platform does: signed."""

    def __init__(self, server: ServerProcess, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._secret = server.answer["asset_webhook_secret"].encode()
        self._urls = {name: server.answer[f"{name}_webhook_url"] for name in ("asset", "events")}
        self._door = asyncio.Semaphore(DELIVERING)

    async def tell(self, hooks: list[tuple[str, bytes]]) -> float:
        """Start them in this order without waiting for answers; returns how long it took, milliseconds."""
        async with self._door:
            began = time.perf_counter()
            await asyncio.gather(*(self._send(endpoint, body) for endpoint, body in hooks))
            return (time.perf_counter() - began) * 1000

    async def _send(self, endpoint: str, body: bytes) -> None:
        headers = {
            "X-WebexCC-Signature": hmac.new(self._secret, body, hashlib.sha256).hexdigest(),
            "X-WebexCC-Timestamp": str(json.loads(body)["comciscotimestamp"]),
        }
        async with self._http.post(self._urls[endpoint], data=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()


async def retell(
    server: ServerProcess, sim: RunningSim, teller: Teller, recording: Recording, seed: int
) -> View | None:
    """A fresh conversation that hears the permutation `seed`; None: the delivery was too slow to be judged."""
    async with customer(server, resend_s=30.0) as visitor:
        wish = f"{DISPUTE} (case {seed})"
        await to_the_queue(visitor, wish)
        for text in CUSTOMER_SAYS:
            await visitor.say_and_wait(text)
        own = [str(event.payload["message_id"]) for event in visitor.all("USER_MESSAGE")][1:]
        task = await task_about(sim, wish)
        names = (task.id, task.origin["id"], task.first["message"]["aliasId"], *own)
        hooks = retold(recording, names, task.created_ms - recording.began, random.Random(seed))
        if await teller.tell(hooks) > WINDOW_MS:
            return None
        await visitor.expect("SESSION_END")
        check(visitor)
        return view_of(visitor)


async def task_about(sim: RunningSim, wish: str) -> Task:
    """Webex's side of the conversation with that wish."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for task in sim.sim.world.tasks.values():
                if wish in task.first["message"]["text"]:
                    return task
            await asyncio.sleep(0.01)


async def test_A68_permutations_of_a_whole_conversation_show_the_same(tmp_path: Path) -> None:
    async with site(tmp_path) as (sim, server), Desk(sim.url) as desk, aiohttp.ClientSession() as http:
        recording = await record(server, desk)
        await desk.act("state", state="Idle")
        await desk.call("POST", "/faults", {"match": {"endpoint": "webhook"}, "effect": {"drop": True}})
        # In half of the conversations the webhooks come before the answer that tells the task's id (race 2).
        late = {"delay_ms": 500, "when": "after", "times": PERMUTATIONS // 2}
        await desk.call("POST", "/faults", {"match": {"endpoint": "create"}, "effect": late})
        teller = Teller(server, http)
        views: dict[int, View] = {}
        seeds = itertools.count()

        async def work() -> None:
            while len(views) < PERMUTATIONS:
                seed = next(seeds)
                view = await retell(server, sim, teller, recording, seed)
                if view is not None:
                    views[seed] = view

        async with asyncio.TaskGroup() as group:
            for _ in range(TOGETHER):
                group.create_task(work())
        different = {seed: view for seed, view in views.items() if view != recording.view}
        assert different == {}
