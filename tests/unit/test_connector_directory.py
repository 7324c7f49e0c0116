from dataclasses import replace

from warmline.channels.messaging.connectors import ConnectorDirectory
from warmline.ports import Connector
from warmline.testing import ManualClock

OLD = Connector(id="old", token="old token", project_id="p", host="www.example.com")
NEW = replace(OLD, id="new", token="new token")


async def test_what_is_known_is_kept_for_five_seconds_and_what_is_not_is_looked_for_anew() -> None:
    clock, made, loads = ManualClock(), [OLD], 0

    async def load() -> list[Connector]:
        nonlocal loads
        loads += 1
        return list(made)

    directory = ConnectorDirectory(load, clock)
    assert await directory.by_token("new token") is None
    made[:] = [replace(OLD, host="shop.example.com"), NEW]
    await clock.advance(0.4)
    assert [await directory.by_token("new token") for _ in range(100)] == [None] * 100
    assert loads == 1
    assert await directory.by_token("old token") == OLD
    await clock.advance(0.1)
    assert await directory.by_token("new token") == NEW
    assert loads == 2
    made[:] = [OLD]
    await clock.advance(4.9)
    assert await directory.by_id("new") == NEW
    assert loads == 2
    await clock.advance(0.1)
    assert await directory.by_id("new") is None
    assert (await directory.by_id("old"), loads) == (OLD, 3)
