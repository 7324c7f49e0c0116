"""Whether a destination can be spoken to now; what waits for it, and who tries first."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import structlog

from warmline.delivery.alarms import Alarms
from warmline.delivery.metrics import DeliveryMetrics
from warmline.handoff.contract import (
    ProviderAuthFailed,
    ProviderError,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnavailable,
)
from warmline.ports import Clock, OutboxRow

_log = structlog.get_logger(__name__)


class DestinationState(StrEnum):
    """How a connection is."""

    UP = "up"
    DOWN = "down"
    """It failed again and again; one probe per interval, everything else waits."""
    AUTH_FAILED = "auth_failed"
    """Our credentials are refused; nothing goes out until somebody mended them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """When a destination counts as down (webex-byoc.md §15.3) and how often it is probed."""

    failures: int = 5
    within_s: float = 30.0
    probe_s: float = 20.0
    probe_within_s: float = 30.0
    """A probe of which nothing is heard for so long came to nothing: its attempt could not be noted, or is not ours."""


@dataclass(slots=True)
class _Destination:
    state: DestinationState = DestinationState.UP
    reason: str = ""
    """Why the last call failed, for the operator; "" when it did not."""
    since: int = 0
    """When it came into its state, milliseconds since the epoch."""
    failures: deque[float] = field(default_factory=deque)
    """Times of the failures since the last success."""
    hold_until: float = 0.0
    """They asked us to be slower."""
    waiting: dict[int, str] = field(default_factory=dict)
    """Rows that were not admitted, and their streams."""
    probe: int | None = None
    """The row that may try while it is down; 0: whichever asks first."""
    probing_until: float = 0.0
    """A probe is under way, and over by then at the latest."""
    downs: int = 0
    """How often it went down."""


_GAUGE = {DestinationState.UP: 1, DestinationState.DOWN: 0, DestinationState.AUTH_FAILED: -1}


