"""Several nodes on one PostgreSQL database."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import asyncpg
import pytest

from support.stores import INFO, begin, change, check_log, opened, post, settlement
from support.victim import Victim
from warmline.domain import commands as c
from warmline.domain.errors import LeaseLost
from warmline.ports import PARTITIONS, Change, InboxRow, OutboxRow, Store, inbox_partition
from warmline.testing.messaging_client import PATIENCE_S

NOW = 1_700_000_000_000
TTL = 9_000
STEP = TTL // 3
HOOK = InboxRow(id=0, connection_id="c", endpoint="e", key="k", remote_id="r", received_at=1, event_at=1, body=b"{}")


@dataclass
class Nodes:
    """Two nodes and the time."""

    a: Store
    b: Store
    now: int = NOW

    async def claim_a(self) -> dict[int, int]:
        """What node a holds from now on."""
        return dict(await self.a.claim("a", TTL, self.now))

    async def claim_b(self) -> dict[int, int]:
        """What node b holds from now on."""
        return dict(await self.b.claim("b", TTL, self.now))


@pytest.fixture
async def nodes(postgres_url: str) -> AsyncIterator[Nodes]:
    """Two stores on the same database."""
    async with opened(postgres_url) as a, opened(postgres_url) as b:
        yield Nodes(a, b)


async def _rows(store: Store, count: int = 40) -> list[OutboxRow]:
    return [row for n in range(count) for row in (await begin(store, f"s{n}")).outbox]


async def test_a_second_node_gets_its_half(nodes: Nodes) -> None:
    assert len(await nodes.claim_a()) == PARTITIONS
    assert await nodes.claim_b() == {}
    nodes.now += STEP
    kept = await nodes.claim_a()
    assert len(kept) == PARTITIONS // 2
    assert await nodes.claim_b() == {}, "given back in two steps"
    nodes.now += STEP
    assert await nodes.claim_a() == kept
    gained = await nodes.claim_b()
    assert len(gained) == PARTITIONS // 2
    assert not gained.keys() & kept.keys()
    assert all(epoch == 2 for epoch in gained.values())


async def test_what_is_under_way_when_partitions_leave_can_be_settled(nodes: Nodes) -> None:
    epochs = await nodes.claim_a()
    rows = await _rows(nodes.a)
    await nodes.claim_b()
    nodes.now += STEP
    kept = await nodes.claim_a()
    leaving = [row for row in rows if row.partition not in kept]
    await nodes.a.transact(Change(session_id=leaving[0].session_id, settle=settlement(leaving[0], epochs)))
    nodes.now += STEP
    await nodes.claim_a()
    with pytest.raises(LeaseLost):
        await nodes.a.transact(Change(session_id=leaving[1].session_id, settle=settlement(leaving[1], epochs)))


async def test_a_silent_node_loses_everything_and_is_fenced(nodes: Nodes) -> None:
    of_a = await nodes.claim_a()
    rows = await _rows(nodes.a)
    await nodes.claim_b()
    nodes.now += TTL + 1
    of_b = await nodes.claim_b()
    assert len(of_b) == PARTITIONS
    assert all(of_b[p] > of_a[p] for p in of_b)
    with pytest.raises(LeaseLost):
        await nodes.a.transact(Change(session_id=rows[0].session_id, settle=settlement(rows[0], of_a)))
    assert await nodes.b.pending(of_b) == rows
    await nodes.b.transact(Change(session_id=rows[0].session_id, settle=settlement(rows[0], of_b)))
    assert await nodes.claim_a() == {}


async def test_a_released_node_hands_over_at_once(nodes: Nodes) -> None:
    await nodes.claim_a()
    await nodes.claim_b()
    await nodes.a.release("a")
    assert len(await nodes.claim_b()) == PARTITIONS


async def test_a_node_that_stops_keeps_what_is_under_way_and_gives_the_rest_away(nodes: Nodes) -> None:
    epochs = await nodes.claim_a()
    rows = await _rows(nodes.a)
    busy = rows[0].partition
    await nodes.claim_b()
    await nodes.a.release("a", keep=[busy], until=nodes.now + TTL)
    assert len(await nodes.claim_b()) == PARTITIONS - 1
    await nodes.a.transact(Change(session_id=rows[0].session_id, settle=settlement(rows[0], epochs)))
    await nodes.a.release("a")
    assert len(await nodes.claim_b()) == PARTITIONS


async def test_a_fenced_change_is_refused_once_another_node_owns_its_partition(nodes: Nodes) -> None:
    epochs = await nodes.claim_a()
    await begin(nodes.a, "s")
    command = c.PostUserMessage(at=5, message_id="m", text="m")
    await nodes.a.transact(change("s", command, fence=(7, epochs[7])))
    await nodes.a.release("a")
    later = await nodes.claim_b()
    with pytest.raises(LeaseLost):
        await nodes.a.transact(change("s", replace(command, message_id="n"), fence=(7, epochs[7])))
    await nodes.b.transact(change("s", replace(command, message_id="n"), fence=(7, later[7])))
    assert len(await check_log(nodes.b, "s")) == 5


async def test_webhooks_are_read_by_their_partitions_those_of_an_older_version_too(
    nodes: Nodes, postgres_url: str
) -> None:
    hooks = [replace(HOOK, key=f"k{n}", remote_id=f"r{n}", rank=n, hold=n != 1, terminal=n == 2) for n in range(3)]
    for hook in hooks:
        assert await nodes.a.accept(hook) is not None
    db = await asyncpg.connect(postgres_url)
    try:
        # What a program of the schema before wrote: it knew nothing of partitions.
        await db.execute(
            "INSERT INTO inbox (connection_id, endpoint, key, remote_id, received_at, event_at, body)"
            " VALUES ('c', 'e', 'old', 'r1', 1, 1, '{}')"
        )
    finally:
        await db.close()
    for hook in hooks:
        found = await nodes.b.inbox_pending([inbox_partition("c", hook.remote_id)])
        assert [replace(row, id=0) for row in found if row.key != "old"] == [hook]
        assert ("old" in [row.key for row in found]) == (hook.remote_id == "r1")
    assert await nodes.b.inbox_pending([]) == []


async def test_no_partition_ever_has_two_owners(nodes: Nodes, postgres_url: str) -> None:
    held: dict[str, dict[int, int]] = {"a": {}, "b": {}, "c": {}}
    newest: dict[int, int] = {}
    async with opened(postgres_url) as third:
        stores = {"a": nodes.a, "b": nodes.b, "c": third}
        for step in range(12):
            nodes.now += STEP
            awake = ["a", "b", "c"][: 1 + step % 4]
            claims = await asyncio.gather(*(stores[name].claim(name, TTL, nodes.now) for name in awake))
            for name, claim in zip(awake, claims, strict=True):
                for partition, epoch in claim.items():
                    if held[name].get(partition) != epoch:
                        assert epoch > newest.get(partition, 0), "a new owner has a new epoch"
                    newest[partition] = max(epoch, newest.get(partition, 0))
                held[name] = dict(claim)
            now_held = [p for claim in claims for p in claim]
            assert len(now_held) == len(set(now_held))


async def test_both_nodes_write_one_session_without_gaps(nodes: Nodes) -> None:
    await begin(nodes.a, "s")
    stores = [nodes.a, nodes.b]
    await asyncio.gather(*(post(stores[n % 2], "s", f"m{n}", key=f"k{n % 60}") for n in range(120)))
    log = await check_log(nodes.a, "s")
    assert len(log) == 3 + 60
    rows = await nodes.b.pending(range(PARTITIONS))
    in_stream = [row.effect.sequence for row in rows if hasattr(row.effect, "sequence")]
    assert in_stream == sorted(in_stream), "the outbox keeps the order of the log"


async def test_both_nodes_write_many_sessions_in_any_order(nodes: Nodes) -> None:
    await asyncio.gather(*(begin(nodes.a, f"s{n}") for n in range(30)))
    await asyncio.gather(
        *(post(nodes.a, f"s{n}", f"a{m}") for m in range(5) for n in range(30)),
        *(post(nodes.b, f"s{n}", f"b{m}") for m in range(5) for n in reversed(range(30))),
    )
    for n in range(30):
        assert len(await check_log(nodes.a, f"s{n}")) == 13


async def test_both_nodes_get_the_same_webhooks(nodes: Nodes) -> None:
    hooks = [replace(HOOK, key=f"k{n}") for n in range(100)]
    results = await asyncio.gather(
        *(nodes.a.accept(hook) for hook in hooks), *(nodes.b.accept(hook) for hook in reversed(hooks))
    )
    assert sum(row_id is not None for row_id in results) == 100
    assert len(await nodes.a.inbox_pending()) == 100


async def test_both_nodes_create_the_same_session(nodes: Nodes) -> None:
    start = c.StartSession(at=1, channel="sms")
    for n in range(20):
        results = await asyncio.gather(
            *(store.transact(change(f"s{n}", start, create=INFO)) for store in (nodes.a, nodes.b))
        )
        assert sum(len(r.events) for r in results) == 1
        assert len(await check_log(nodes.b, f"s{n}")) == 1


async def test_a_frozen_node_keeps_nobody_waiting(postgres_url: str) -> None:
    """SIGSTOP at moments when it holds locks on its sessions and leases."""
    async with opened(postgres_url) as store:
        for _ in range(3):
            victim = await Victim.start(postgres_url, sessions=10)
            await asyncio.sleep(0.2)
            victim.signal(signal.SIGSTOP)
            names = [f"s{victim.pid}-{n}" for n in range(10)]
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*(post(store, name, "from another node") for name in names))
                held = await store.claim("heir", TTL, NOW)
            assert len(held) == PARTITIONS
            rows = await store.pending(held)
            victim.signal(signal.SIGCONT)
            said = await victim.end()
            settled = {int(line[1]) for line in said if line[0] == "settled"}
            assert not settled & {row.id for row in rows}, "it settled nothing that the heir had taken over"
            await store.release("heir")
            for name in names:
                await check_log(store, name)
