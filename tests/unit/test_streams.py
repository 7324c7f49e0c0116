"""The actors of the outbox, without a store."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import pytest

from warmline.delivery.alarms import Alarms
from warmline.delivery.streams import Paused, Streams
from warmline.domain.effects import ForwardMessage
from warmline.domain.errors import LeaseLost
from warmline.ports import OutboxRow
from warmline.testing import ManualClock


def row(row_id: int, stream: str = "a", *, partition: int = 0, connection: str = "c") -> OutboxRow:
    effect = ForwardMessage(handoff_id="h", connection_id=connection, message_id=str(row_id), text="", at=0)
    return OutboxRow(
        id=row_id, partition=partition, stream_key=stream, session_id=stream, effect=effect, created_at=row_id
    )


class Bench:
    """Streams whose deliveries do what `behave` says, and a store that `refill` reads."""

    def __init__(self, clock: ManualClock, *, per_lane: int = 100, bound: int = 100) -> None:
        self.began: list[int] = []
        self.done: list[int] = []
        self.rereads: list[int] = []
        self.running: dict[str, int] = defaultdict(int)
        self.most: dict[str, int] = defaultdict(int)
        self.behave: Callable[[OutboxRow], Paused | None] = lambda row: None
        self.gates: dict[int, asyncio.Event] = {}
        self.streams = Streams(self.deliver, Alarms(clock), self.rereads.append, per_lane=per_lane, bound=bound)

    async def deliver(self, row: OutboxRow) -> Paused | None:
        self.began.append(row.id)
        for key in (row.stream_key, "all"):
            self.running[key] += 1
            self.most[key] = max(self.most[key], self.running[key])
        try:
            if row.id in self.gates:
                await self.gates[row.id].wait()
            await asyncio.sleep(0)
            paused = self.behave(row)
        finally:
            for key in (row.stream_key, "all"):
                self.running[key] -= 1
        if paused is None:
            self.done.append(row.id)
        return paused

    def gate(self, *row_ids: int) -> asyncio.Event:
        event = asyncio.Event()
        self.gates |= dict.fromkeys(row_ids, event)
        return event


async def loop() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_oldest_first_one_in_flight_and_streams_side_by_side(clock: ManualClock) -> None:
    bench = Bench(clock)
    for number in (3, 1, 2):
        bench.streams.add(row(number, "a"))
    for number in (13, 12, 11):
        bench.streams.add(row(number, "b"))
    await loop()
    assert [n for n in bench.done if n < 10] == [1, 2, 3]
    assert [n for n in bench.done if n > 10] == [11, 12, 13]
    assert bench.most == {"a": 1, "b": 1, "all": 2}
    assert list(bench.streams.rows()) == []


async def test_a_paused_stream_holds_up_no_other_and_keeps_its_order(clock: ManualClock) -> None:
    bench = Bench(clock)
    bench.behave = lambda r: Paused(r, 5.0, wakeable=False) if r.id == 1 and clock.monotonic() < 5 else None
    for number in (1, 2):
        bench.streams.add(row(number, "a"))
    bench.streams.add(row(3, "b"))
    await loop()
    assert bench.done == [3]
    bench.streams.wake("a")
    await loop()
    assert bench.began.count(1) == 1, "a pause that is not wakeable is not cut short"
    await clock.advance(5.0)
    assert bench.done == [3, 1, 2]


async def test_waking_cuts_a_wakeable_pause_short(clock: ManualClock) -> None:
    bench = Bench(clock)
    allowed = False
    bench.behave = lambda r: None if allowed else Paused(r, 60.0, wakeable=True)
    bench.streams.add(row(1))
    await loop()
    bench.streams.wake("a")
    await loop()
    assert bench.began == [1, 1]
    allowed = True
    bench.streams.wake("a")
    await loop()
    assert bench.done == [1]
    await clock.advance(100.0)
    assert bench.began == [1, 1, 1], "old pauses are forgotten"


async def test_a_wake_during_the_delivery_is_not_lost(clock: ManualClock) -> None:
    bench = Bench(clock)
    gate = bench.gate(1)
    answers = iter([Paused(row(1), 60.0, wakeable=True), None])
    bench.behave = lambda r: next(answers)
    bench.streams.add(row(1))
    await loop()
    bench.streams.wake("a")
    gate.set()
    await loop()
    assert bench.done == [1]


async def test_a_lane_bounds_how_many_streams_of_a_connection_work_at_once(clock: ManualClock) -> None:
    bench = Bench(clock, per_lane=3)
    gate = bench.gate(*range(1, 11))
    for number in range(1, 11):
        bench.streams.add(row(number, f"stuck-{number}", connection="stuck"))
    bench.streams.add(row(99, "free", connection="other"))
    await loop()
    assert bench.began == [1, 2, 3, 99]
    gate.set()
    await loop()
    assert sorted(bench.done) == [*range(1, 11), 99]
    assert bench.most["all"] <= 4


async def test_a_full_lane_is_fair_to_streams_with_little_to_do(clock: ManualClock) -> None:
    bench = Bench(clock, per_lane=1)
    for number in range(1, 6):
        bench.streams.add(row(number, "long"))
    bench.streams.add(row(6, "short"))
    await loop()
    assert bench.done.index(6) == 1


async def test_rows_beyond_the_bound_are_read_again_in_order(clock: ManualClock) -> None:
    bench = Bench(clock, bound=3)
    everything = [row(number) for number in range(1, 11)]

    def read() -> None:
        bench.streams.begin_read({0})
        bench.streams.refill({0}, [r for r in everything if r.id not in bench.done])

    gate = bench.gate(1)
    for each in everything:
        bench.streams.add(each)
    assert len(list(bench.streams.rows())) == 3
    gate.set()
    for done in (3, 6, 9):
        await loop()
        assert bench.done == list(range(1, done + 1))
        assert bench.rereads == [0]
        bench.rereads.clear()
        read()
    await loop()
    assert bench.done == list(range(1, 11))
    assert bench.rereads == []


async def test_a_row_that_came_while_reading_does_not_overtake(clock: ManualClock) -> None:
    bench = Bench(clock, bound=1)
    bench.streams.add(row(1))
    bench.streams.add(row(2))
    await loop()
    bench.streams.begin_read({0})
    # Read before row 3 was committed; meanwhile row 3 is offered.
    bench.streams.add(row(3))
    bench.streams.refill({0}, [row(2)])
    await loop()
    assert bench.done == [1, 2]
    bench.streams.begin_read({0})
    bench.streams.refill({0}, [row(3)])
    await loop()
    assert bench.done == [1, 2, 3]


async def test_a_row_with_unseen_ones_before_it_waits_for_them(clock: ManualClock) -> None:
    bench = Bench(clock)
    bench.streams.add(row(2), next_in_line=False)
    bench.streams.add(row(3))
    await loop()
    assert bench.began == []
    assert bench.rereads
    bench.streams.begin_read({0})
    bench.streams.refill({0}, [row(1), row(2), row(3)])
    await loop()
    assert bench.done == [1, 2, 3]


async def test_an_old_reading_does_not_bring_settled_rows_back(clock: ManualClock) -> None:
    bench = Bench(clock)
    bench.streams.add(row(1))
    bench.streams.begin_read({0})
    read = [row(1)]
    await loop()
    assert bench.done == [1]
    bench.streams.refill({0}, read)
    bench.streams.add(row(1))
    await loop()
    assert bench.began == [1]


async def test_rows_of_a_partition_that_became_ours_come_before_new_ones(clock: ManualClock) -> None:
    bench = Bench(clock)
    bench.streams.expect({0})
    bench.streams.add(row(5))
    await loop()
    assert bench.began == []
    bench.streams.begin_read({0})
    bench.streams.refill({0}, [row(1), row(5)])
    await loop()
    assert bench.done == [1, 5]


async def test_a_lost_lease_drops_the_work_and_reads_again(clock: ManualClock) -> None:
    bench = Bench(clock)

    def lose(_: OutboxRow) -> Paused | None:
        raise LeaseLost

    bench.behave = lose
    for number in (1, 2):
        bench.streams.add(row(number))
    await loop()
    assert bench.began == [1]
    assert bench.rereads == [0]
    assert list(bench.streams.rows()) == []


async def test_never_two_in_flight_when_a_partition_goes_and_comes_back(clock: ManualClock) -> None:
    bench = Bench(clock)
    gate = bench.gate(1)
    bench.streams.add(row(1))
    bench.streams.add(row(2))
    await loop()
    bench.streams.drop({0})
    bench.streams.expect({0})
    bench.streams.begin_read({0})
    bench.streams.refill({0}, [row(1), row(2)])
    await loop()
    assert bench.began == [1]
    gate.set()
    await loop()
    assert bench.rereads, "what was in flight under the old lease is looked up again"
    bench.streams.begin_read({0})
    bench.streams.refill({0}, [row(2)])
    await loop()
    assert bench.began == [1, 2]
    assert bench.most["a"] == 1


async def test_a_revived_row_is_delivered_again(clock: ManualClock) -> None:
    bench = Bench(clock)
    bench.streams.add(row(1))
    await loop()
    bench.streams.add(row(1))
    bench.streams.revive(row(1))
    await loop()
    assert bench.done == [1, 1]


async def test_drain_finishes_what_is_in_flight_and_starts_nothing(clock: ManualClock) -> None:
    bench = Bench(clock)
    gate = bench.gate(1, 3)
    for number, stream in ((1, "a"), (2, "a"), (3, "b")):
        bench.streams.add(row(number, stream))
    await loop()
    draining = asyncio.create_task(bench.streams.drain(5.0))
    await loop()
    bench.streams.add(row(4, "c"))
    gate.set()
    await draining
    assert sorted(bench.done) == [1, 3]


async def test_drain_cancels_what_does_not_end(clock: ManualClock) -> None:
    bench = Bench(clock)
    bench.gate(1)
    bench.streams.add(row(1))
    await loop()
    await bench.streams.drain(0.01)
    assert bench.running["all"] == 0


@pytest.mark.parametrize("number", [1, 2])
async def test_a_row_changed_by_a_pause_is_the_one_delivered_next(clock: ManualClock, number: int) -> None:
    bench = Bench(clock)
    seen: list[int] = []

    def behave(r: OutboxRow) -> Paused | None:
        seen.append(r.attempts)
        return Paused(replace(r, attempts=r.attempts + 1), 1.0, wakeable=False) if r.attempts < number else None

    bench.behave = behave
    bench.streams.add(row(1))
    await loop()
    await clock.advance(5.0)
    assert seen == list(range(number + 1))
