"""A provider with everything real around it: store, HTTP client, and a Webex that is emulated or scripted."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.scripted_http import Reply, ScriptedServer
from support.stores import opened
from support.webex import SECRETS, VALUES
from warmline.emulators.webex import RunningSim, SimSettings, demo_values
from warmline.emulators.webex import start as start_sim
from warmline.handoff.connect import connect
from warmline.handoff.contract import ProviderEnvironment, WebhookRequest
from warmline.handoff.registry import Registry
from warmline.handoff.verdicts import CheckReport
from warmline.ports import Clock, Connection, Store
from warmline.system import SystemClock, SystemIds

PUBLIC_URL = "https://warmline.example.org"
SECRET_FIELDS = {"client_secret", "refresh_token", "access_token", "asset_webhook_secret"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """The HTTP client that providers share."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store on SQLite."""
    async with opened(f"sqlite:///{tmp_path}/warmline.db") as store:
        yield store


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedServer]:
    """A Webex that answers as it is told; tokens and subscriptions work unless told otherwise."""
    async with ScriptedServer() as server:
        server.always("POST /v1/access_token", grant())
        server.always("GET /v2/event-types", Reply(body=EVENT_TYPES))
        server.always("GET /v2/subscriptions", Reply(body={"data": []}))
        yield server


@dataclass
class Door:
    """Where an emulator's webhooks arrive."""

    server: ScriptedServer
    taken: int = 0

    def waiting(self) -> list[WebhookRequest]:
        """The webhooks since the last call, as the hooks endpoint hands them over."""
        new = self.server.asked[self.taken :]
        self.taken = len(self.server.asked)
        return [
            WebhookRequest(
                endpoint=asked.path.rpartition("/")[2],
                headers=asked.headers,
                body=asked.body,
                received_at=SystemClock().now(),
            )
            for asked in new
            if asked.method == "POST"
        ]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A server that only takes webhooks in."""
    async with ScriptedServer() as server:
        yield Door(server)


@pytest.fixture
async def sim() -> AsyncIterator[RunningSim]:
    """The emulator, without delays."""
    running = await start_sim(SimSettings(relaxed=True, create_delay_ms=0, seed=7))
    try:
        yield running
    finally:
        await running.stop()


@pytest.fixture
async def registry(store: Store, http: aiohttp.ClientSession, door: Door) -> AsyncIterator[Registry]:
    """The registry of an installation whose webhooks arrive at `door`."""
    registry = Registry(
        store, http, SystemClock(), SystemIds(), public_url=door.server.url, install_secret=b"install", relaxed=True
    )
    await registry.start()
    try:
        yield registry
    finally:
        await registry.stop()


Connecting = Callable[..., Awaitable[tuple[CheckReport, Connection | None]]]


@pytest.fixture
def connecting(store: Store, registry: Registry, sim: RunningSim) -> Connecting:
    """*Connect* to the emulator, with changed values if wanted."""

    async def run(*, connection_id: str = "", **changes: str) -> tuple[CheckReport, Connection | None]:
        given = {"region": "custom", **demo_values(sim.sim.settings, sim.url), **changes}
        return await connect(
            store,
            registry,
            SystemClock(),
            SystemIds(),
            "webex",
            "lumen",
            {key: value for key, value in given.items() if key not in SECRET_FIELDS},
            {key: value for key, value in given.items() if key in SECRET_FIELDS},
            "Webex",
            connection_id=connection_id,
        )

    return run


@dataclass
class Outside:
    """What a provider did to its installation."""

    saved: list[dict[str, str]] = field(default_factory=list)
    states: list[tuple[str, str]] = field(default_factory=list)
    broken: Exception | None = None
    """What saving raises, if anything."""

    async def save(self, secrets: Mapping[str, str]) -> None:
        if self.broken is not None:
            raise self.broken
        self.saved.append(dict(secrets))

    async def state(self, state: str, reason: str) -> None:
        self.states.append((state, reason))


@pytest.fixture
def outside() -> Outside:
    """Records what a provider saves and reports."""
    return Outside()


@pytest.fixture
def environment(http: aiohttp.ClientSession, outside: Outside) -> ProviderEnvironment:
    """What a provider may use, recorded."""
    return ProviderEnvironment(
        http=http,
        clock=SystemClock(),
        ids=SystemIds(),
        public_url=PUBLIC_URL,
        install_secret=b"install",
        save_secrets=outside.save,
        set_state=outside.state,
        relaxed=True,
    )


def with_clock(environment: ProviderEnvironment, clock: Clock) -> ProviderEnvironment:
    """The same with another clock."""
    return replace(environment, clock=clock)


def connection_to(url: str, secrets: Mapping[str, str] | None = None, **values: str) -> Connection:
    """A connection to a scripted Webex; its access token `access` is valid for ever."""
    return Connection(
        id="connection",
        provider="webex",
        name="Webex",
        project_id="lumen",
        values={
            **VALUES,
            "region": "custom",
            "api_base_url": url,
            "oauth_token_url": f"{url}/v1/access_token",
            **values,
        },
        secrets={
            **SECRETS,
            "client_secret": "client secret",
            "refresh_token": "refresh-0",
            "access_token": "access",
            "access_renew_at": str(2**52),
            **(secrets or {}),
        },
    )


def grant(access: str = "granted_SIM_" + VALUES["org_id"], refresh: str = "refresh-1", life: int = 1_209_600) -> Reply:
    """The token endpoint's answer."""
    return Reply(
        body={
            "access_token": access,
            "expires_in": life,
            "refresh_token": refresh,
            "refresh_token_expires_in": 7_776_000,
        }
    )


_TASK_EVENTS = (
    "new", "parked", "connect", "connected", "on-hold", "hold-done", "consulting", "consult-done", "conferencing",
    "conference-done", "ended", "failed",
)  # fmt: skip
EVENT_TYPES: dict[str, Any] = {
    "meta": {
        "resourceVersionList": [
            {"resource": "task", "version": "1.0.0"},
            {"resource": "task-message", "version": "1.0.0"},
        ]
    },
    "data": [
        *({"name": f"task:{name}", "resource": "task"} for name in _TASK_EVENTS),
        {"name": "task-message:appended", "resource": "task-message"},
        {"name": "task-message:append-failed", "resource": "task-message"},
    ],
}
