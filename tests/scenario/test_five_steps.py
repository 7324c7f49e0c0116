"""The five verify steps over the bare protocol, on both stores (webex-byoc.md A-87)."""

import pytest

from support.desk import Desk
from support.installation import DISPUTE, TRANSFER, customer, emulator, installation

EXPECTED = [
    "SESSION_START",
    "REQUEST_POLY_AGENT_JOIN",
    "POLY_AGENT_JOINED",
    "POLY_AGENT_MESSAGE",
    "USER_MESSAGE",
    "POLY_AGENT_MESSAGE",
    "POLY_AGENT_TRIGGERED_HANDOFF",
    "POLY_AGENT_LEFT",
    "HANDOFF_ACCEPTED",
    "HANDOFF_QUEUE_STATUS",
    "LIVE_AGENT_JOINED",
]


async def test_A87_topic_handoff_reply_and_end_from_the_desktop(store_url: str) -> None:
    async with emulator() as sim, installation(store_url, sim) as server:
        async with Desk(sim.url) as desk, customer(server) as visitor:
            await desk.ready()
            await visitor.start()
            await visitor.expect("POLY_AGENT_MESSAGE")

            await visitor.say_and_wait(DISPUTE)
            said = await visitor.expect("POLY_AGENT_MESSAGE", 2)
            assert said.payload["text"] == TRANSFER
            task_id = await desk.take()
            joined = await visitor.expect("LIVE_AGENT_JOINED")
            assert joined.payload["agent"]["id"]
            assert visitor.types(transient=False) == EXPECTED

            task = await desk.task(task_id)
            brief = task["transcript"][0]["text"]
            assert task["queue"] == "support"
            assert DISPUTE in brief
            assert TRANSFER in brief

            await desk.say(task_id, "Hello, I am here to help.")
            answer = await visitor.expect("LIVE_AGENT_MESSAGE")
            assert answer.payload["text"] == "Hello, I am here to help."
            await visitor.say_and_wait("It is the March bill.")
            await visitor.say_and_wait("It is far too high.")
            await desk.until_heard(task_id, ["It is the March bill.", "It is far too high."])
            await visitor.expect("LIVE_AGENT_RECEIVED_MESSAGE", 2)

            await desk.end(task_id)
            ended = await visitor.expect("SESSION_END")
            assert ended.payload["reason"] == "REASON_NATURAL_END"
            assert await visitor.expect_close() == 1000
            assert visitor.types(transient=False)[-2:] == ["LIVE_AGENT_LEFT", "SESSION_END"]
            assert [event.sequence for event in visitor.journal()] == list(range(1, len(visitor.journal()) + 1))
            assert visitor.violations == []


async def test_A87_the_customer_ends_first_and_the_desktop_follows(tmp_path: object) -> None:
    async with emulator() as sim, installation(f"sqlite:///{tmp_path}/warmline.db", sim) as server:
        async with Desk(sim.url) as desk, customer(server) as visitor:
            await desk.ready()
            await visitor.start()
            await visitor.say_and_wait(DISPUTE)
            task_id = await desk.take()
            await visitor.expect("LIVE_AGENT_JOINED")
            await visitor.end()
            ended = await visitor.expect("SESSION_END")
            assert ended.payload["reason"] == "REASON_USER_END"
            task = await desk.until(lambda t: t["id"] == task_id and t["status"] == "ended", "the task's end")
            assert task["terminatingParty"] == "Customer"
            assert visitor.violations == []


@pytest.mark.parametrize("count", [20])
async def test_A15_messages_typed_before_the_task_exists_arrive_once_and_in_order(tmp_path: object, count: int) -> None:
    async with emulator(create_delay_ms=400) as sim, installation(f"sqlite:///{tmp_path}/w.db", sim) as server:
        async with Desk(sim.url) as desk, customer(server) as visitor:
            await visitor.start()
            await visitor.expect("POLY_AGENT_MESSAGE")
            await visitor.say_and_wait(DISPUTE)
            texts = [f"line {number}" for number in range(count)]
            for text in texts:
                await visitor.say(text)
            await desk.ready()
            task_id = await desk.take()
            await desk.until_heard(task_id, texts)
            assert visitor.violations == []
