"""Many conversations while everything fails now and then: nothing is lost, doubled or out of order."""

import asyncio
import contextvars
import random
from collections import defaultdict, deque
from typing import Any

import aiohttp
import pytest

from support.delivery import CONNECTION, Site, site
from warmline.delivery import DeliverySettings
from warmline.delivery.handoffs import HandoffSettings
from warmline.domain import events as e
from warmline.domain.texts import DELIVERY_DELAYED
from warmline.handoff.contract import (
    OutgoingMessage,
    ProviderError,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnavailable,
)
from warmline.testing import ManualClock
from warmline.testing.provider import After, Fault, Platform, RemoteConversation

CONVERSATIONS = 40
WORDS = 8
CRASHES = 4


class Centre:
    """A contact centre with one agent per conversation, who answers every message, over a bad network."""

    def __init__(self, s: Site, chance: random.Random) -> None:
        self._s = s
        self._context = contextvars.copy_context()
        self._chance = chance
        self._lines: dict[str, deque[bytes]] = defaultdict(deque)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._answers: dict[str, int] = defaultdict(int)
        self.said: dict[str, list[str]] = defaultdict(list)
        s.platform.on_open = self._opened
        s.platform.on_message = self._received

    def _opened(self, conversation: RemoteConversation) -> None:
        self._tell(conversation.id, "opened", opened_by=conversation.request.message_id)
        self._tell(conversation.id, "queued", queue="support")
        self._tell(conversation.id, "agent_joined", agent_id="agent-1")

    def _received(self, conversation: RemoteConversation, message: OutgoingMessage) -> None:
        self._tell(conversation.id, "confirmed", message_id=message.message_id)
        text = f"re: {message.text}"
        self.said[conversation.id].append(text)
        self._tell(conversation.id, "agent_message", message_id=text, text=text, agent_id="agent-1")

    def _tell(self, remote_id: str, kind: str, **fields: Any) -> None:
        body = self._s.platform.news(remote_id, kind, fact=f"{remote_id}/{kind}/{fields.get('message_id')}", **fields)
        self._lines[remote_id].append(body)
        if self._chance.random() < 0.3:
            self._lines[remote_id].append(body)
        if remote_id not in self._tasks or self._tasks[remote_id].done():
            # Not within the node that happens to call: it must outlive that one.
            telling = asyncio.get_running_loop().create_task(self._deliver(remote_id), context=self._context.copy())
            self._tasks[remote_id] = telling

    @property
    def silent(self) -> bool:
        """Everything it had to tell was acknowledged."""
        return all(task.done() for task in self._tasks.values())

    async def _deliver(self, remote_id: str) -> None:
        """In order, again until it is acknowledged."""
        line = self._lines[remote_id]
        while line:
            await self._s.clock.sleep(self._chance.uniform(0.0, 0.05))
            try:
                status = await self._s.hook(line[0])
            except (OSError, aiohttp.ClientError):
                status = 0
            if status == 200 and self._chance.random() < 0.95:
                line.popleft()
            else:
                await self._s.clock.sleep(0.5)


def faults(chance: random.Random) -> Any:
    def fault(operation: str) -> Fault:
        if operation not in ("open", "send") or chance.random() > 0.25:
            return None
        errors: list[ProviderError | After] = [
            ProviderUnavailable("unavailable"),
            ProviderTimeout("no_answer"),
            After(ProviderTimeout("answer_lost")),
            ProviderThrottled("throttled", 0.5),
        ]
        return chance.choice(errors if operation == "send" else errors[:3])

    return fault


async def customer(s: Site, chance: random.Random, session_id: str) -> list[str]:
    """Writes, and writes again under the same reference when nobody acknowledged."""
    ids = []
    for n in range(WORDS):
        await s.clock.sleep(chance.uniform(0.1, 4.0))
        while True:
            try:
                ids.append(await s.node.post(session_id, f"message {n}", ref=f"ref-{n}"))
                break
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                if task.cancelling():
                    raise
                await s.clock.sleep(0.2)
    return ids


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_lost_doubled_or_out_of_order(store_url: str, clock: ManualClock, seed: int) -> None:
    chance = random.Random(seed)
    # Patience enough that no bad luck lets a handoff fail: that customers are told of one is another test's subject.
    settings = DeliverySettings(handoffs=HandoffSettings(open_for_s=600.0))
    async with site(store_url, clock=clock, platform=Platform(clock), settings=settings) as s:
        s.platform.fault = faults(chance)
        s.platform.delay_s = lambda operation: chance.uniform(0.0, 0.2)
        centre = Centre(s, chance)
        sessions = [await s.node.hand_off() for _ in range(CONVERSATIONS)]
        customers = [asyncio.create_task(customer(s, chance, session_id)) for session_id in sessions]
        for _ in range(CRASHES):
            await s.pass_time(chance.uniform(3, 6))
            await s.restart()

        async def over() -> bool:
            if not all(task.done() for task in customers) or await s.pending():
                return False
            return centre.silent and not await s.store.inbox_pending()

        await s.until(over, within_s=300)
        s.platform.fault = lambda operation: None

        opened = defaultdict(list)
        for remote in s.platform.conversations.values():
            opened[remote.request.session_id].append(remote)
        for session_id, task in zip(sessions, customers, strict=True):
            log = await s.log(session_id)
            notices = [event for event in log if isinstance(event, e.SystemNotice | e.HandoffFailed)]
            assert {getattr(event, "text", "") for event in notices} <= {DELIVERY_DELAYED}
            assert [event.message_id for event in log if isinstance(event, e.UserMessage)] == task.result()
            assert len([event for event in log if isinstance(event, e.HandoffAccepted)]) == 1
            (used,) = (remote for remote in opened[session_id] if remote.messages)
            assert used.texts == [f"message {n}" for n in range(WORDS)]
            assert [m.message_id for m in used.messages] == task.result()
            shown = [event.text for event in log if isinstance(event, e.LiveAgentMessage)]
            assert shown == centre.said[used.id] == [f"re: message {n}" for n in range(WORDS)]
            received = {event.message_id for event in log if isinstance(event, e.MessageReceived)}
            assert received == set(task.result())
            handoff = (await s.session(session_id)).handoff
            assert handoff is not None
            assert handoff.undelivered == ()
        assert max(s.platform.most_in_flight.values()) == 1
        assert await s.store.dead() == []
        assert s.node.delivery.health.state(CONNECTION).value == "up"
