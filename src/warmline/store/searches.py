"""Lists of conversations, and searches in what was said, in SQL; how words are looked up is the dialects' own."""

import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from warmline.domain.catalog import Entry
from warmline.ports import Listing, Wanted
from warmline.store.entries import ENTRY, entry_of
from warmline.store.fitting import Fitting, fitting

_MOST_WORDS = 8
_FAR = 4_000
"""So many conversations are looked through one by one when that should give a page."""
_WIDER = 4
"""The next window is so many times as wide, when nothing else is left to try."""
_DAY_MS = 86_400_000
_BLOCK = 12_000
"""The first days that are searched for words have about so many conversations."""
_MOST_DAYS = 16
"""So many days are searched together at most."""
_RARE = 8
"""A word of which a block has less than this part of a page is rare: all are looked up at once."""
_SPARE = 1.3
"""A block is so much longer than what is missing should need."""
_LISTED = 20_000
"""With fewer messages that have the words, their sessions are listed and put in order."""
_NEVER = 1 << 53
"""A time after all others."""
_FIRST_PATIENCE = 20
"""Nothing found yet, a search goes on so many times as long as it may for more."""
_ONE_PATIENCE = 3
"""To look up messages by words may take so many times as long; where the words are rare, it does not."""


class _Deadline:
    """When to stop looking on."""

    def __init__(self, patience_s: float, *, hasty: bool) -> None:
        began = time.perf_counter()
        self._one_s = patience_s * (1 if hasty else _ONE_PATIENCE)
        self._soon = began + patience_s
        self._last = began + patience_s * (1 if hasty else _FIRST_PATIENCE)

    def reached(self, listing: Listing) -> bool:
        """The page is as it should be, or will do for now."""
        return not listing.back_to or time.perf_counter() >= (self._soon if listing.entries else self._last)

    @property
    def one_s(self) -> float:
        """So long may the messages with the words be looked up."""
        return min(self._one_s, self.left_s)

    @property
    def left_s(self) -> float:
        """So long may whatever is looked up last take; infinite: as long as it takes."""
        return max(0.0, self._last - time.perf_counter())


