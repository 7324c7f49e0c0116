"""The bus between nodes: signals are told here at once, and to the other nodes in batches, over a transport."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import msgspec
import structlog

from warmline.bus import codec
from warmline.bus.codec import Heading
from warmline.bus.memory import MemoryBus
from warmline.bus.metrics import BusMetrics
from warmline.bus.transport import Transport
from warmline.domain.errors import BusUnavailable, WarmlineError
from warmline.ports import EVERYTHING, LOOK, Ids, Poke, Signal, Wake

_log = structlog.get_logger(__name__)

_NODES_KNOWN = 1000
_FIRST_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """How the bus between nodes behaves.

    `queue` is the most signals that wait to be sent. A node hears itself every `beat_s`; when it has not for three
    times as long, its connection is given up. It connects again after pauses of up to `pause_s`. When signals may
    have been lost, `looks` sessions are told to look every `look_every_s`, so that the store is not overrun.
    """

    queue: int = 10_000
    beat_s: float = 2.0
    pause_s: float = 2.0
    looks: int = 100
    look_every_s: float = 0.1
    farewell_s: float = 2.0


class ClusterBus:
    """Implements `ports.Bus` for several nodes.

    A node says so when it had to drop signals. It numbers its messages: a missing number tells the others that some
    were lost on the way. It hears itself, too: otherwise nobody does. While it is cut off its sessions look into the
    store by turns.
    """

    def __init__(
        self,
        transport: Transport,
        ids: Ids,
        settings: ClusterSettings | None = None,
        *,
        metrics: BusMetrics | None = None,
    ) -> None:
        self._metrics = metrics or BusMetrics()
        self._transport = transport
        self._settings = settings or ClusterSettings()
        self._node = ids.uuid()
        self._local = MemoryBus()
        self._watchers: list[Callable[[Poke | Wake], None]] = []
        self._waiting: deque[Signal] = deque()
        self._news = asyncio.Event()
        self._heard_itself = asyncio.Event()
        self._heard_itself_at = 0.0
        self._sent = 0
        self._dropped = False
        self._heard: dict[str, int] = {}
        self._connected = False
        self._stopping = asyncio.Event()
        self._problem = "not started"
        self._unsure: dict[str, None] = {}
        self._looking: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect. Raises ConfigError when that is refused; where nobody answers it goes on trying."""
        try:
            await self._connect()
        except BusUnavailable as error:
            _log.warning("bus.unreachable", problem=str(error))
        self._running = asyncio.create_task(self._run(), name="warmline-bus")

    async def stop(self) -> None:
        """Send what waits, for at most `farewell_s`, then let go."""
        self._stopping.set()
        self._news.set()
        if self._running is not None:
            await asyncio.wait([self._running], timeout=self._settings.farewell_s if self._connected else 0)
            await _cancelled(self._running)
        if self._looking is not None:
            await _cancelled(self._looking)
        self._connected = False
        await self._transport.close()

    async def check(self) -> None:
        """Raises BusUnavailable while other nodes cannot be reached."""
        if not self._connected:
            raise BusUnavailable(self._problem)

    def send(self, signal: Signal) -> None:
        """Tell it here at once and elsewhere soon. What does not fit into the queue is not told elsewhere, only that
        something was.
        """
        self._local.send(signal)
        if self._connected and not self._stopping.is_set() and len(self._waiting) < self._settings.queue:
            self._waiting.append(signal)
            self._news.set()
        else:
            self._dropped = True
            self._metrics.dropped.inc()

    def listen(self, session_id: str, sink: Callable[[Signal], None]) -> Callable[[], None]:
        """Listen to one session; the returned function ends it and may be called twice."""
        return self._local.listen(session_id, sink)

    def watch(self, sink: Callable[[Poke | Wake], None]) -> Callable[[], None]:
        """Watch what other nodes send; the returned function ends it and may be called twice."""
        self._watchers.append(sink)
        return partial(self._unwatch, sink)

    def _unwatch(self, sink: Callable[[Poke | Wake], None]) -> None:
        if sink in self._watchers:
            self._watchers.remove(sink)

    # the connection

    async def _connect(self) -> None:
        try:
            await self._transport.open(self._receive, self._lose)
            self._heard.clear()
            self._heard_itself.clear()
            await self._publish([])
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._heard_itself.wait()
            except TimeoutError:
                raise BusUnavailable("what is sent does not come back") from None
        except WarmlineError as error:
            self._problem = str(error)
            await self._transport.close()
            raise
        self._connected = True

    @property
    def _patience_s(self) -> float:
        return 3 * self._settings.beat_s

    def _lose(self) -> None:
        """The transport says that its connection is gone."""
        if self._connected:
            self._connected = False
            self._problem = "the connection was lost"
            self._news.set()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._connected:
                await self._come_back()
                continue
            await self._serve()
            if not self._stopping.is_set():
                _log.warning("bus.lost", problem=self._problem)
                self._metrics.lost.inc()

    async def _serve(self) -> None:
        """Send what waits until the connection is lost, or all is said when stopping."""
        loop = asyncio.get_running_loop()
        try:
            while self._connected and not (self._stopping.is_set() and not self._waiting):
                await self._work()
                if loop.time() - self._heard_itself_at > self._patience_s:
                    raise BusUnavailable("what is sent does not come back")
                self._news.clear()
                signals = [self._waiting.popleft() for _ in range(len(self._waiting))]
                await self._publish(signals)
        except WarmlineError as error:
            self._problem = str(error)
        except Exception as error:
            _log.exception("bus.failed")
            self._problem = type(error).__name__
        self._connected = False
        self._waiting.clear()

    async def _work(self) -> None:
        """Wait for something to send, or until it is time to be heard."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.beat_s):
                await self._news.wait()

    async def _come_back(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            await self._transport.close()
            self._dropped = True
            self._look_around()
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._news.wait()
            pause_s = min(2 * pause_s, self._settings.pause_s)
            if self._stopping.is_set():
                return
            known = self._problem
            try:
                await self._connect()
            except WarmlineError:
                if self._problem != known:
                    _log.warning("bus.unreachable", problem=self._problem)
                continue
            except Exception as error:
                _log.exception("bus.failed")
                self._problem = type(error).__name__
                continue
            _log.info("bus.back")
            self._missed()
            return

    # sending

    async def _publish(self, signals: Sequence[Signal]) -> None:
        room = self._transport.limit - len(codec.message(Heading(self._node, 10**12), ()))
        encoded = [told for signal in codec.shortened(signals) if (told := self._encoded(signal, room))]
        if self._dropped:
            self._dropped = False
            encoded.append(codec.encode(Wake(EVERYTHING)))
        chunks: list[Sequence[bytes]] = [*codec.chunks(encoded, room)]
        try:
            async with asyncio.timeout(self._patience_s):
                await self._transport.publish([self._message(chunk) for chunk in chunks or [()]])
        except TimeoutError:
            raise BusUnavailable("what is sent is not taken") from None

    def _message(self, encoded: Sequence[bytes]) -> bytes:
        self._sent += 1
        return codec.message(Heading(self._node, self._sent), encoded)

    def _encoded(self, signal: Signal, room: int) -> bytes:
        """`signal`, or nothing when it cannot travel: then the others learn that something is missing."""
        try:
            encoded = codec.encode(signal)
        except (TypeError, ValueError, msgspec.MsgspecError):
            _log.exception("bus.unsendable", kind=type(signal).__name__)
            encoded = b""
        if not encoded or len(encoded) > room:
            self._dropped = True
            return b""
        return encoded

    # receiving

    def _receive(self, message: bytes) -> None:
        try:
            head = codec.heading(message)
            if head.node == self._node:
                self._heard_itself_at = asyncio.get_running_loop().time()
                self._heard_itself.set()
                return
            self._count(head)
            for signal in codec.signals(message):
                self._hand_on(signal)
        except ValueError:
            _log.warning("bus.unreadable", size=len(message))
            self._missed()

    def _count(self, head: Heading) -> None:
        """Notice when messages of that node are missing before this one."""
        missing = head.number - self._heard.pop(head.node, head.number - 1) - 1
        self._heard[head.node] = head.number
        if len(self._heard) > _NODES_KNOWN:
            del self._heard[next(iter(self._heard))]
        if missing:
            _log.warning("bus.gap", node=head.node, missing=missing)
            self._metrics.gaps.inc()
            self._missed()

    def _hand_on(self, signal: Signal) -> None:
        if signal == Wake(EVERYTHING):
            self._missed()
            return
        self._local.send(signal)
        if isinstance(signal, Poke | Wake):
            self._tell_watchers(signal)

    def _tell_watchers(self, signal: Poke | Wake) -> None:
        for sink in tuple(self._watchers):
            try:
                sink(signal)
            except Exception:
                _log.exception("bus.watcher_failed")

    # after a loss

    def _missed(self) -> None:
        """Signals of other nodes were lost, or may have been."""
        self._tell_watchers(Wake(EVERYTHING))
        self._look_around()

    def _look_around(self) -> None:
        """Let every session look into the store."""
        self._unsure.update(dict.fromkeys(self._local.listened()))
        if self._unsure and self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="warmline-bus-look")

    async def _look(self) -> None:
        while self._unsure:
            for session_id in list(islice(self._unsure, self._settings.looks)):
                del self._unsure[session_id]
                self._local.send(Poke(session_id=session_id, upto=LOOK))
            await asyncio.sleep(self._settings.look_every_s)
        self._looking = None


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
