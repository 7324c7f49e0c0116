"""Shows the pieces of an answer as soon as each has passed the filters."""

import asyncio
from collections.abc import Awaitable, Callable


class JudgedStream:
    """Stands between a brain and who reads its answer. What is refused is not shown, nor anything after it."""

    def __init__(self, show: Callable[[str], None], passes: Callable[[str], Awaitable[bool]]) -> None:
        """Show by `show` what `passes`, which judges the answer from its beginning up to the newest piece."""
        self._show = show
        self._passes = passes
        self._text = ""
        self._shown = 0
        self._refused = False
        self._judging: asyncio.Task[None] | None = None

    def add(self, text: str) -> None:
        """Take the next piece; pieces that come while one is judged are judged together."""
        self._text += text
        if self._judging is None:
            self._judging = asyncio.create_task(self._judge())

    async def drain(self) -> None:
        """Wait until every piece is shown or refused."""
        if self._judging is not None:
            await self._judging

    def stop(self) -> None:
        """Show nothing more."""
        if self._judging is not None:
            self._judging.cancel()

    async def _judge(self) -> None:
        while self._shown < len(self._text) and not self._refused:
            text = self._text
            if await self._passes(text):
                self._show(text[self._shown :])
                self._shown = len(text)
            else:
                self._refused = True
        self._judging = None
