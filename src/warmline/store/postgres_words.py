"""How PostgreSQL looks up words: an index of the words of each message, and of the day of its conversation."""

from collections.abc import Sequence

from warmline.store.catalog import CatalogSql
from warmline.store.entries import ENTRY
from warmline.store.fitting import NEWEST

_DATE_SOME = """
    WITH undated AS (
        DELETE FROM spoken_undated WHERE session_id IN (
            SELECT session_id FROM spoken_undated ORDER BY updated_at DESC LIMIT 100 FOR UPDATE SKIP LOCKED)
        RETURNING session_id)
    UPDATE spoken SET words = words WHERE session_id IN (SELECT session_id FROM undated)"""
"""A hundred conversations: few enough for the catalog to wait for."""
_UNDATED = "SELECT max(updated_at) FROM spoken_undated"


class PostgresWords(CatalogSql):
    """The part of the store that is about words (migrations 7 and 16)."""

    _save_text = """
        INSERT INTO spoken (session_id, message_id, words) VALUES ($1, $2, to_tsvector('simple', $3))
        ON CONFLICT (session_id, message_id) DO UPDATE SET words = excluded.words"""

    _window = 200
    _by_days = True
    _all_dated = False

    def _matching(self, words: list[str], days: Sequence[int] = ()) -> str:
        return f"SELECT session_id FROM spoken WHERE words @@ {_tsquery(words, days)}"

    async def _dated_since(self) -> int:
        if not self._all_dated:
            ((newest,),) = await self._read(_UNDATED)
            self._all_dated = newest is None
            return 0 if newest is None else int(newest) + 1
        return 0

    async def date_texts(self) -> int:
        """Let the triggers give some texts their day, the newest first."""
        if await self._dated_since():
            await self._execute((_DATE_SOME, ()))
        return await self._dated_since()

    def _among_newest(self, words: list[str], newest: str) -> str:
        # Offset and limit keep the planner from starting at the words, all of whose messages it would read.
        own = "SELECT words FROM spoken WHERE session_id = catalog.session_id OFFSET 0"
        said = f"SELECT 1 FROM ({own}) AS own WHERE words @@ {_tsquery(words)} LIMIT 1"
        return f"SELECT {ENTRY} FROM ({newest}) AS catalog CROSS JOIN LATERAL ({said}) AS said {NEWEST}"


def _tsquery(words: list[str], days: Sequence[int] = ()) -> str:
    said = f"to_tsquery('simple', '{' & '.join([*words[:-1], f'{words[-1]}:*'])}')"
    on_day = " | ".join(f"''#{day}''" for day in days)
    return f"({said} && '{on_day}'::tsquery)" if days else said
