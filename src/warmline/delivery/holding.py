"""How long news of a conversation wait for earlier ones that are still under way (webex-byoc.md §11.5)."""

from dataclasses import dataclass, field

from warmline.ports import InboxRow


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldSettings:
    """Windows, milliseconds; after a reordering was seen, a connection gets full windows for `distrust_s` seconds."""

    fresh_window_ms: int = 5
    """For one message alone that is younger than `fresh_age_ms` by our clock, in a live conversation."""
    fresh_age_ms: int = 250
    shared_window_ms: int = 25
    """The same where other nodes take webhooks in too: so long they may take to store what belongs first."""
    quiet_window_ms: int = 300
    """For everything else: so long after the last arrival …"""
    longest_ms: int = 900
    """… but none longer than this after its own arrival."""
    outage_window_ms: int = 1_300
    """In place of each where other nodes take webhooks in too, for `outage_s` after the store was out of reach: so long
    they may go on trying to store what came before (`InboxSettings.accept_within_s`), and then take for it."""
    outage_s: float = 10.0
    distrust_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Held:
    """A stored webhook and where it belongs among its neighbours."""

    row: InboxRow

    @property
    def terminal(self) -> bool:
        """It is the end of its conversation."""
        return self.row.terminal

    @property
    def place(self) -> tuple[bool, int, int, int]:
        """What sorts it: the end comes last, the rest by the platform's time."""
        return (self.terminal, self.row.event_at, self.row.rank, self.row.id)


@dataclass(slots=True)
class Hold:
    """The waiting news of one conversation. Times are seconds of the monotonic clock.

    When one has waited for the longest time, it goes with what belongs before it; what belongs after it stays. So
    news that arrive within the window of each other are put in order also amid an endless stream.
    """

    settings: HoldSettings
    items: list[Held] = field(default_factory=list)
    due: float = 0.0
    """When `take` is due."""
    looked_at: float | None = None
    """When the store was asked for what belongs before these, since the last of them came."""
    _latest: dict[int, float] = field(default_factory=dict)
    """When each row goes in any case."""
    _quiet: float = 0.0
    """When all of them go."""

    def add(self, item: Held, now: float, *, fresh: bool, shared: bool = False, outage: bool = False) -> None:
        """Hold an arrival.

        Args:
            item: what arrived.
            now: monotonic seconds.
            fresh: nothing speaks against a short wait, as far as the item itself goes.
            shared: other nodes take in webhooks of this conversation, too.
            outage: they may not have been able to store what they took in.
        """
        window = self._window(short=fresh and not item.terminal and not self.items, shared=shared, outage=outage)
        self.looked_at = None
        self._quiet = max(self._quiet if self.items else 0.0, now + window)
        self.items.append(item)
        self._latest[item.row.id] = now + max(window, self.settings.longest_ms / 1000)
        self._reckon()

    def _window(self, *, short: bool, shared: bool, outage: bool) -> float:
        """Seconds."""
        if shared and outage:
            return self.settings.outage_window_ms / 1000
        if not short:
            return self.settings.quiet_window_ms / 1000
        return (self.settings.shared_window_ms if shared else self.settings.fresh_window_ms) / 1000

    def take(self, now: float) -> list[Held]:
        """Those whose time has come, in order."""
        self.items.sort(key=lambda item: item.place)
        count = len(self.items)
        if now < self._quiet:
            overdue = [number for number, item in enumerate(self.items) if self._latest[item.row.id] <= now]
            count = max(overdue, default=-1) + 1
        taken, self.items = self.items[:count], self.items[count:]
        for item in taken:
            del self._latest[item.row.id]
        self.looked_at = None
        self._reckon()
        return taken

    def _reckon(self) -> None:
        self.due = min([self._quiet, *self._latest.values()])
