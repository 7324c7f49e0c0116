"""What docs/guide/backup.md says is done here: a backup while a server writes, and a restore into a new place."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.messaging import until
from support.postgres import PostgresServer, binaries
from support.stores import begin, check_log, opened, post
from warmline.cli.backup import copy
from warmline.domain.errors import ConfigError, WarmlineError
from warmline.ports import Connection, Store

SECRETS = {"client_secret": "what nobody may read"}
CONNECTION = Connection(
    id="connection", provider="webex", name="Support", project_id="p", values={"region": "us1"}, secrets=SECRETS
)


@contextlib.asynccontextmanager
async def writers(store: Store) -> AsyncIterator[list[tuple[str, int]]]:
    """Twenty customers write on and on; gives (session, sequence) of what was accepted."""
    accepted: list[tuple[str, int]] = []

    async def write(session_id: str) -> None:
        number = 0
        while True:
            number += 1
            committed = await post(store, session_id, f"message {number}", key=f"{session_id}-{number}")
            accepted.append((session_id, committed.session.last_sequence))

    for number in range(20):
        await begin(store, f"s{number}")
    tasks = [asyncio.create_task(write(f"s{number}")) for number in range(20)]
    try:
        yield accepted
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def holds_what_was_accepted(store: Store, before: list[tuple[str, int]]) -> None:
    """Everything accepted before the backup began is there, and every log is whole."""
    for session_id in {session_id for session_id, _ in before}:
        last = max(sequence for session, sequence in before if session == session_id)
        await check_log(store, session_id)
        stored = await store.session(session_id)
        assert stored is not None
        assert stored.session.last_sequence >= last
    (connection,) = await store.connections()
    assert connection.secrets == SECRETS


async def test_sqlite_is_copied_while_a_server_writes_and_goes_on_from_the_copy(tmp_path: Path) -> None:
    database, target = tmp_path / "warmline.db", tmp_path / "backup" / "copy.db"
    target.parent.mkdir()
    async with opened(f"sqlite:///{database}") as store:
        await store.save_connection(CONNECTION)
        async with writers(store) as accepted:
            await until(lambda: len(accepted) >= 200, 30)
            before = list(accepted)
            await asyncio.to_thread(copy, database, target)
            at_the_end = len(accepted)
            await until(lambda: len(accepted) >= at_the_end + 20, 30)
    assert [path.name for path in target.parent.iterdir()] == ["copy.db"]
    assert target.stat().st_mode & 0o077 == 0
    async with opened(f"sqlite:///{target}") as restored:
        await holds_what_was_accepted(restored, before)
        await post(restored, "s0", "and it goes on")


async def test_postgres_is_dumped_while_a_server_writes_and_goes_on_from_the_dump(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    dump = tmp_path / "warmline.dump"
    with postgres_server.database() as url, postgres_server.database() as other:
        async with opened(url) as store:
            await store.save_connection(CONNECTION)
            async with writers(store) as accepted:
                await until(lambda: len(accepted) >= 200, 30)
                before = list(accepted)
                await run(postgres_server.base, "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={url}")
        owner = ("--no-owner", "--exit-on-error", "--single-transaction")
        await run(postgres_server.base, "pg_restore", *owner, f"--dbname={other}", str(dump))
        assert urlsplit(other).path != urlsplit(url).path
        async with opened(other) as restored:
            await holds_what_was_accepted(restored, before)
            await post(restored, "s0", "and it goes on")


async def run(base: Path, program: str, *arguments: str) -> None:
    command = [str(binaries(base) / program), *arguments]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, timeout=60)


async def test_without_its_key_a_restored_database_has_no_secrets(tmp_path: Path) -> None:
    database, target = tmp_path / "warmline.db", tmp_path / "copy.db"
    async with opened(f"sqlite:///{database}") as store:
        await begin(store, "s")
        await store.save_connection(CONNECTION)
        copy(database, target)
    async with opened(f"sqlite:///{target}", key="another-key-of-16-characters") as restored:
        await check_log(restored, "s")
        with pytest.raises(WarmlineError):
            await restored.connections()


def test_a_backup_never_overwrites_and_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such database"):
        copy(tmp_path / "none.db", tmp_path / "copy.db")
    (tmp_path / "warmline.db").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(ConfigError, match="copy failed"):
        copy(tmp_path / "warmline.db", tmp_path / "copy.db")
    (tmp_path / "copy.db").touch()
    with pytest.raises(ConfigError, match="exists already"):
        copy(tmp_path / "warmline.db", tmp_path / "copy.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "warmline.db"]
