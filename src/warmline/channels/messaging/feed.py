"""What happens in a session, carried to all of its sockets on this node."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import structlog

from warmline import telemetry
from warmline.channels.messaging.deps import MessagingDeps
from warmline.channels.messaging.wire import encode_event, encode_transient
from warmline.domain import events as e
from warmline.domain.errors import WarmlineError
from warmline.domain.events import Recorded, SessionEnded
from warmline.ports import LOOK, Ephemeral, Poke, Signal, Wake
from warmline.web.limits import RateLimiter

_log = structlog.get_logger(__name__)

_PAGE = 200
_LOOK_EVERY_S = 25.0

ENDED = 1000
"""Close code after SESSION_END, and only then: for clients it is final (§3.7)."""
TRY_AGAIN = 1013


class Receiver(Protocol):
    """One socket, as its feed sees it."""

    def event(self, sequence: int, frame: bytes) -> None:
        """Send a journaled event unless it was sent."""
        ...

    def transient(self, after: int, frame: bytes) -> None:
        """Send something that was shown after the event `after`, unless later events were sent."""
        ...

    def finish(self, code: int) -> None:
        """Send what is waiting, then close with `code`."""
        ...


class Feed:
    """Encodes each event of one session once and hands it to every receiver, in order, without gaps.

    It listens to the bus from the beginning; `begin` tells it how far the log reached when it was read after
    that. News that do not continue exactly there are read from the store, while later signals wait.
    """

    __slots__ = (
        "_catching_up",
        "_content_at",
        "_deps",
        "_frames",
        "_looked_at",
        "_position",
        "_receivers",
        "_stop_listening",
        "_waiting",
        "_with_human",
        "ended",
        "places",
        "session_id",
    )

    def __init__(self, session_id: str, deps: MessagingDeps, frames: RateLimiter) -> None:
        self.session_id = session_id
        self.ended = False
        self.places = 0
        """Sockets that use it or are about to."""
        self._deps = deps
        self._frames = frames
        self._receivers: list[Receiver] = []
        self._position: int | None = None
        self._waiting: list[Signal] = []
        self._catching_up: asyncio.Task[None] | None = None
        self._looked_at = deps.clock.monotonic()
        self._with_human = False
        self._content_at = deps.clock.monotonic()
        self._stop_listening = deps.bus.listen(session_id, self._hear)

    def begin(self, last_sequence: int, *, with_human: bool = False) -> None:
        """The log reached `last_sequence` when it was read while this feed was already listening.

        `with_human`: a handoff was under way then.
        """
        if self._position is None:
            self._position = last_sequence
            self._with_human = with_human
            self._work_off()

    def add(self, receiver: Receiver) -> None:
        """From now on `receiver` gets everything after the present position; call after `begin`."""
        self._receivers.append(receiver)
        if self.ended:
            receiver.finish(ENDED)

    def remove(self, receiver: Receiver) -> None:
        """Hand it nothing more."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def close(self) -> None:
        """Hear nothing more; call it once."""
        self._stop_listening()
        del self._stop_listening  # it knows this feed: a cycle

    def over_limit(self) -> bool:
        """Count a frame of this session, whatever socket it came by; True: one too many (§10)."""
        return self._frames.take(self.session_id) > 0

    def look(self) -> None:
        """Look into the store now and then: the bus may have lost the last poke."""
        now = self._deps.clock.monotonic()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self._hear(Poke(session_id=self.session_id, upto=LOOK))

    @property
    def silent_since(self) -> float | None:
        """When something was said last, while the customer waits for or talks to a human; else None. Monotonic."""
        return self._content_at if self._with_human else None

    def _hear(self, signal: Signal) -> None:
        if self._waiting or self._position is None or not self._show(signal, self._position):
            self._waiting.append(signal)
            self._work_off()

    def _work_off(self) -> None:
        if self._waiting and self._position is not None and self._catching_up is None:
            self._catching_up = asyncio.create_task(self._catch_up(self._position))

    def _show(self, signal: Signal, position: int) -> bool:
        """Hand on what `signal` itself tells. False: the store must be asked."""
        if isinstance(signal, Ephemeral):
            self._show_transient(signal, position)
            return True
        if isinstance(signal, Wake) or signal.upto <= position:
            return True
        news = [recorded for recorded in signal.events if position < recorded.sequence <= signal.upto]
        if not news or news[0].sequence != position + 1 or news[-1].sequence != signal.upto:
            return False
        self._show_events(news)
        return True

    def _show_events(self, news: Sequence[Recorded]) -> None:
        for recorded in news:
            frame = encode_event(recorded)
            with _followed(recorded.event):
                for receiver in self._receivers:
                    receiver.event(recorded.sequence, frame)
            self._position = recorded.sequence
            self._note(recorded.event)
            if isinstance(recorded.event, SessionEnded):
                self.ended = True
                for receiver in tuple(self._receivers):
                    receiver.finish(ENDED)

    def _note(self, event: e.Event) -> None:
        match event:
            case e.UserMessage() | e.VirtualAgentMessage() | e.VirtualAgentChunk() | e.LiveAgentMessage():
                self._content_at = self._deps.clock.monotonic()
            case e.HandoffTriggered():
                self._with_human = not event.by_client
            case e.HandoffFailed() | e.HandoffTimedOut() | e.LiveAgentLeft():
                self._with_human = False
            case _:
                pass

    def _show_transient(self, signal: Ephemeral, position: int) -> None:
        shown = _TRANSIENT.get(signal.kind)
        if shown is None or self.ended:
            return
        name, payload_of = shown
        deps = self._deps
        frame = encode_transient(name, payload_of(signal.payload), event_id=deps.ids.uuid(), at=deps.clock.now())
        for receiver in self._receivers:
            receiver.transient(position, frame)

    async def _catch_up(self, position: int) -> None:
        try:
            while self._waiting:
                if not self._show(self._waiting[0], position):
                    await self._read(position, self._waiting[0])
                self._waiting.pop(0)
                position = self._position or position
        except WarmlineError as error:
            _log.warning("messaging.feed_failed", session_id=self.session_id, code=error.code)
            self._give_up()
        except Exception:
            _log.exception("messaging.feed_failed", session_id=self.session_id)
            self._give_up()
        finally:
            self._catching_up = None

    async def _read(self, position: int, signal: Signal) -> None:
        upto = signal.upto if isinstance(signal, Poke) else position
        while position < upto:
            page = await self._deps.conversations.events(self.session_id, position, _PAGE)
            news = [recorded for recorded in page if recorded.sequence <= upto]
            if not news:
                return
            self._show_events(news)
            position = news[-1].sequence

    def _give_up(self) -> None:
        """What was missed is sent when the clients come back with their cursors."""
        self._waiting.clear()
        for receiver in tuple(self._receivers):
            receiver.finish(TRY_AGAIN)


