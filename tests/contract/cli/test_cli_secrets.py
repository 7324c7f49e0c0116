"""`warmline secrets …`."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.installation import LUMEN
from support.stores import NODE, TTL_MS, opened
from warmline.channels.messaging.context import with_generation
from warmline.config import Settings
from warmline.domain.errors import DatabaseInUse
from warmline.ports import Connection, Connector, Receiver, Store
from warmline.system import SystemClock
from warmline.testing.messaging_client import PATIENCE_S

from .conftest import Command

NEW, OLD = "0" * 32, "1" * 32
HIDDEN = ("swordfish", "bream", "carp", "eel")


@pytest.fixture
def key_file(tmp_path: Path, settings: Settings) -> Path:
    """The file that holds the installation's keys; it is empty until a test writes into it."""
    file = tmp_path / "demo" / "secret.key"
    file.write_text("")
    return file


async def fill(store: Store) -> None:
    """Something sealed of every kind."""
    connection = Connection(
        id="c1",
        provider="webex",
        name="Webex",
        project_id="lumen-energy",
        values={},
        secrets={"client_secret": "swordfish"},
        state="ok",
        state_reason="",
        created_at=1,
    )
    await store.save_connection(connection)
    await store.save_project_secret("lumen-energy", "CRM", "bream", 1)
    await store.save_receiver(
        Receiver(id="r1", name="CRM", url="https://example.com", kinds=(), secret="carp", previous="eel")
    )


def lines(state: str) -> Iterator[str]:
    """What is listed of what `fill` made."""
    yield f"connection  Webex (c1)  client_secret  {state}"
    yield f"project  lumen-energy  CRM  {state}"
    yield f"receiver  CRM (r1)  previous  {state}"
    yield f"receiver  CRM (r1)  secret  {state}"


async def test_a_key_is_changed(warmline: Command, settings: Settings, key_file: Path) -> None:
    key_file.write_text(OLD)
    nothing = await warmline("secrets", "list")
    assert (nothing.exit_code, nothing.output) == (0, "Nothing is sealed in this database.\n")
    async with opened(settings.database_url, key=OLD) as store:
        await fill(store)
    listed = await warmline("secrets", "list")
    assert (listed.exit_code, listed.output.splitlines()) == (0, list(lines("current key")))

    key_file.write_text(f"{NEW},{OLD}")
    listed = await warmline("secrets", "list")
    assert listed.exit_code == 0
    assert listed.output.splitlines()[:-1] == list(lines("previous key"))
    assert listed.output.splitlines()[-1].startswith("4 with a previous key: `warmline secrets rotate`")
    assert "warn secrets: 4 of 4 are sealed with a previous key." in (await warmline("doctor")).output
    rotated = await warmline("secrets", "rotate")
    assert rotated.exit_code == 0, rotated.output
    assert rotated.output.startswith("Sealed anew: 4 of 4.\n")
    assert "Take the others out of WARMLINE_SECRET_KEY" in rotated.output
    assert "24 hours after" in rotated.output
    assert "verified context" not in rotated.output
    again = await warmline("secrets", "rotate")
    assert (again.exit_code, again.output.splitlines()[0]) == (0, "Sealed anew: 0 of 4.")

    key_file.write_text(NEW)
    listed = await warmline("secrets", "list")
    assert (listed.exit_code, listed.output.splitlines()) == (0, list(lines("current key")))
    assert "ok   secrets: 4 sealed with the current key." in (await warmline("doctor")).output
    assert "holds one key, and it opens everything" in (await warmline("secrets", "rotate")).output
    async with opened(settings.database_url, key=NEW) as store:
        assert await store.project_secret("lumen-energy", "CRM") == "bream"
        (entry,) = await store.audit()
    assert (entry.user_name, entry.act, entry.subject) == ("warmline secrets", "secrets_sealed_anew", "4")
    for result in (listed, rotated, again):
        assert [word for word in HIDDEN if word in result.output] == []


async def test_what_cannot_be_opened_is_named_and_holds_up_no_other(
    warmline: Command, settings: Settings, key_file: Path
) -> None:
    async with opened(settings.database_url, key="2" * 32) as store:
        await fill(store)
    async with opened(settings.database_url, key=OLD) as store:
        await store.save_project_secret("lumen-energy", "BILLING", "perch", 1)
    key_file.write_text(f"{NEW},{OLD}")
    listed = await warmline("secrets", "list")
    assert listed.exit_code == 1
    told = (await warmline("doctor")).output
    assert "fail secrets: 4 of 5 cannot be opened with WARMLINE_SECRET_KEY." in told
    assert "`warmline secrets list` names them" in told
    rotated = await warmline("secrets", "rotate")
    assert rotated.exit_code == 1
    assert "Sealed anew: 1 of 5." in rotated.stdout
    for result in (listed, rotated):
        assert "4 cannot be opened:" in result.stderr
        for line in lines("CANNOT BE OPENED: sealed with a key that is not in WARMLINE_SECRET_KEY"):
            assert f"  {line}\n" in result.stderr
        assert "BILLING" not in result.stderr
        assert "Add the key that sealed them" in result.stderr
        assert "Take the others out" not in result.output
    key_file.write_text(f"{NEW},{OLD},{'2' * 32}")
    assert (await warmline("secrets", "rotate")).exit_code == 0
    key_file.write_text(NEW)
    assert (await warmline("secrets", "list")).exit_code == 0


