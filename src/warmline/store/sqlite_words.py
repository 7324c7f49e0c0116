"""How SQLite looks up words: a full-text index of the messages, which are numbered as they come in."""

from collections.abc import Sequence

from warmline.store.catalog import CatalogSql
from warmline.store.entries import ENTRY
from warmline.store.fitting import NEWEST


class SqliteWords(CatalogSql):
    """The part of the store that is about words (migration 7)."""

    _save_text = """
        INSERT INTO spoken (session_id, message_id, text) VALUES ($1, $2, $3)
        ON CONFLICT (session_id, message_id) DO UPDATE SET text = excluded.text"""

    _window = 1_000

    def _matching(self, words: list[str], days: Sequence[int] = ()) -> str:
        joined = "SELECT s.session_id FROM spoken_words w CROSS JOIN spoken s ON s.id = w.rowid"
        return f"{joined} WHERE w.spoken_words MATCH {_fts_query(words)}"

    def _among_newest(self, words: list[str], newest: str) -> str:
        # Messages are numbered as they come in: the index is read only between the first and the last of these.
        own = "recent r CROSS JOIN spoken o ON o.session_id = r.session_id"
        ids = f"SELECT min(o.id) AS first, max(o.id) AS last FROM {own}"
        within = "w.rowid >= (SELECT first FROM ids) AND w.rowid <= (SELECT last FROM ids)"
        joined = "SELECT s.session_id FROM spoken_words w CROSS JOIN spoken s ON s.id = w.rowid"
        said = f"{joined} WHERE w.spoken_words MATCH {_fts_query(words)} AND {within}"
        with_ids = f"WITH recent AS MATERIALIZED ({newest}), ids AS MATERIALIZED ({ids})"
        return f"{with_ids} SELECT {ENTRY} FROM recent WHERE session_id IN ({said}) {NEWEST}"


def _fts_query(words: list[str]) -> str:
    quoted = " ".join(f'"{word}"' for word in words)
    return f"'{quoted}*'"
