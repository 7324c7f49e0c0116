"""An installation's data folder, an emulated Webex, and the commands as an operator calls them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from support.installation import LUMEN
from warmline.cli.main import app
from warmline.config import Settings
from warmline.emulators.webex import RunningSim, SimSettings, demo_values
from warmline.emulators.webex import start as start_sim
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemIds
from warmline.testing.server import SECRET_KEY

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
async def sim() -> AsyncIterator[RunningSim]:
    """The emulator, without delays."""
    running = await start_sim(SimSettings(relaxed=True, create_delay_ms=0, seed=7))
    try:
        yield running
    finally:
        await running.stop()


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """An installation like the demo's, with an empty database."""
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "secret.key").write_text(SECRET_KEY)
    chosen = Settings(
        database_url=f"sqlite:///{folder / 'warmline.db'}",
        public_url="http://localhost:8080",
        secret_key=SECRET_KEY,
        projects=LUMEN,
        relaxed=True,
    )
    store = open_store(chosen.database_url, SystemIds(), AesSecretBox(SECRET_KEY))
    await store.start()
    await store.close()
    return chosen


@pytest.fixture
def warmline(settings: Settings, tmp_path: Path) -> Command:
    """Run `warmline …` on that installation, beside the test's event loop."""

    async def run(*arguments: str, given: str = "") -> Result:
        command = [*arguments, "--demo", str(tmp_path / "demo")]
        return await asyncio.to_thread(CliRunner().invoke, app, command, input=given)

    return run


@pytest.fixture
def values(sim: RunningSim, tmp_path: Path) -> Callable[..., Path]:
    """A file with the emulator's values, some of them changed."""

    def write(**changes: str) -> Path:
        given = {"region": "custom", **demo_values(sim.sim.settings, sim.url), **changes}
        file = tmp_path / "values.toml"
        file.write_text("\n".join(f'"{key}" = "{value}"' for key, value in given.items() if value))
        return file

    return write
