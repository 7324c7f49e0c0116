"""A turn engine that answers by script."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from warmline.domain.messages import Say
from warmline.domain.turn import HandoffRequest, TurnInput, TurnKind, TurnOutcome
from warmline.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a turn comes to.

    It takes `delay_s` seconds of the engine's clock, and waits for `until` if given. `functions`: it calls some.
    `streams`: pieces that are shown before it is over. `failed`: the project failed. `raises`: the engine itself
    breaks, which none should.
    """

    says: tuple[Say, ...] = ()
    handoff: HandoffRequest | None = None
    handoff_error: bool = False
    end: bool = False
    failed: bool = False
    language: str | None = None
    functions: bool = False
    streams: tuple[str, ...] = ()
    delay_s: float = 0.0
    until: asyncio.Event | None = field(default=None, compare=False)
    raises: Exception | None = field(default=None, compare=False)


def say(*texts: str) -> Reply:
    """A reply of plain texts."""
    return Reply(says=tuple(Say(text=text) for text in texts))


class ScriptedEngine:
    """Implements `ports.TurnEngine`. What the script does not name is answered with "You said: …".

    `turns` holds the input of every turn that began, in order.
    """

    def __init__(self, clock: Clock, greeting: str = "Hello, how can I help?") -> None:
        self.turns: list[TurnInput] = []
        self._clock = clock
        self._start: deque[Reply] = deque((say(greeting),))
        self._replies: dict[str, deque[Reply]] = {}

    def on(self, text: str, *replies: Reply) -> None:
        """Answer the customer's `text` with these replies, one each time; the last one stays."""
        self._replies[text] = deque(replies)

    def on_start(self, *replies: Reply) -> None:
        """Greet with these, one each time; the last one stays."""
        self._start = deque(replies)

    async def run(
        self,
        turn: TurnInput,
        before_functions: Callable[[], Awaitable[None]],
        stream: Callable[[str], None] | None = None,
    ) -> TurnOutcome:
        """Take the script's next reply."""
        self.turns.append(turn)
        reply = self._next(turn)
        if stream is not None:
            for piece in reply.streams:
                stream(piece)
        if reply.functions:
            await before_functions()
        if reply.delay_s:
            await self._clock.sleep(reply.delay_s)
        if reply.until is not None:
            await reply.until.wait()
        if reply.raises is not None:
            raise reply.raises
        return TurnOutcome(
            says=reply.says,
            handoff=reply.handoff,
            handoff_error=reply.handoff_error,
            end=reply.end,
            failed=reply.failed,
            language=reply.language,
            memory=turn.memory,
        )

    async def close(self) -> None:
        """Nothing to stop."""

    def _next(self, turn: TurnInput) -> Reply:
        if turn.kind is TurnKind.END:
            return Reply()
        replies = self._start if turn.kind is TurnKind.START else self._replies.get(turn.text)
        if not replies:
            return say(f"You said: {turn.text}")
        return replies.popleft() if len(replies) > 1 else replies[0]