async def test_what_is_lost_is_forgotten(warmline: Command, settings: Settings, key_file: Path) -> None:
    async with opened(settings.database_url, key=OLD) as store:
        await fill(store)
    key_file.write_text(NEW)
    asked = await warmline("secrets", "forget", given="n\n")
    assert asked.exit_code == 1
    for line in lines("CANNOT BE OPENED: sealed with a key that is not in WARMLINE_SECRET_KEY"):
        assert f"{line}\n" in asked.stdout
    done = await warmline("secrets", "forget", given="y\n")
    assert done.exit_code == 0, done.output
    assert "Deleted: 4. Start the server, then\n- change each of these connections" in done.stdout
    async with opened(settings.database_url, key=NEW) as store:
        (connection,) = await store.connections()
        assert connection.secrets == {}
        (entry,) = await store.audit()
    assert (entry.act, entry.subject) == ("secrets_forgotten", "4")
    again = await warmline("secrets", "forget")
    assert (again.exit_code, again.output) == (0, "Everything can be opened: nothing is deleted.\n")


async def test_pages_that_sign_need_their_new_key(warmline: Command, settings: Settings, key_file: Path) -> None:
    page = Connector(id="a", token="t", project_id="lumen-energy", host="www.lumen.example")
    other = replace(page, id="b", token="u", host="other.example")
    async with opened(settings.database_url, key=OLD) as store:
        await store.save_connector(replace(page, settings=with_generation({}, 1)))
        await store.save_connector(other)
    key_file.write_text(f"{NEW},{OLD}")
    told = (await warmline("secrets", "rotate")).output
    assert "give the servers of www.lumen.example their new signing keys of verified context" in told
    assert "other.example" not in told


async def test_on_sqlite_the_server_is_stopped_for_it(warmline: Command, settings: Settings, key_file: Path) -> None:
    key_file.write_text(OLD)
    async with opened(settings.database_url, key=OLD):
        assert isinstance((await warmline("secrets", "rotate")).exception, DatabaseInUse)
        assert (await warmline("secrets", "list")).exit_code == 0


async def answer(
    postgres_url: str, typed: str, *, before: Callable[[], Awaitable[None]] | None = None
) -> tuple[int, str]:
    """Run `warmline secrets rotate`, act when it asks, type that; gives its exit code and what it said."""
    known = {
        **os.environ,
        "WARMLINE_DATABASE_URL": postgres_url,
        "WARMLINE_SECRET_KEY": f"{NEW},{OLD}",
        "WARMLINE_PUBLIC_URL": "https://chat.example.com",
        "WARMLINE_PROJECTS": str(LUMEN),
    }
    command = (sys.executable, "-m", "warmline", "secrets", "rotate")
    process = await asyncio.create_subprocess_exec(*command, env=known, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            asked = await process.stdout.readuntil(b"[y/N]")
            if before is not None:
                await before()
            said, _ = await process.communicate(typed.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, (asked + said).decode()


async def test_beside_running_nodes_it_asks_whether_they_know_the_key_and_notices_one_that_does_not(
    postgres_url: str,
) -> None:
    async with opened(postgres_url, key=OLD) as store:
        await fill(store)
        await store.claim(NODE, TTL_MS * 60, SystemClock().now())
        before = await store.sealed_secrets()
        code, said = await answer(postgres_url, "n\n")
        assert code == 1
        assert f"4 secrets are to be sealed anew while these run: {NODE}." in said
        assert await store.sealed_secrets() == before

        async def save() -> None:
            await store.save_project_secret("lumen-energy", "CRM", "perch", 2)

        code, said = await answer(postgres_url, "y\n", before=save)
        assert code == 1
        assert "Sealed anew: 3 of 4." in said
        assert "project  lumen-energy  CRM  previous key\nSaved with a previous key meanwhile" in said
        assert "Take the others out" not in said
    async with opened(postgres_url, key=NEW, previous=[OLD]) as store:
        assert await store.project_secret("lumen-energy", "CRM") == "perch"