class SearchSql(ABC):
    """Implements `ports.CatalogStore.conversations` on reading."""

    _window: int
    """So many of the newest conversations are looked through for words first."""

    _by_days = False
    """Texts know the day of their conversation's last change, so that those of some days can be searched."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _read_within(self, seconds: float, query: str, *arguments: object) -> list[Sequence[Any]] | None:
        """The same, unless it takes longer than that; then it is stopped, and the answer is None."""

    @abstractmethod
    def _matching(self, words: list[str], days: Sequence[int] = ()) -> str:
        """The query for the sessions of messages with all `words`, the last one being a beginning.

        With `days` (since the epoch), only of sessions whose last change was on one of these. Only asked for where
        texts know their days.

        Words consist of letters, digits and underscores. They stand in the query as they are, not as parameters, so
        that PostgreSQL plans for how common these words are.
        """

    async def _dated_since(self) -> int:
        """The texts of conversations that changed last at or after then (epoch ms) know their days; 0: of all."""
        return 0

    @abstractmethod
    def _among_newest(self, words: list[str], newest: str) -> str:
        """The query for those rows of the query `newest` whose session has such a message, newest change first."""

    async def conversations(self, wanted: Wanted) -> Listing:
        """The entries that fit, newest change first."""
        fits = fitting(wanted)
        words = re.findall(r"\w+", wanted.words)[:_MOST_WORDS]
        if words:
            everything = fitting(replace(wanted, stages=(), channel="", connection_id=""))
            deadline = _Deadline(wanted.patience_s, hasty=wanted.hasty)
            return await self._search(words, fits, everything, wanted.limit, deadline)
        if wanted.words.strip():
            return Listing()
        return Listing(entries=_entries(await self._read(fits.newest(ENTRY, wanted.limit), *fits.values)))

    async def _search(
        self, words: list[str], fits: Fitting, everything: Fitting, limit: int, deadline: _Deadline
    ) -> Listing:
        """Look through the newest conversations, then go by the words: day by day, or all at once.

        No way is quick for all words: a common word is in a million conversations, a rare one not in the newest
        thousands. What is common enough is found within days; what is rare is looked up at once. What is neither,
        many common words that rarely meet, may take too long: then the answer says how far back it goes.
        """
        window = self._window
        so_far = await self._walked(words, fits, window, limit, math.inf) or Listing()
        if deadline.reached(so_far):
            return so_far
        if so_far.entries and (promising := _extrapolated(window, len(so_far.entries), limit)) <= _FAR:
            window = promising
            so_far = await self._walked(words, fits, window, limit, deadline.left_s) or so_far
            if deadline.reached(so_far):
                return so_far
        blocks, common, rest = Listing(back_to=_NEVER), False, fits
        if self._by_days:
            blocks, common = await self._blocks(words, fits, everything, limit, deadline)
            so_far = min(so_far, blocks, key=_back_to)
            rest = fits.narrowed("updated_at < {0}", blocks.back_to)
        if not common and not deadline.reached(so_far):
            older = await self._said(self._matching(words), rest, limit - len(blocks.entries), deadline.one_s)
            if older is not None:
                return Listing(entries=(*blocks.entries, *older))
        while not deadline.reached(so_far):
            window *= _WIDER
            walked = await self._walked(words, fits, window, limit, deadline.left_s)
            if walked is None:
                break
            so_far = min(so_far, walked, key=_back_to)
        return so_far

    async def _walked(self, words: list[str], fits: Fitting, window: int, limit: int, seconds: float) -> Listing | None:
        """What the newest `window` conversations have; None: that took too long."""
        query = self._among_newest(words, fits.newest("*", window))
        rows = await self._read_within(seconds, f"{query} LIMIT {limit}", *fits.values)
        if rows is None:
            return None
        count, oldest, _ = await self._reach(fits, window)
        whole = len(rows) == limit or count < window
        # Others may have changed in the same millisecond as the oldest one.
        return Listing(entries=_entries(rows), back_to=0 if whole else oldest + 1)

    async def _blocks(
        self, words: list[str], fits: Fitting, everything: Fitting, limit: int, deadline: _Deadline
    ) -> tuple[Listing, bool]:
        """What some days have, and others before them as long as that is promising, and whether it took too long.

        The words are looked up in `everything`, which tells how many days have enough conversations.
        """
        count, oldest, newest = await self._reach(everything, self._window)
        dated_since = await self._dated_since()
        last, looked = newest // _DAY_MS, 0
        days = min(_MOST_DAYS, _BLOCK * (newest - oldest) // max(1, count) // _DAY_MS + 1)
        so_far = Listing(back_to=_NEVER)
        while (first := last - days + 1) * _DAY_MS >= dated_since:
            found = so_far.entries
            block = fits.narrowed("updated_at >= {0} AND updated_at < {1}", first * _DAY_MS, (last + 1) * _DAY_MS)
            matching = self._matching(words, range(first, last + 1))
            more = await self._said(matching, block, limit - len(found), deadline.one_s)
            if more is None:
                return so_far, True
            found, looked, last = (*found, *more), looked + days, first - 1
            so_far = Listing(entries=found, back_to=0 if len(found) == limit else first * _DAY_MS)
            if deadline.reached(so_far) or len(found) * _RARE < limit:
                break
            days = min(_MOST_DAYS, max(1, _extrapolated(looked, len(found), limit) - looked))
        return so_far, False

    async def _reach(self, fits: Fitting, window: int) -> tuple[int, int, int]:
        """How many there are up to `window`, and when the oldest and the newest of them changed."""
        newest = fits.newest("updated_at, session_id", window)
        found = f"SELECT count(*), min(updated_at), max(updated_at) FROM ({newest}) AS newest"
        ((count, first, last),) = await self._read(found, *fits.values)
        return count, first or 0, last or 0

    async def _said(self, matching: str, fits: Fitting, limit: int, seconds: float) -> tuple[Entry, ...] | None:
        """The newest of the sessions that the query `matching` gives; None: it is too many, or it took too long."""
        rows = await self._read_within(seconds, f"{matching} LIMIT {_LISTED}")
        if rows is None or len(rows) == _LISTED:
            return None
        few = fits.narrowed("session_id = ANY({0})", sorted({row[0] for row in rows}))
        return _entries(await self._read(few.newest_among_few(ENTRY, limit), *few.values))


def _extrapolated(looked: int, found: int, limit: int) -> int:
    """Through so many one should look for a full page, when `looked` had `found`; a few more to be safe."""
    return math.ceil(_SPARE * looked * limit / found)


def _back_to(listing: Listing) -> int:
    return listing.back_to


def _entries(rows: Sequence[Sequence[Any]]) -> tuple[Entry, ...]:
    return tuple(entry_of(row) for row in rows)
