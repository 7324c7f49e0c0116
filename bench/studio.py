"""How long the Studio's pages take when very many conversations are stored.

A database with the real schema is filled (20 events each, over a year; see `stored.py`), a real server runs on it, and
every page is asked for again and again, as a browser does, one request after the other. A time runs from the request
to the last byte of the page, on the loopback interface.

    python bench/studio.py [--store sqlite|postgres] [--conversations N] [--repeat N] [--database URL] [--json FILE]

With --database, that database is filled if it is empty, and kept.
"""

import argparse
import asyncio
import contextlib
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from relay import percentiles
from servers import ROOT, postgres_database
from studio_fill import fill_postgres, fill_sqlite
from warmline.app import Server
from warmline.cli.logs import quiet_logging
from warmline.config import Settings
from warmline.ports import Role
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemIds
from warmline.testing.server import free_port

sys.path.insert(0, str(ROOT / "tests"))
from support.studio import Visit, add_user

PROJECT = ROOT / "bench" / "project"
_KEY = "k" * 40
_STAGES = ("running", "waiting", "live", "ended")


@contextlib.asynccontextmanager
async def _database(store: str, kept: str) -> AsyncIterator[str]:
    if kept:
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        if store == "sqlite":
            yield f"sqlite:///{folder}/warmline.db"
            return
        async with postgres_database(Path(folder)) as url:
            yield url


async def _fill(url: str, count: int, project_id: str) -> None:
    """Bring the schema up to date, and fill it unless there is something."""
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:7.0f} s  {text}", file=sys.stderr, flush=True)

    store = open_store(url, SystemIds(), AesSecretBox(_KEY))
    await store.start()
    empty = not (await store.milestones(project_id)).joined
    await store.close()
    if not empty:
        return
    if url.startswith("sqlite:///"):
        await fill_sqlite(Path(url.removeprefix("sqlite:///")), count, project_id, tell)
    else:
        await fill_postgres(url, count, project_id, tell)


class Pages:
    """What is asked for: by the name of the kind, endless addresses."""

    def __init__(self, visit: Visit, count: int) -> None:
        self._visit = visit
        self._count = count
        self._chance = random.Random(3)
        self._sessions: list[str] = []
        self._older: list[str] = []

    async def look_around(self) -> None:
        """Find conversations of all ages, and places deep in the list, by leafing as a visitor does."""
        path = "/studio/conversations"
        for _ in range(60):
            _, text = await self._visit.get(path)
            self._sessions += re.findall(r'/studio/conversations/([0-9a-f]{32})"', text)
            older = re.search(r'href="(/studio/conversations\?[^"]*before=[^"]+)"', text)
            if older is None:
                break
            path = older[1].replace("&amp;", "&")
            self._older.append(path)

    def _deep(self) -> str:
        """A place anywhere in the year."""
        at = time.time_ns() // 1_000_000 - self._chance.randrange(365 * 86_400_000)
        return f"before={at}%3Az"

    def kinds(self) -> dict[str, Callable[[], str]]:
        """By name, what makes the next address."""
        chance = self._chance
        some = {
            "one in all": lambda: f"ord{chance.randrange(self._count):07d}",
            "one in 2,000": lambda: f"street{chance.randrange(2000)}",
            "one in 100": lambda: f"town{chance.randrange(100)}",
            "in nearly all": lambda: chance.choice(("bill", "the", "energy", "meter")),
            "two words": lambda: f"bill town{chance.randrange(100)}",
            "nowhere": lambda: f"zzz{chance.randrange(10**6)}",
            "a beginning": lambda: f"ord{chance.randrange(self._count // 100):05d}",
        }
        listed = "/studio/conversations?"
        kinds = {
            "list": lambda: "/studio/conversations",
            "list, deep": lambda: listed + self._deep(),
            **{f"list, {stage}": (lambda s=stage: f"{listed}show={s}") for stage in _STAGES},
            "list, rare channel": lambda: f"{listed}channel=chat.polyai",
            "list, connection": lambda: f"{listed}connection=connection-{chance.randrange(4)}",
            "list, no such connection": lambda: f"{listed}connection=none",
            "list, rare channel and connection": lambda: (
                f"{listed}channel=chat.polyai&connection=connection-{chance.randrange(4)}&{self._deep()}"
            ),
            **{f"search, {name}": (lambda w=words: f"{listed}words={w()}") for name, words in some.items()},
            "search, one in 100, deep": lambda: f"{listed}words=town{chance.randrange(100)}&{self._deep()}",
            "search, common words that rarely meet": lambda: f"{listed}words=bill+meter+price+help+thank",
            "search, one in 100, rare channel": lambda: (
                f"{listed}words=town{chance.randrange(100)}&channel=chat.polyai"
            ),
            "search, two words, deep": lambda: f"{listed}words=bill+town{chance.randrange(100)}&{self._deep()}",
            "search, in nearly all, live": lambda: f"{listed}words=bill&show=live",
            "search, one in 100, live": lambda: f"{listed}words=town{chance.randrange(100)}&show=live",
            "detail": lambda: f"/studio/conversations/{chance.choice(self._sessions)}",
            "start page": lambda: "/studio/",
            "dashboard, day": lambda: "/studio/dashboard?range=day",
            "dashboard, week": lambda: "/studio/dashboard?range=week",
            "dashboard, month": lambda: "/studio/dashboard?range=month",
            "system health": lambda: "/studio/settings/health",
        }
        return kinds


async def _measure(url: str, count: int, repeat: int) -> list[dict[str, object]]:
    port = free_port()
    settings = Settings(
        database_url=url, public_url=f"http://localhost:{port}", secret_key=_KEY, projects=PROJECT, port=port
    )
    server = await Server.start(settings)
    results: list[dict[str, object]] = []
    try:
        with contextlib.suppress(AssertionError):
            await add_user(server, "ana", Role.ADMIN)
        async with Visit(server) as visit:
            await visit.sign_in("ana")
            pages = Pages(visit, count)
            await pages.look_around()
            for kind, address in pages.kinds().items():
                times, rests = [], []
                statuses = set()
                for _ in range(repeat):
                    path = address()
                    began = time.perf_counter()
                    status, text = await visit.get(path)
                    times.append(time.perf_counter() - began)
                    statuses.add(status)
                    if 'hx-trigger="live, load"' in text:
                        began = time.perf_counter()
                        await visit.get(path, headers={"HX-Request": "true"})
                        rests.append(time.perf_counter() - began)
                rest = {f"rest_{key}": value for key, value in percentiles(rests).items()} if rests else {}
                most = round(max(times) * 1000, 2)
                results.append(
                    {"page": kind, "status": sorted(statuses), **percentiles(times), "max": most}
                    | {"followed": len(rests), **rest}
                )
                print(_line(results[-1]), flush=True)
    finally:
        await server.stop()
    return results


def _line(result: dict[str, object]) -> str:
    times = "  ".join(f"{key} {float(str(result[key])):7.1f}" for key in ("p50", "p95", "max"))
    rest = f"  the rest, {result['followed']} times: p95 {result['rest_p95']} ms" if result["followed"] else ""
    return f"{result['page']!s:36} {times} ms  {result['status']}{rest}"


async def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=40)
    parser.add_argument("--database", default="", help="URL of a database to use and keep")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    quiet_logging()
    async with _database(options.store, options.database) as url:
        await _fill(url, options.conversations, "bench")
        results = await _measure(url, options.conversations, options.repeat)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
