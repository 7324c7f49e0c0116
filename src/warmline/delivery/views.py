"""What delivery knows of sessions without asking the store for every message."""

from collections.abc import Callable

from warmline.delivery.cache import Cache
from warmline.domain.handoff import HandoffState
from warmline.domain.session import Handoff, PendingMessage, Session
from warmline.ports import Committed, Store, StoredSession

_REMEMBERED = 20_000


class SessionViews:
    """Sessions with a handoff as of the last commit that this node has seen; another node may have seen more.

    While this node does not own all partitions (`alone`), what is in memory is only good for guesses: see `trusted`.
    """

    def __init__(self, store: Store, alone: Callable[[], bool] = lambda: True) -> None:
        self._store = store
        self._alone = alone
        self._sessions: Cache[str, Session] = Cache(_REMEMBERED)

    def observe(self, committed: Committed) -> None:
        """A change was committed (`Conversations.watch`)."""
        session = committed.session
        if session.active_handoff is None:
            self._sessions.forget(session.id)
            return
        known = self._sessions.get(session.id)
        if known is None or known.last_sequence <= session.last_sequence:
            self._sessions.put(session.id, session)

    def states(self) -> dict[str, float]:
        """How many handoffs are in each state, of those that changed while this process ran."""
        counts = {state.value: 0.0 for state in HandoffState if state is not HandoffState.ENDED}
        for session in self._sessions.values():
            if session.active_handoff is not None:
                counts[session.active_handoff.state.value] += 1
        return counts

    def known(self, session_id: str) -> Session | None:
        """The session if it is in memory, perhaps not as it is now."""
        return self._sessions.get(session_id)

    def trusted(self, session_id: str) -> Session | None:
        """The session if it is in memory, and nobody else is likely to have changed it."""
        return self._sessions.get(session_id) if self._alone() else None

    def forget(self) -> None:
        """What is in memory may be old."""
        self._sessions = Cache(_REMEMBERED)

    def changed(self, session_id: str) -> None:
        """Another node has changed it."""
        if self._alone():
            self._sessions.forget(session_id)

    async def fresh(self, session_id: str) -> Session | None:
        """The session as it lies in the store."""
        stored = await self.stored(session_id)
        return None if stored is None else stored.session

    async def stored(self, session_id: str) -> StoredSession | None:
        """The same, with what is known of its customer."""
        return await self._store.session(session_id)


def last_words(session: Session | None, handoff_id: str) -> tuple[PendingMessage, ...]:
    """What the customer said before they ended the session under this handoff, as far as nobody confirmed it then."""
    if session is None or session.ended is None or session.handoff is None or session.handoff.id != handoff_id:
        return ()
    return session.handoff.undelivered


def handoff_in(session: Session | None, handoff_id: str) -> Handoff | None:
    """The session's handoff if it is this one and not over."""
    handoff = None if session is None else session.active_handoff
    return handoff if handoff is not None and handoff.id == handoff_id else None
