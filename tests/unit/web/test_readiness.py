"""/readyz says which part is not ready, also when it does not answer at all, and tells it as a metric."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from support.stores import opened
from warmline.domain.errors import ConfigError, StoreUnavailable
from warmline.web.operations import Readiness


async def _well() -> None:
    return None


async def _away() -> None:
    raise StoreUnavailable("gone")


async def _hangs() -> None:
    await asyncio.Event().wait()


async def test_each_part_is_asked_and_one_that_hangs_is_not_ready() -> None:
    registry = CollectorRegistry()
    checks = {"server": _well, "store": _away, "bus": _hangs}
    readiness = Readiness(checks, registry, patience_s=0.05)
    assert await readiness.problems() == {"store": "store_unavailable", "bus": "no_answer"}
    told = {part: registry.get_sample_value("warmline_ready", {"part": part}) for part in checks}
    assert told == {"server": 1, "store": 0, "bus": 0}


async def test_a_schema_that_a_newer_program_made_is_told(tmp_path: Path) -> None:
    database = tmp_path / "warmline.db"
    async with opened(f"sqlite:///{database}") as store:
        await store.check_schema()
        with sqlite3.connect(database) as newer:
            newer.execute("UPDATE schema_version SET version = 9000, compatible_from = 1")
        await store.check_schema()
        with sqlite3.connect(database) as newer:
            newer.execute("UPDATE schema_version SET version = 9001, compatible_from = 9001")
        newer.close()
        with pytest.raises(ConfigError, match="9001"):
            await store.check_schema()
