"""What the store says when its database is away or full, and that it goes on afterwards."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from support.postgres import PostgresServer, postgres_server
from support.stores import begin, change, check_log, opened, post
from support.tcp_proxy import TcpProxy
from warmline.domain import commands as c
from warmline.domain.errors import StoreUnavailable
from warmline.ports import InboxRow, Link, Store
from warmline.testing.messaging_client import PATIENCE_S

HOOK = InboxRow(id=0, connection_id="c", endpoint="e", key="k", remote_id="r", received_at=1, event_at=1, body=b"{}")


@contextmanager
def no_file_may_grow_beyond(size: int) -> Iterator[None]:
    """Files of this process cannot become larger: writes fail as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_sqlite_without_space_says_so_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    async with opened(f"sqlite:///{path}") as store:
        await begin(store, "s")
        with no_file_may_grow_beyond(Path(f"{path}-wal").stat().st_size):
            results = await asyncio.gather(
                *(post(store, "s", "x" * 1000, key=f"k{n}") for n in range(10)), return_exceptions=True
            )
            for result in results:
                assert isinstance(result, StoreUnavailable)
                assert result.retryable
                assert result.certain
            with pytest.raises(StoreUnavailable):
                await store.setting("k", lambda: "v" * 5000)
            assert len(await check_log(store, "s")) == 3, "reading goes on"
        assert not (await post(store, "s", "again", key="k1")).duplicate
        assert len(await check_log(store, "s")) == 4
    async with opened(f"sqlite:///{path}") as store:
        assert len(await check_log(store, "s")) == 4


@pytest.fixture
async def proxy(postgres_server: PostgresServer) -> AsyncIterator[TcpProxy]:
    """A line to the server that can be cut."""
    async with TcpProxy(postgres_server.port) as proxy:
        yield proxy


@pytest.fixture
async def far_store(postgres_url: str, proxy: TcpProxy) -> AsyncIterator[Store]:
    """A store behind the proxy, with one session."""
    database = postgres_url.rpartition("/")[2]
    async with opened(f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}") as store:
        await begin(store, "s")
        yield store


async def test_postgres_away_says_so_and_goes_on_when_it_is_back(far_store: Store, proxy: TcpProxy) -> None:
    proxy.refusing = True
    proxy.cut()
    results = await asyncio.gather(*(post(far_store, "s", f"m{n}") for n in range(10)), return_exceptions=True)
    assert all(isinstance(r, StoreUnavailable) for r in results)
    assert {r.certain for r in results if isinstance(r, StoreUnavailable)} == {True}
    for attempt in (far_store.ping, far_store.connections, far_store.timers):
        with pytest.raises(StoreUnavailable):
            await attempt()
    with pytest.raises(StoreUnavailable):
        await far_store.setting("k", lambda: "v")

    proxy.refusing = False
    await post(far_store, "s", "back again")
    await far_store.ping()
    assert len(await check_log(far_store, "s")) == 4


async def test_a_write_in_doubt_is_reported_and_not_done_twice(far_store: Store, proxy: TcpProxy) -> None:
    proxy.swallow_answer_to = b"COMMIT"
    with pytest.raises(StoreUnavailable) as failed:
        await post(far_store, "s", "hello", key="ref")
    assert not failed.value.certain

    again = await post(far_store, "s", "hello", key="ref")

    assert again.duplicate, "the commit had reached the server"
    assert len(await check_log(far_store, "s")) == 4


async def test_a_webhook_in_doubt_is_known_the_second_time(far_store: Store, proxy: TcpProxy) -> None:
    assert await far_store.accept(HOOK) is not None
    await far_store.finish_inbox(1, state="dead")
    proxy.swallow_answer_to = b"second"
    with pytest.raises(StoreUnavailable) as failed:
        await far_store.accept(replace(HOOK, key="second"))
    assert not failed.value.certain
    assert await far_store.accept(replace(HOOK, key="second")) is None


async def test_a_line_cut_before_the_commit_leaves_nothing(far_store: Store, proxy: TcpProxy) -> None:
    proxy.swallow_answer_to = b"never stored"
    with pytest.raises(StoreUnavailable) as failed:
        await post(far_store, "s", "never stored", key="ref")
    assert failed.value.certain
    assert not (await post(far_store, "s", "hello", key="ref")).duplicate
    assert len(await check_log(far_store, "s")) == 4


async def test_connections_the_server_ends_are_replaced(
    far_store: Store, postgres_server: PostgresServer, postgres_url: str
) -> None:
    database = postgres_url.rpartition("/")[2]
    for n in range(3):
        postgres_server.sql(
            "SELECT count(pg_terminate_backend(pid, 30000)) FROM pg_stat_activity "
            f"WHERE datname = '{database}' AND application_name = 'warmline'"
        )
        await asyncio.sleep(0.05)
        await post(far_store, "s", f"m{n}")
        await far_store.ping()
    assert len(await check_log(far_store, "s")) == 6


async def test_a_crash_of_the_server_is_outlived() -> None:
    with postgres_server() as server, server.database() as url:
        async with opened(url) as store:
            await begin(store, "s")
            for n in range(2):
                server.crash()
                async with asyncio.timeout(PATIENCE_S):
                    # While it recovers it answers that it is starting up.
                    while True:
                        with contextlib.suppress(StoreUnavailable):
                            await asyncio.gather(post(store, "s", f"m{n}", key=f"k{n}"), store.ping())
                            break
                        await asyncio.sleep(0.02)
            assert len(await check_log(store, "s")) == 5


async def test_a_conflict_does_not_cost_the_connection(
    far_store: Store, postgres_server: PostgresServer, postgres_url: str
) -> None:
    link = Link(handoff_id="h", session_id="s", connection_id="c", remote_id="r")
    await far_store.save_link(link)
    database = postgres_url.rpartition("/")[2]
    pids = f"SELECT string_agg(pid::text, ',' ORDER BY pid) FROM pg_stat_activity WHERE datname = '{database}'"
    before = postgres_server.sql(pids + " AND application_name = 'warmline'")
    for n in range(3):
        with pytest.raises(Exception, match="contradicts"):
            await far_store.save_link(Link(handoff_id=f"h{n}", session_id="s", connection_id="c", remote_id="r"))
        await far_store.transact(change("s", c.PostUserMessage(at=3, message_id=f"m{n}", text="x")))
    assert postgres_server.sql(pids + " AND application_name = 'warmline'") == before