def _followed(event: e.Event) -> AbstractContextManager[object]:
    """The end of a message's way, in its trace; an answer's is that of the message it answers, if it is here."""
    match event:
        case e.UserMessage(message_id=message_id) | e.LiveAgentMessage(message_id=message_id):
            return telemetry.follow("socket.send", message_id)
        case e.MessageReceived(message_id=message_id):
            return telemetry.follow("socket.send", message_id)
        case _:
            return telemetry.part("socket.send")


def _thinking(_: Mapping[str, object]) -> dict[str, Any]:
    return {}


def _typing(payload: Mapping[str, object]) -> dict[str, Any]:
    state = "TYPING_STATE_STARTED" if payload.get("started") else "TYPING_STATE_STOPPED"
    return {
        "state": state,
        "agent_id": str(payload.get("agent_id", "")),
        "agent_name": str(payload.get("agent_name", "")),
    }


_TRANSIENT = {"thinking": ("POLY_AGENT_THINKING", _thinking), "typing": ("LIVE_AGENT_TYPING", _typing)}
"""Ephemeral kinds that the customer sees; `typing` carries `started`, `agent_id`, `agent_name`."""


class Hub:
    """The feeds of all sessions that have a socket on this node."""

    def __init__(self, deps: MessagingDeps) -> None:
        self._deps = deps
        self._frames = RateLimiter(deps.limits.frames, deps.clock)
        self._feeds: dict[str, Feed] = {}

    def enter(self, session_id: str) -> Feed:
        """The session's feed, kept until as many `leave` as `enter` were called."""
        feed = self._feeds.get(session_id)
        if feed is None:
            feed = self._feeds[session_id] = Feed(session_id, self._deps, self._frames)
        feed.places += 1
        return feed

    def leave(self, feed: Feed) -> None:
        """Give a place back; the last one ends the feed."""
        feed.places -= 1
        if feed.places == 0:
            feed.close()
            del self._feeds[feed.session_id]
