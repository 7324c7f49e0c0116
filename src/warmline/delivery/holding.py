"""How long news of a conversation wait for earlier ones that are still under way (webex-byoc.md §11.5)."""

from dataclasses import dataclass, field

from warmline.handoff.contract import Receipt
from warmline.ports import InboxRow


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldSettings:
    """Windows, milliseconds; after a reordering was seen, a connection gets full windows for `distrust_s` seconds."""

    fresh_window_ms: int = 5
    """For one message alone that is younger than `fresh_age_ms` by our clock, in a live conversation."""
    fresh_age_ms: int = 250
    quiet_window_ms: int = 300
    """For everything else: so long after the last arrival …"""
    longest_ms: int = 900
    """… but not longer than this after the first, or after the end if that is among them."""
    distrust_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Held:
    """A stored webhook and where it belongs among its neighbours."""

    row: InboxRow
    rank: int = 0
    terminal: bool = False

    @property
    def place(self) -> tuple[bool, int, int, int]:
        """What sorts it: the end comes last, the rest by the platform's time."""
        return (self.terminal, self.row.event_at, self.rank, self.row.id)


def held(row: InboxRow, receipt: Receipt) -> Held:
    """The row with what its receipt says about its place."""
    return Held(row, receipt.rank, receipt.terminal)


@dataclass(slots=True)
class Hold:
    """The waiting news of one conversation. Times are seconds of the monotonic clock."""

    settings: HoldSettings
    items: list[Held] = field(default_factory=list)
    due: float = 0.0
    """When `take` is due."""
    _latest: float = 0.0

    def add(self, item: Held, now: float, *, fresh: bool) -> None:
        """Hold an arrival. `fresh`: nothing speaks against a short wait, as far as the item itself goes."""
        if not self.items or (item.terminal and not any(held.terminal for held in self.items)):
            self._latest = now + self.settings.longest_ms / 1000
        if not self.items:
            short = fresh and not item.terminal
            window = self.settings.fresh_window_ms if short else self.settings.quiet_window_ms
        else:
            window = self.settings.quiet_window_ms
        self.items.append(item)
        self.due = min(self._latest, now + window / 1000)

    def take(self) -> list[Held]:
        """All of them in order; nothing is held any more."""
        items, self.items = sorted(self.items, key=lambda item: item.place), []
        return items