class Health:
    """The state of every connection, learned from the calls that are made anyway."""

    def __init__(
        self, clock: Clock, alarms: Alarms, metrics: DeliveryMetrics, settings: HealthSettings | None = None
    ) -> None:
        self._clock = clock
        self._alarms = alarms
        self._metrics = metrics
        self._settings = settings or HealthSettings()
        self._destinations: dict[str, _Destination] = {}
        self._wake: Callable[[str], None] = lambda stream_key: None
        self._tell_up: Callable[[str], None] = lambda connection_id: None
        self._tell_down: Callable[[str], None] = lambda connection_id: None

    def on_down(self, tell: Callable[[str], None]) -> None:
        """Call `tell(connection_id)` when a destination failed again and again."""
        self._tell_down = tell

    def on_up(self, tell: Callable[[str], None]) -> None:
        """Call `tell(connection_id)` when a destination can be reached again."""
        self._tell_up = tell

    def on_ready(self, wake: Callable[[str], None]) -> None:
        """Call `wake(stream_key)` when a row that was not admitted should ask again."""
        self._wake = wake

    def down_since(self, connection_id: str) -> int:
        """Since when it is down, milliseconds since the epoch; 0: it is not."""
        destination = self._destinations.get(connection_id)
        return destination.since if destination is not None and destination.state is DestinationState.DOWN else 0

    def state(self, connection_id: str) -> DestinationState:
        """How this connection is."""
        known = self._destinations.get(connection_id)
        return DestinationState.UP if known is None else known.state

    def states(self) -> dict[str, tuple[DestinationState, str]]:
        """State of every connection that was spoken to, and why its last call failed ("" when it did not)."""
        return {connection_id: (d.state, d.reason) for connection_id, d in self._destinations.items()}

    def answers(self, connection_id: str) -> bool:
        """The last call of this destination was answered."""
        known = self._destinations.get(connection_id)
        return known is not None and known.state is DestinationState.UP and not known.failures

    def reached(self, connection_id: str) -> None:
        """Another node reaches this destination: when it is down for this one, the next probe need not wait."""
        destination = self._destinations.get(connection_id)
        if destination is not None and destination.state is DestinationState.DOWN and destination.probe is None:
            self._choose(destination)

    def admit(self, connection_id: str, row: OutboxRow) -> bool:
        """The row may make a call now. If not, its stream is woken when it should ask again."""
        destination = self._destinations.get(connection_id)
        if destination is None or (destination.state is DestinationState.UP and not destination.hold_until):
            return True
        if destination.state is DestinationState.UP and self._clock.monotonic() >= destination.hold_until:
            destination.hold_until = 0.0
            return True
        if destination.state is DestinationState.DOWN and destination.probe in (0, row.id):
            destination.probe = None
            destination.probing_until = self._clock.monotonic() + self._settings.probe_within_s
            destination.waiting.pop(row.id, None)
            return True
        destination.waiting[row.id] = row.stream_key
        return False

    def withdraw(self, connection_id: str, row: OutboxRow) -> None:
        """A row that was not admitted does not wait any more: it must not be chosen to probe."""
        destination = self._destinations.get(connection_id)
        if destination is not None:
            destination.waiting.pop(row.id, None)

    def succeeded(self, connection_id: str) -> None:
        """A call was answered (also by a refusal that was about the call, not about them)."""
        destination = self._destinations.get(connection_id)
        if destination is None:
            self._destinations[connection_id] = _Destination()
            self._show(connection_id, DestinationState.UP)
            return
        if destination.failures:
            destination.failures.clear()
            destination.reason = ""
        if destination.state is DestinationState.DOWN:
            self._up(connection_id, destination)

    def failed(self, connection_id: str, error: ProviderError) -> None:
        """A call failed."""
        destination = self._destinations.setdefault(connection_id, _Destination())
        match error:
            case ProviderAuthFailed():
                self._enter(connection_id, destination, DestinationState.AUTH_FAILED, error)
            case ProviderUnavailable() | ProviderTimeout():
                self._fell(connection_id, destination, error)
            case ProviderThrottled():
                self.succeeded(connection_id)
                self._hold(destination, error.retry_after)
            case _:
                self.succeeded(connection_id)

    def aborted(self, connection_id: str) -> None:
        """A call came to no result: it says nothing about them."""
        destination = self._destinations.get(connection_id)
        if destination is not None:
            destination.probing_until = 0.0

    def resume(self, connection_id: str) -> None:
        """Somebody mended the connection: try again, oldest first."""
        destination = self._destinations.get(connection_id)
        if destination is not None and destination.state is not DestinationState.UP:
            self._up(connection_id, destination)

    def _fell(self, connection_id: str, destination: _Destination, error: ProviderError) -> None:
        now = self._clock.monotonic()
        destination.probing_until = 0.0
        destination.failures.append(now)
        while len(destination.failures) > self._settings.failures:
            destination.failures.popleft()
        if destination.state is not DestinationState.AUTH_FAILED:
            destination.reason = str(error)
        enough = len(destination.failures) == self._settings.failures
        if (
            destination.state is DestinationState.UP
            and enough
            and now - destination.failures[0] <= self._settings.within_s
        ):
            self._enter(connection_id, destination, DestinationState.DOWN, error)
            destination.downs += 1
            self._probe_later(destination)
            self._tell_down(connection_id)

    def _probe_later(self, destination: _Destination) -> None:
        self._alarms.after(self._settings.probe_s, partial(self._let_one_try, destination, destination.downs))

    def _let_one_try(self, destination: _Destination, down: int) -> None:
        if destination.state is DestinationState.DOWN and destination.downs == down:
            self._choose(destination)
            self._probe_later(destination)

    def _choose(self, destination: _Destination) -> None:
        """Let the oldest row that waits try, or whichever asks first."""
        if self._clock.monotonic() < destination.probing_until:
            return
        # One that was chosen and did not ask again has nothing to send any more.
        if destination.probe:
            destination.waiting.pop(destination.probe, None)
        destination.probe = min(destination.waiting, default=0)
        if destination.probe:
            self._wake(destination.waiting[destination.probe])

    def _hold(self, destination: _Destination, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        if until > destination.hold_until:
            destination.hold_until = until
            self._alarms.after(seconds, partial(self._release, destination, until))

    def _release(self, destination: _Destination, until: float) -> None:
        if destination.state is DestinationState.UP and destination.hold_until in (0.0, until):
            destination.hold_until = 0.0
            self._wake_all(destination)

    def _up(self, connection_id: str, destination: _Destination) -> None:
        destination.failures.clear()
        destination.hold_until = 0.0
        self._enter(connection_id, destination, DestinationState.UP)
        self._wake_all(destination)
        self._tell_up(connection_id)

    def _enter(
        self,
        connection_id: str,
        destination: _Destination,
        state: DestinationState,
        error: ProviderError | None = None,
    ) -> None:
        destination.probe = None
        destination.probing_until = 0.0
        if destination.state is not state:
            code = error.code if error else ""
            _log.warning("destination.state", connection_id=connection_id, state=state.value, reason=code)
            destination.since = self._clock.now()
        destination.state = state
        destination.reason = str(error) if error else ""
        self._show(connection_id, state)

    def _wake_all(self, destination: _Destination) -> None:
        waiting, destination.waiting = destination.waiting, {}
        for row_id in sorted(waiting):
            self._wake(waiting[row_id])

    def _show(self, connection_id: str, state: DestinationState) -> None:
        self._metrics.destination.labels(connection_id).set(_GAUGE[state])
