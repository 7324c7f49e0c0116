"""A second conversation that goes on while something bad happens to others, and notices any disturbance."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from support.desk import Desk
from support.installation import DISPUTE, ServerProcess, customer
from warmline.testing.messaging_client import MessagingClient

_PAUSE_S = 0.4
"""Stays below the limit of 30 frames in 10 seconds."""
_PATIENCE_S = 9.0
"""What hangs elsewhere hangs for ten seconds: whoever waited for that would be disturbed."""
_ROUNDS = 2

Round = Callable[[int], Awaitable[None]]


@contextlib.asynccontextmanager
async def bystander(server: ServerProcess, question: str, answer: str) -> AsyncIterator[MessagingClient]:
    """Somebody who asks the virtual agent the same again and again, and always gets `answer`."""
    async with customer(server, resend_s=30.0) as visitor:
        await visitor.start()
        await visitor.expect("POLY_AGENT_MESSAGE")

        async def ask(number: int) -> None:
            await visitor.say_and_wait(question, _PATIENCE_S)
            await visitor.expect("POLY_AGENT_MESSAGE", number + 1, _PATIENCE_S)

        async with _going_on(ask) as rounds:
            yield visitor
        told = [text for speaker, text in _spoken(visitor)][1:]
        assert told == [question, answer] * len(rounds)
        _check_undisturbed(visitor)


@contextlib.asynccontextmanager
async def live_bystander(server: ServerProcess, desk: Desk, wish: str = DISPUTE) -> AsyncIterator[MessagingClient]:
    """Somebody who writes to and fro with the live agent at `desk`, who takes no further conversation."""
    async with customer(server, resend_s=30.0) as visitor:
        await desk.ready()
        await visitor.start()
        await visitor.expect("POLY_AGENT_MESSAGE")
        await visitor.say_and_wait(wish)
        task_id = await desk.take()
        await desk.act("state", state="Idle")
        await visitor.expect("LIVE_AGENT_JOINED")

        async def talk(number: int) -> None:
            await visitor.say_and_wait(f"question {number}", _PATIENCE_S)
            await visitor.expect("LIVE_AGENT_RECEIVED_MESSAGE", number, _PATIENCE_S)
            await desk.say(task_id, f"answer {number}")
            await visitor.expect("LIVE_AGENT_MESSAGE", number, _PATIENCE_S)

        async with _going_on(talk) as rounds:
            yield visitor
        expected = [f"{kind} {number}" for number in rounds for kind in ("question", "answer")]
        assert [text for _, text in _spoken(visitor)][-len(expected) :] == expected
        assert await desk.heard(task_id) == [f"question {number}" for number in rounds]
        _check_undisturbed(visitor)
        await desk.end(task_id)
        await visitor.expect("SESSION_END")


@contextlib.asynccontextmanager
async def _going_on(one_round: Round) -> AsyncIterator[list[int]]:
    """Rounds from 1 on, at least two; what goes wrong in one of them is raised at the end."""
    rounds: list[int] = []
    leaving = asyncio.Event()

    async def run() -> None:
        while not leaving.is_set() or len(rounds) < _ROUNDS:
            await one_round(len(rounds) + 1)
            rounds.append(len(rounds) + 1)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(leaving.wait(), _PAUSE_S)

    task = asyncio.create_task(run())
    try:
        yield rounds
        leaving.set()
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _spoken(visitor: MessagingClient) -> list[tuple[str, str]]:
    kinds = ("USER_MESSAGE", "POLY_AGENT_MESSAGE", "LIVE_AGENT_MESSAGE", "SYSTEM_MESSAGE")
    return [(e.type, str(e.payload.get("text", e.payload.get("message")))) for e in visitor.events if e.type in kinds]


def _check_undisturbed(visitor: MessagingClient) -> None:
    journal = [event.sequence for event in visitor.journal()]
    assert journal == list(range(1, len(journal) + 1))
    assert visitor.violations == []
    assert visitor.all("SYSTEM_MESSAGE") == []
    assert len(visitor.connections) == 1
    assert not visitor.connections[0].closed.is_set()
