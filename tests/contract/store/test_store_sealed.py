"""What is sealed is told by its key, and sealed anew with the current one while servers save secrets of their own."""

import asyncio
import base64
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from support.stores import opened
from warmline.domain.errors import ConfigError
from warmline.ports import Connection, Receiver, SealedBy, Store

OLD, NEW, OTHER = ("the-old-key-of-the-shop", "the-new-key-of-the-shop", "a-key-that-nobody-knows")

WEBEX = Connection(
    id="c1",
    provider="webex",
    name="Webex",
    project_id="p",
    values={},
    secrets={"client_secret": "swordfish", "refresh_token": "trout"},
    state="ok",
    state_reason="",
    created_at=1,
)
SMS = replace(WEBEX, id="c2", provider="sms_twilio", name="Texts", secrets={"auth_token": "pike"})
RECEIVER = Receiver(id="r1", name="CRM", url="https://example.com", kinds=(), secret="carp", previous="eel")

SECRETS = [
    ("connection", "c2", "Texts", "auth_token"),
    ("connection", "c1", "Webex", "client_secret"),
    ("connection", "c1", "Webex", "refresh_token"),
    ("project", "p", "", "BILLING"),
    ("project", "p", "", "CRM"),
    ("receiver", "r1", "CRM", "previous"),
    ("receiver", "r1", "CRM", "secret"),
]
"""What `fill` makes, as it is told."""


async def fill(store: Store) -> None:
    """Something sealed of every kind."""
    for connection in (WEBEX, SMS):
        await store.save_connection(connection)
    await store.save_project_secret("p", "CRM", "bream", 1)
    await store.save_project_secret("p", "BILLING", "", 1)
    await store.save_receiver(RECEIVER)


async def told(store: Store) -> dict[tuple[str, str, str, str], SealedBy]:
    return {(s.kind, s.owner_id, s.owner, s.name): s.by for s in await store.sealed_secrets()}


