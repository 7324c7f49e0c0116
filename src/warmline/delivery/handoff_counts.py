"""How handoffs end, counted from what is committed on this node."""

from collections.abc import Callable, Iterable

from warmline.delivery.metrics import DeliveryMetrics
from warmline.domain.events import Event, HandoffFailed, HandoffTimedOut, LiveAgentLeft, SessionEnded
from warmline.domain.session import Session
from warmline.ports import Committed

_OUTCOMES: dict[type[Event], str] = {
    HandoffFailed: "failed",
    HandoffTimedOut: "timed_out",
    LiveAgentLeft: "finished",
    SessionEnded: "customer_left",
}


class HandoffCounts:
    """Counts each handoff once, by the first event of its end.

    Args:
        known: the session as it was before the commit, None when this node has not seen it.
    """

    def __init__(self, metrics: DeliveryMetrics, known: Callable[[str], Session | None]) -> None:
        self._metrics = metrics
        self._known = known

    def observe(self, committed: Committed) -> None:
        """A change was committed (`Conversations.watch`); to be told before whoever remembers sessions."""
        handoff = committed.session.handoff
        if handoff is None or committed.session.active_handoff is not None:
            return
        outcome = _outcome(recorded.event for recorded in committed.events)
        if not outcome or (outcome == "customer_left" and not self._was_active(committed.session)):
            return
        self._metrics.handoffs_over.labels(handoff.connection_id, outcome).inc()

    def _was_active(self, session: Session) -> bool:
        """A session also ends long after its handoff."""
        before = self._known(session.id)
        return before is not None and before.active_handoff is not None


def _outcome(events: Iterable[Event]) -> str:
    return next((_OUTCOMES[type(event)] for event in events if type(event) in _OUTCOMES), "")
