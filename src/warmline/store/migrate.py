"""Numbered SQL files that make the schema, and the check whether program and schema fit each other.

`schema_version` has one row: `version` is the last file that was applied, `compatible_from` the oldest version a
program may have been written for and still work on it. A file says it in its first line:
`-- compatible from N`.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from warmline.domain.errors import ConfigError

VERSION_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL, compatible_from INTEGER NOT NULL)"""
READ_VERSION = "SELECT version, compatible_from FROM schema_version"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `script` includes the change of `schema_version`, to be run in one transaction."""

    version: int
    compatible_from: int
    script: str


@cache
def migrations(dialect: str) -> tuple[Migration, ...]:
    """All files of "sqlite" or "postgres", in order."""
    folder = resources.files(__package__).joinpath("migrations", dialect)
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return tuple(_parse(f.name, f.read_text(encoding="utf-8")) for f in files)


def _parse(name: str, text: str) -> Migration:
    version = int(name.split("_")[0])
    stated = re.match(r"-- compatible from (\d+)\n", text)
    if stated is None:
        raise ValueError(f"{name}: the first line must say '-- compatible from N'")
    compatible_from = int(stated[1])
    record = f"DELETE FROM schema_version;\nINSERT INTO schema_version VALUES ({version}, {compatible_from});\n"
    return Migration(version, compatible_from, f"{text}\n{record}")


def outstanding(dialect: str, found: tuple[int, int] | None) -> tuple[Migration, ...]:
    """The migrations to run on a schema whose `schema_version` row is `found` (None: empty database).

    Raises:
        ConfigError: the schema is newer than this program can work with.
    """
    known = migrations(dialect)
    version, compatible_from = found or (0, 0)
    if compatible_from > known[-1].version:
        raise ConfigError(
            "WARMLINE_DATABASE_URL",
            f"the database has schema {version}, which needs a program of schema {compatible_from} or later; "
            f"this one knows {known[-1].version}. Start the newer release, or restore a backup from before it.",
        )
    return tuple(m for m in known if m.version > version)


def check_current(dialect: str, found: tuple[int, int] | None) -> None:
    """Raise ConfigError unless the schema can be read as it is."""
    if outstanding(dialect, found):
        have = f"schema {found[0]}" if found else "no tables yet"
        newest = migrations(dialect)[-1].version
        raise ConfigError(
            "WARMLINE_DATABASE_URL", f"the database has {have}; this program needs {newest}: run `warmline migrate`"
        )
