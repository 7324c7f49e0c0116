"""`warmline backup`: a copy of the SQLite database, beside a server that runs."""

import os
import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from warmline.cli.installation import DemoOption, chosen_settings
from warmline.domain.errors import ConfigError


def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; there must be none yet.")],
    demo: DemoOption = None,
) -> None:
    """Copy the database of a server on SQLite, which may run meanwhile, to a new file. (PostgreSQL: pg_dump.)

    It holds everything but the projects and the secret key, without which its secrets cannot be read.
    """
    url = chosen_settings(demo).database_url
    if not url.startswith("sqlite:///"):
        raise ConfigError("WARMLINE_DATABASE_URL", "this database is PostgreSQL: use pg_dump (docs/guide/backup.md)")
    size = copy(Path(url.removeprefix("sqlite:///")), file)
    typer.echo(f"{file}: {size:,} bytes, checked. The secret key and the projects are not in it.")


def copy(database: Path, target: Path) -> int:
    """Copy a SQLite database as of one moment; returns the size in bytes.

    The copy is written beside its place and gets its name when it is whole. Source: SQLite's online backup
    (https://www.sqlite.org/backup.html); in one step, so that writers, whom WAL lets go on, cannot make it begin anew.

    Raises:
        ConfigError: there is no database, the target exists or cannot be written, or the copy is not sound.
    """
    if not database.is_file():
        raise ConfigError("WARMLINE_DATABASE_URL", "there is no such database file yet")
    if target.exists():
        raise ConfigError(str(target), "exists already")
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy(database, part)
        part.rename(target)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise ConfigError(str(target), f"the copy failed: {error}") from error
    return target.stat().st_size


def _copy(database: Path, part: Path) -> None:
    source = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    copied = sqlite3.connect(part)
    try:
        source.backup(copied, pages=-1)
        # The copy is one file, without a log beside it.
        copied.execute("PRAGMA journal_mode = DELETE")
        (sound,) = copied.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {sound}")
    finally:
        copied.close()
        source.close()
    with part.open("rb") as file:
        os.fsync(file.fileno())
