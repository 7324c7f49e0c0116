"""`kill -9` of a writing process: nothing acknowledged is missing, nothing is half there."""

from pathlib import Path

import pytest

from support.stores import NODE, TTL_MS, check_log, opened, post
from support.victim import Victim
from warmline.domain.errors import ConfigError
from warmline.ports import PARTITIONS


async def test_kill_9_loses_no_acknowledged_change(store_url: str) -> None:
    said: list[list[str]] = []
    for round_ in range(3):
        victim = await Victim.start(store_url)
        said += await victim.kill_after(0.3 + 0.13 * round_)
    posted = [line[1:] for line in said if line[0] == "posted"]
    settled = {int(line[1]): int(line[2]) for line in said if line[0] == "settled"}
    assert len(posted) > 300
    assert len(settled) > 100

    async with opened(store_url) as store:
        for session_id in {line[0] for line in posted}:
            log = await check_log(store, session_id)
            acknowledged = max(int(line[2]) for line in posted if line[0] == session_id)
            assert len(log) >= acknowledged
            assert len(log) <= acknowledged + 1, "at most one change was under way"
        for session_id, key, sequence, _, _ in posted[:: max(len(posted) // 50, 1)]:
            again = await post(store, session_id, "again", key=key)
            assert again.duplicate
            assert again.events[0].sequence == int(sequence)
        pending = {row.id for row in await store.pending(range(PARTITIONS))}
        waiting = {row.id for row in await store.inbox_pending()}
        acknowledged_rows = {int(line[3]): int(line[4]) for line in posted}
        unsettled = acknowledged_rows.keys() - settled.keys()
        assert not pending & settled.keys()
        assert not waiting & set(settled.values())
        # A settlement may have been committed and not been printed any more: one for each session of a round.
        assert len(unsettled - pending) <= 3 * 40
        assert {row in pending for row in unsettled} >= {True}


async def test_a_dead_process_leaves_no_lock(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'w.db'}"
    victim = await Victim.start(url, sessions=2)
    with pytest.raises(ConfigError, match="another process"):
        async with opened(url):
            pass
    await victim.kill_after(0)
    async with opened(url) as store:
        assert len(await store.claim(NODE, TTL_MS, 1)) == PARTITIONS
