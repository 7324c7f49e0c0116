"""`warmline serve --workers` and `warmline worker`: real processes, started and stopped as an operator does."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner

from support.installation import LUMEN
from warmline.cli.main import app
from warmline.cli.workers import Supervisor
from warmline.domain.errors import ConfigError, WarmlineError
from warmline.testing.server import SECRET_KEY, free_port

WITHIN_S = 60
NOWHERE = "http://127.0.0.1:9/readyz"


def environment(database_url: str, port: int, **more: str) -> dict[str, str]:
    """The environment of a server."""
    settings = {
        "WARMLINE_DATABASE_URL": database_url,
        "WARMLINE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "WARMLINE_SECRET_KEY": SECRET_KEY,
        "WARMLINE_PROJECTS": str(LUMEN),
        "WARMLINE_PORT": str(port),
        **more,
    }
    return {**os.environ, **settings}


@contextlib.asynccontextmanager
async def running(*command: str, env: Mapping[str, str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`warmline …` while the block runs."""
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "warmline.cli.main", *command, env=env, stdout=file, stderr=file, cwd=log.parent
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), 40)


async def status(http: aiohttp.ClientSession, url: str) -> int:
    """The status of an answer; 0 when there is none."""
    try:
        async with http.get(url) as answer:
            await answer.read()
            return answer.status
    except (aiohttp.ClientError, TimeoutError):
        return 0


async def until(http: aiohttp.ClientSession, url: str, wanted: int) -> None:
    """Wait for this status."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            if await status(http, url) == wanted:
                return
            await asyncio.sleep(0.05)


def pids(log: Path) -> list[int]:
    """The processes of workers, in the order in which they were started."""
    lines = log.read_text(errors="replace").splitlines()
    return [int(line.split('"pid":')[1].split(",")[0].strip(" }")) for line in lines if "workers.started" in line]


async def started(log: Path, count: int) -> list[int]:
    """Wait until so many workers were started in all."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            found = pids(log)
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def first_links(log: Path) -> list[str]:
    """Wait until a link for the first account was printed."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            if found := re.findall(r"once: (\S+)\n", log.read_text(errors="replace")):
                return found
            await asyncio.sleep(0.05)


@pytest.mark.timeout(300)
async def test_workers_share_a_port_and_are_started_again(postgres_url: str, tmp_path: Path) -> None:
    port, metrics, log = free_port(), free_port(), tmp_path / "log"
    env = environment(postgres_url, port, WARMLINE_METRICS_PORT=str(metrics), WARMLINE_LOG_FORMAT="json")
    each = [f"http://127.0.0.1:{metrics + number}/readyz" for number in range(2)]
    async with (
        running("serve", "--workers", "2", env=env, log=log) as supervisor,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http,
    ):
        for url in each:
            await until(http, url, 200)
        assert await status(http, f"http://127.0.0.1:{port}/healthz") == 200
        (link,) = set(await first_links(log))
        for _ in range(8):
            async with http.get(link, headers={"Connection": "close"}) as answer:
                assert answer.status == 200, "whichever worker answers"
        first = await started(log, 2)
        os.kill(first[1], signal.SIGKILL)
        second = await started(log, 3)
        await until(http, each[1], 200)

        supervisor.send_signal(signal.SIGHUP)
        third = await started(log, 5)
        for url in each:
            await until(http, url, 200)
        assert len(set(third)) == 5
        assert await status(http, f"http://127.0.0.1:{port}/readyz") == 200
        supervisor.terminate()
        assert await asyncio.wait_for(supervisor.wait(), 40) == 0
        assert second[0] == first[0]
        assert not [pid for pid in third if Path(f"/proc/{pid}/cmdline").exists()]


async def test_a_worker_takes_in_nothing_and_says_how_it_is(postgres_url: str, tmp_path: Path) -> None:
    port, metrics = free_port(), free_port()
    env = environment(postgres_url, port, WARMLINE_METRICS_PORT=str(metrics))
    async with (
        running("worker", env=env, log=tmp_path / "log") as process,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http,
    ):
        await until(http, f"http://127.0.0.1:{metrics}/readyz", 200)
        assert await status(http, f"http://127.0.0.1:{port}/healthz") == 0
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 40) == 0


@pytest.mark.parametrize("command", [("serve", "--workers", "2"), ("worker",)])
def test_several_processes_on_sqlite_are_refused(command: tuple[str, ...], tmp_path: Path) -> None:
    env = environment(f"sqlite:///{tmp_path / 'w.db'}", free_port())
    refused = CliRunner().invoke(app, command, env=env).exception
    assert isinstance(refused, ConfigError)
    assert refused.key == "WARMLINE_DATABASE_URL"
    assert "PostgreSQL" in str(refused)
    assert not (tmp_path / "w.db").exists()


async def test_workers_that_cannot_start_end_the_command() -> None:
    supervisor = Supervisor(lambda _: ([sys.executable, "-c", "raise SystemExit(1)"], {}), lambda _: NOWHERE, 2)
    with pytest.raises(WarmlineError, match="did not start"):
        await supervisor.run()
