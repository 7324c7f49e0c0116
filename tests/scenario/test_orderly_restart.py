"""An orderly stop and start in the middle of conversations (messaging W19, H18)."""

import asyncio
import time
from pathlib import Path

import aiohttp

from support.desk import Desk
from support.installation import DISPUTE, RETRIES_MS, customer, emulator, installation
from warmline.testing.messaging_client import PATIENCE_S, MessagingClient

QUESTION = "What are your opening hours?"


async def back(visitor: MessagingClient) -> None:
    """Come back as SDKs do: with the cursor, again and again; then what was not echoed has been sent again."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await visitor.reconnect()
                break
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    drafts = visitor.drafts.values()
    await visitor.wait(lambda: all(draft.state == "sent" for draft in drafts), "all echoes")


async def test_W19_H18_a_restart_in_a_live_handoff_loses_nothing(store_url: str) -> None:
    async with emulator(webhook_retries_ms=RETRIES_MS) as sim, installation(store_url, sim) as server:
        async with Desk(sim.url) as desk, customer(server, resend_s=1.5) as live, customer(server) as queued, customer(
            server, resend_s=1.5
        ) as chatting:  # fmt: skip
            visitors = (live, queued, chatting)
            for visitor in visitors:
                await visitor.start()
                await visitor.expect("POLY_AGENT_MESSAGE")
            await desk.ready()
            await live.say_and_wait(DISPUTE)
            task_id = await desk.take()
            await desk.act("state", state="Idle")
            await live.expect("LIVE_AGENT_JOINED")
            await queued.say_and_wait(DISPUTE)
            await queued.expect("HANDOFF_QUEUE_STATUS")

            # Everything is under way in both directions when the server stops.
            await desk.say(task_id, "answer 0")
            await live.expect("LIVE_AGENT_MESSAGE")
            for number in range(6):
                await live.say(f"question {number}")
            await desk.say(task_id, "answer 1")
            await chatting.say(QUESTION)
            await server.stop()
            for visitor in visitors:
                assert await visitor.expect_close() == 1012
            await desk.say(task_id, "answer 2")
            await server.start()
            await asyncio.gather(*(back(visitor) for visitor in visitors))

            await live.expect("LIVE_AGENT_MESSAGE", 3)
            await live.say_and_wait("question 6")
            questions = [f"question {number}" for number in range(7)]
            await desk.until_heard(task_id, questions)
            await live.expect("LIVE_AGENT_RECEIVED_MESSAGE", 7)
            await desk.say(task_id, "answer 3")
            await live.expect("LIVE_AGENT_MESSAGE", 4)
            answers = [event.payload["text"] for event in live.all("LIVE_AGENT_MESSAGE")]
            assert answers == [f"answer {number}" for number in range(4)]
            assert [event.payload["text"] for event in live.all("USER_MESSAGE")] == [DISPUTE, *questions]
            await desk.end(task_id)
            await live.expect("SESSION_END")

            await chatting.expect("POLY_AGENT_MESSAGE", 2)
            await chatting.say_and_wait(QUESTION)
            await chatting.expect("POLY_AGENT_MESSAGE", 3)
            assert len(chatting.all("POLY_AGENT_MESSAGE")) == 3

            await desk.act("state", state="Available")
            second = await desk.take()
            await queued.expect("LIVE_AGENT_JOINED")
            await desk.end(second)
            await queued.expect("SESSION_END")
            assert [task["status"] for task in await desk.tasks()] == ["ended", "ended"]
            for visitor in visitors:
                journal = [event.sequence for event in visitor.journal()]
                assert journal == list(range(1, len(journal) + 1))
                assert visitor.violations == []
                assert visitor.all("SYSTEM_MESSAGE") == []


async def test_W19_nothing_to_finish_stops_at_once(tmp_path: Path) -> None:
    async with emulator() as sim, installation(f"sqlite:///{tmp_path}/w.db", sim) as server:
        async with customer(server) as visitor:
            await visitor.start()
            await visitor.expect("POLY_AGENT_MESSAGE")
            began = time.monotonic()
            await server.stop()
            assert time.monotonic() - began < 8
            assert await visitor.expect_close() == 1012
