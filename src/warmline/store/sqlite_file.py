"""The SQLite file itself: one process at a time has it, and what was deleted is overwritten in it."""

import fcntl
import os
import sqlite3
import time
from pathlib import Path

from warmline.domain.errors import ConfigError, DatabaseInUse, StoreUnavailable

_URL = "WARMLINE_DATABASE_URL"
_CHECKPOINTS = 50


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


def scrub(db: sqlite3.Connection) -> None:
    """The index of words keeps deleted ones until it is merged, pages their old content, the WAL old pages."""
    db.execute("INSERT INTO spoken_words (spoken_words) VALUES ('optimize')")
    db.execute("PRAGMA temp_store = FILE")
    db.execute("VACUUM")
    db.execute("PRAGMA temp_store = MEMORY")
    for _ in range(_CHECKPOINTS):
        if not db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            return
        time.sleep(0.1)  # a reader still reads from it
    raise StoreUnavailable("the write-ahead log could not be emptied: something reads from it for long")