async def damage(url: str, name: str) -> None:
    """Cut off the end of a secret of the project."""
    query = f"UPDATE project_secrets SET sealed = substr(sealed, 1, 20) WHERE name = '{name}'"
    if url.startswith("sqlite:///"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as db:
            db.execute(query)
        db.close()
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(query)
    finally:
        await connection.close()


async def test_all_that_is_sealed_is_told_with_the_key_that_opens_it(store_url: str) -> None:
    async with opened(store_url, key=OLD) as store:
        assert await store.sealed_secrets() == []
        await fill(store)
        assert list((await told(store)).items()) == [(secret, SealedBy.CURRENT) for secret in SECRETS]
    async with opened(store_url, key=NEW, previous=[OLD]) as store:
        await store.save_project_secret("p", "CRM", "perch", 2)
        found = await told(store)
        assert found.pop(("project", "p", "", "CRM")) is SealedBy.CURRENT
        assert set(found.values()) == {SealedBy.PREVIOUS}
        assert "sealed=" not in repr(await store.sealed_secrets())
    async with opened(store_url, key=OTHER) as store:
        assert set((await told(store)).values()) == {SealedBy.UNKNOWN}


async def test_what_is_sealed_anew_opens_with_the_current_key_alone(store_url: str) -> None:
    async with opened(store_url, key=OLD) as store:
        await fill(store)
    async with opened(store_url, key=NEW, previous=[OLD]) as store:
        assert await store.seal_anew(await store.sealed_secrets()) == len(SECRETS)
        sealed = await store.sealed_secrets()
        assert await store.seal_anew(sealed) == 0
        assert await store.sealed_secrets() == sealed, "what the current key sealed stays as it is"
    async with opened(store_url, key=NEW) as store:
        assert await store.connections() == [WEBEX]
        assert await store.text_connections() == [SMS]
        assert await store.project_secret("p", "CRM") == "bream"
        assert await store.project_secret("p", "BILLING") == ""
        assert await store.receivers() == [RECEIVER]
    async with opened(store_url, key=OLD) as store:
        readings: list[Callable[[], Awaitable[object]]] = [store.connections, store.text_connections, store.receivers]
        for reading in (*readings, lambda: store.project_secret("p", "CRM")):
            with pytest.raises(ConfigError, match="another key"):
                await reading()


async def test_a_secret_that_is_saved_meanwhile_wins(store_url: str) -> None:
    async with opened(store_url, key=OLD) as store:
        await fill(store)
    async with opened(store_url, key=NEW, previous=[OLD]) as store:
        found = await store.sealed_secrets()
        await store.save_secrets("c1", {"refresh_token": "a fresher trout"})
        await store.delete_connection("c2")
        await store.save_project_secret("p", "CRM", "a fresher bream", 2)
        await store.delete_project_secret("p", "BILLING")
        await store.save_receiver(replace(RECEIVER, secret="a fresher carp", previous="carp"))
        assert await store.seal_anew(found) == 1, "the one that nobody touched"
        assert set((await told(store)).values()) == {SealedBy.CURRENT}
        (connection,) = await store.connections()
        assert connection.secrets == {"client_secret": "swordfish", "refresh_token": "a fresher trout"}
        assert await store.text_connections() == []
        assert await store.project_secret("p", "CRM") == "a fresher bream"
        assert await store.project_secret("p", "BILLING") is None
        (receiver,) = await store.receivers()
        assert (receiver.secret, receiver.previous) == ("a fresher carp", "carp")


async def test_nothing_is_lost_between_two_who_write(store_url: str) -> None:
    names = [f"N{number}" for number in range(30)]
    async with opened(store_url, key=OLD) as store:
        for name in names:
            await store.save_project_secret("p", name, "older", 1)
    async with opened(store_url, key=NEW, previous=[OLD]) as store:
        saving = (store.save_project_secret("p", name, "newer", 2) for name in reversed(names[10:]))
        await asyncio.gather(store.seal_anew(await store.sealed_secrets()), *saving)
    async with opened(store_url, key=NEW) as store:
        assert [await store.project_secret("p", name) for name in names] == ["older"] * 10 + ["newer"] * 20


async def test_one_that_cannot_be_opened_holds_up_no_other(store_url: str) -> None:
    async with opened(store_url, key=OTHER) as store:
        await store.save_project_secret("p", "LOST", "x", 1)
    async with opened(store_url, key=OLD) as store:
        await store.save_project_secret("p", "CRM", "bream", 1)
        await store.save_project_secret("p", "TORN", "x", 1)
    await damage(store_url, "TORN")
    async with opened(store_url, key=NEW, previous=[OLD]) as store:
        assert await store.seal_anew(await store.sealed_secrets()) == 1
        assert {name: by for (*_, name), by in (await told(store)).items()} == {
            "CRM": SealedBy.CURRENT,
            "LOST": SealedBy.UNKNOWN,
            "TORN": SealedBy.DAMAGED,
        }


async def test_what_cannot_be_opened_is_forgotten_and_nothing_else(store_url: str) -> None:
    async with opened(store_url, key=OTHER) as store:
        await fill(store)
    async with opened(store_url, key=NEW, previous=[OLD]) as store:
        await store.save_project_secret("p", "CRM", "perch", 2)
        found = await store.sealed_secrets()
        await store.save_project_secret("p", "BILLING", "roach", 2)
        await store.save_secrets("c1", {"client_secret": "salmon"})
        assert await store.forget_sealed(found) == 4, "two were stored anew, and one could be opened"
        assert await store.connections() == [replace(WEBEX, secrets={"client_secret": "salmon"})]
        assert await store.text_connections() == [replace(SMS, secrets={})]
        assert await store.project_secret("p", "CRM") == "perch"
        assert await store.project_secret("p", "BILLING") == "roach"
        (receiver,) = await store.receivers()
        assert receiver == replace(RECEIVER, secret=receiver.secret, previous="", paused=True)
        assert len(base64.b64decode(receiver.secret, validate=True)) == 24, "nobody can sign in its place"
        assert await store.forget_sealed(await store.sealed_secrets()) == 0


async def test_every_column_of_bytes_is_known_to_be_sealed_or_not(tmp_path: Path) -> None:
    path = tmp_path / "warmline.db"
    async with opened(f"sqlite:///{path}"):
        pass
    with sqlite3.connect(path) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {
            f"{table}.{row[1]}"
            for table in tables
            if not table.startswith("spoken_words")
            for row in db.execute(f"PRAGMA table_info ({table})")
            if row[2].upper() == "BLOB"
        }
    db.close()
    sealed = {
        "connection_secrets.sealed",
        "project_secrets.sealed",
        "event_receivers.secret",
        "event_receivers.previous",
    }
    clear = {
        "customer_memory.memory",
        "files.content",
        "inbox.body",
        "transcripts.content",
        "memory.memory",
        "turns.record",
    }
    assert columns == sealed | clear, "a new one: is it sealed? Then `store/sealed.py` must know it"
