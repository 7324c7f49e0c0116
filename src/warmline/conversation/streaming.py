"""Carries the pieces of an answer into the log while its turn is still running."""

import asyncio

import structlog

from warmline.conversation.service import Conversations
from warmline.domain.commands import StreamAnswer
from warmline.domain.effects import RunTurn
from warmline.domain.errors import WarmlineError
from warmline.ports import Clock, Ids

_log = structlog.get_logger(__name__)


class AnswerStream:
    """The answer of one turn. Pieces that come while one is being written go together."""

    def __init__(self, conversations: Conversations, clock: Clock, ids: Ids, session_id: str, effect: RunTurn) -> None:
        """Stream into the session `session_id` what the turn of `effect` answers."""
        self._conversations = conversations
        self._clock = clock
        self._ids = ids
        self._session_id = session_id
        self._effect = effect
        self._message_id = ""
        self._waiting: list[str] = []
        self._writing: asyncio.Task[None] | None = None

    def add(self, text: str) -> None:
        """Take the next piece; never waits, never raises."""
        self._waiting.append(text)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def drain(self) -> None:
        """Wait until every piece is in the log, or writing failed."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        self._message_id = self._message_id or self._ids.uuid()
        try:
            while self._waiting:
                text = "".join(self._waiting)
                self._waiting.clear()
                command = StreamAnswer(
                    at=self._clock.now(),
                    kind=self._effect.kind,
                    answers=self._effect.sequence,
                    message_id=self._message_id,
                    text=text,
                )
                await self._conversations.apply(self._session_id, command)
            self._writing = None
        except WarmlineError as error:
            # The turn's outcome holds the whole text; the task stays, so that nothing is written after the gap.
            _log.warning("turn.stream_failed", session_id=self._session_id, code=error.code)
