"""The SQLite file itself: one process at a time has it, and what was deleted is overwritten in it."""

import fcntl
import os
import sqlite3
from pathlib import Path

from warmline.domain.errors import ConfigError, DatabaseInUse

_URL = "WARMLINE_DATABASE_URL"
_EMPTY_WITHIN_MS = 1000


def take_lock(path: Path) -> int:
    """Lock `<path>.lock` for this process's life; the kernel frees it however the process dies."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(_URL, f"the database file cannot be created: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise DatabaseInUse(
            _URL, "another process has this database open. Stop it, or use PostgreSQL for more than one process."
        ) from None
    return lock


def scrub(db: sqlite3.Connection) -> bool:
    """Write the file anew without what was deleted; False when something read from the log for too long.

    The index of words keeps deleted ones until it is merged, pages keep their old content, the log old pages.
    """
    db.execute("INSERT INTO spoken_words (spoken_words) VALUES ('optimize')")
    db.execute("PRAGMA temp_store = FILE")
    db.execute("VACUUM")
    db.execute("PRAGMA temp_store = MEMORY")
    return empty_log(db)


def empty_log(db: sqlite3.Connection) -> bool:
    """Write the write-ahead log's pages into the file, and let nothing remain of the log; False as for `scrub`."""
    ((patience,),) = db.execute("PRAGMA busy_timeout").fetchall()
    db.execute(f"PRAGMA busy_timeout = {_EMPTY_WITHIN_MS}")
    try:
        return not db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        db.execute(f"PRAGMA busy_timeout = {patience}")
