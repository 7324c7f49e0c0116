"""What the operator's commands work on: the settings and the database of an installation."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import aiohttp
import typer

from warmline.cli.demo_folder import last_start
from warmline.cli.logs import quiet_logging
from warmline.config import Settings, load_settings
from warmline.domain.errors import ConfigError, DatabaseInUse
from warmline.handoff.registry import Registry
from warmline.ports import Clock, Connection, Ids, Store
from warmline.store import open_store
from warmline.store.secretbox import AesSecretBox
from warmline.system import SystemClock, SystemIds

DemoOption = Annotated[
    Path | None,
    typer.Option(
        "--demo", metavar="DIR", help="Work on the demo's installation in this folder, such as .warmline/demo."
    ),
]

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def chosen_settings(demo: Path | None) -> Settings:
    """The settings of the environment and warmline.toml, or those of a demo's data folder.

    Raises: ConfigError.
    """
    if demo is None:
        return load_settings()
    key_file = demo / "secret.key"
    if not key_file.is_file():
        raise ConfigError("--demo", f"{demo} is not the data folder of a demo that was started before")
    from warmline.cli.demo import example_project

    started = last_start(demo)
    return Settings(
        database_url=f"sqlite:///{(demo / 'warmline.db').resolve()}",
        public_url=f"http://localhost:{started.port}",
        secret_key=key_file.read_text(encoding="utf-8").strip(),
        projects=Path(started.project) if started.project else example_project(),
        port=started.port,
        relaxed=True,
    )


def chosen_project(settings: Settings, wanted: str) -> str:
    """The id of the project that is meant: `wanted`, or the only one. Raises ConfigError."""
    from warmline.agent.project.folders import find_projects

    projects = find_projects(settings.projects)
    if wanted and wanted not in projects:
        raise ConfigError("--project", f"there is no project {wanted}; there are: {', '.join(projects)}")
    if not wanted and len(projects) != 1:
        raise ConfigError("--project", f"name one of: {', '.join(projects)}")
    return wanted or next(iter(projects))


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An installation's parts, without a server. No provider runs until it is asked for."""

    settings: Settings
    store: Store
    registry: Registry
    http: aiohttp.ClientSession
    clock: Clock
    ids: Ids

    async def connection(self, wanted: str) -> Connection:
        """The connection of that id, beginning of an id, or name. Raises ConfigError when there is not exactly one."""
        known = await self.store.connections()
        exact = [c for c in known if wanted in (c.id, c.name)]
        fitting = exact or [c for c in known if c.id.startswith(wanted)]
        if len(fitting) != 1:
            why = "fits more than one connection" if fitting else "is no connection"
            raise ConfigError(wanted, f"{why}; `warmline connect list` shows them")
        return fitting[0]


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, reading: bool = False, alone: bool = True) -> AsyncIterator[Installation]:
    """The installation of `settings`.

    Args:
        reading: change nothing; works beside a running server.
        alone: refuse while a server works on the database, which would go on with what it has in memory.

    Raises:
        ConfigError, StoreUnavailable: the database cannot be used; DatabaseInUse: not now.
    """
    keys = settings.secret_keys
    if not keys:
        raise ConfigError("WARMLINE_SECRET_KEY", "missing")
    clock, ids = SystemClock(), SystemIds()
    store = open_store(settings.database_url, ids, AesSecretBox(keys[0], keys[1:]), reading=reading)
    try:
        await store.start()
    except DatabaseInUse:
        raise _in_use("this SQLite database") from None
    try:
        if alone and not reading and (nodes := await store.nodes(clock.now())):
            raise _in_use(f"this database ({', '.join(nodes)})")
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            secret = "" if reading else await store.setting("install_secret", ids.secret)
            registry = Registry(
                store,
                http,
                clock,
                ids,
                public_url=settings.public_url,
                install_secret=secret.encode(),
                relaxed=settings.relaxed,
            )
            try:
                yield Installation(settings=settings, store=store, registry=registry, http=http, clock=clock, ids=ids)
            finally:
                await registry.stop()
    finally:
        await store.close()


def work_on(
    settings: Settings, work: Callable[[Installation], Awaitable[None]], *, reading: bool = False, alone: bool = True
) -> None:
    """Do a command's work on the installation of `settings`, from start to end; see `opened`.

    Nothing is logged: commands tell everything themselves.
    """
    quiet_logging()

    async def run() -> None:
        async with opened(settings, reading=reading, alone=alone) as installation:
            await work(installation)

    asyncio.run(run())


def _in_use(what: str) -> DatabaseInUse:
    return DatabaseInUse(
        "WARMLINE_DATABASE_URL",
        f"a server is running on {what}. This command changes what the server holds in memory: stop the server, "
        "run the command again, then start the server. `warmline connect list` and `warmline doctor` need no stop.",
    )
