"""Finds the providers and keeps one running object per connection. Nobody else names a provider."""

import asyncio
import contextlib
import importlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from types import MappingProxyType
from typing import cast

import aiohttp
import structlog

from warmline.domain.errors import ConfigError, StoreUnavailable, WarmlineError
from warmline.handoff.contract import Provider, ProviderEnvironment, ProviderModule, RemovesRegistrations
from warmline.handoff.manifest import Manifest, read_manifest
from warmline.ports import EVERYTHING, Bus, Clock, Connection, Ids, Poke, Store, Wake

_log = structlog.get_logger(__name__)

_PROVIDERS = "warmline.handoff.providers"
_SUFFIX = "_integration"

KNOWN_PROVIDERS = ("webex", "salesforce", "zendesk", "nice", "amazon_connect", "genesys", "five9")
"""Providers that projects may name (design.md §7), whether or not this installation has them."""

CONNECTED = "connected"

_LOOK_S = 30.0
"""So often stored connections are compared with those that run, if nobody tells of a change."""


class NoConnection(WarmlineError):
    """There is no connection for a handoff. `code` is unknown_integration, not_available or not_connected."""


def provider_key(integration_key: str) -> str | None:
    """The provider that a handoff key such as "webex_integration" means; None for an unknown key."""
    stem = integration_key.removesuffix(_SUFFIX)
    return stem if stem != integration_key and stem in KNOWN_PROVIDERS else None


@dataclass(slots=True)
class _Entry:
    connection: Connection
    provider: Provider
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the stored connection is changed, so that a state never overwrites newer secrets."""


class Registry:
    """The providers of this installation and their connections.

    Args:
        http: the client that all providers share; must not bound how many calls run at once.
        public_url: where this server is reached from outside, without a trailing slash.
        install_secret: stable for the installation; keys hashed customer identities.
        relaxed: allow http and private addresses (emulators).
    """

    def __init__(
        self,
        store: Store,
        http: aiohttp.ClientSession,
        clock: Clock,
        ids: Ids,
        *,
        public_url: str,
        install_secret: bytes,
        relaxed: bool = False,
    ) -> None:
        self._store = store
        self._http = http
        self._clock = clock
        self._ids = ids
        self._install_secret = install_secret
        self.public_url = public_url.rstrip("/")
        self.relaxed = relaxed
        self._bus: Bus | None = None
        self._told: set[str] = set()
        """Connections that another node has set up again."""
        self._look = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._entries: dict[str, _Entry] = {}
        self._watchers: list[Callable[[Connection], None]] = []
        self._manifests = _discover()

    @property
    def manifests(self) -> Mapping[str, Manifest]:
        """What the installed providers say about themselves, by key."""
        return MappingProxyType(self._manifests)

    def module(self, key: str) -> ProviderModule:
        """The code of an installed provider. Raises NoConnection when it is not installed."""
        if key not in self._manifests:
            raise NoConnection("not_available", f"this installation has no provider {key}")
        return cast(ProviderModule, importlib.import_module(f"{_PROVIDERS}.{key}.provider"))

    def watch(self, callback: Callable[[Connection], None]) -> None:
        """Call `callback` whenever a connection was started, replaced or changed its state. Must not block."""
        self._watchers.append(callback)

    async def start(self) -> None:
        """Start all stored connections. One that cannot start reports it and holds up no other."""
        connections = await self._store.connections()
        await asyncio.gather(*(self._start(connection) for connection in connections))

    def follow(self, bus: Bus) -> None:
        """From now on, take over what other nodes and programs do to connections; call it after `start`."""
        self._bus = bus
        self._stop_watching = bus.watch(self._hear)
        self._follower = asyncio.create_task(self._follow(), name="registry-follower")

    async def stop(self) -> None:
        """Stop all providers; registrations on the platforms stay."""
        if self._follower is not None:
            self._stop_watching()
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower
        entries, self._entries = self._entries, {}
        await asyncio.gather(*(entry.provider.stop() for entry in entries.values()))

    def get(self, connection_id: str) -> Provider | None:
        """The running provider of a connection."""
        entry = self._entries.get(connection_id)
        return entry.provider if entry else None

    def connection(self, connection_id: str) -> Connection | None:
        """A connection as it is now."""
        entry = self._entries.get(connection_id)
        return entry.connection if entry else None

    def connections(self) -> Iterable[Connection]:
        """All connections that run."""
        return tuple(entry.connection for entry in self._entries.values())

    def find(self, project_id: str, integration_key: str, *, name: str = "") -> Connection:
        """The connection that a project's handoff goes to.

        Args:
            project_id: the session's project.
            integration_key: such as "webex_integration".
            name: name or id of a connection, where a project has several; "" takes the oldest, healthy ones first.

        Raises:
            NoConnection: says what the operator must do.
        """
        key = provider_key(integration_key)
        if key is None:
            known = ", ".join(f"{stem}{_SUFFIX}" for stem in KNOWN_PROVIDERS)
            raise NoConnection("unknown_integration", f"{integration_key} is not one of {known}")
        if key not in self._manifests:
            raise NoConnection("not_available", f"this version of Warmline cannot hand off to {key} yet")
        fitting = [c for c in self.connections() if c.provider == key and c.project_id == project_id]
        if name:
            fitting = [c for c in fitting if name in (c.name, c.id)]
        if not fitting:
            which = f" named {name}" if name else ""
            raise NoConnection(
                "not_connected", f"project {project_id} has no {key} connection{which}: connect it under Integrations"
            )
        return min(fitting, key=lambda c: (c.state != CONNECTED, c.created_at, c.id))

    def webhook_url(self, provider: str, connection_id: str, endpoint: str) -> str:
        """Where a connection's webhooks arrive (design.md §3)."""
        return f"{self.public_url}/hooks/{provider}/{connection_id}/{endpoint}"

    def environment(self, connection_id: str) -> ProviderEnvironment:
        """What a provider of this connection may use of the outside."""

        async def save_secrets(secrets: Mapping[str, str]) -> None:
            await self._save_secrets(connection_id, secrets)

        async def set_state(state: str, reason: str) -> None:
            await self.set_state(connection_id, state, reason)

        async def load_secrets() -> Mapping[str, str]:
            stored = [item for item in await self._store.connections() if item.id == connection_id]
            return stored[0].secrets if stored else {}

        return ProviderEnvironment(
            http=self._http,
            clock=self._clock,
            ids=self._ids,
            public_url=self.public_url,
            install_secret=self._install_secret,
            save_secrets=save_secrets,
            set_state=set_state,
            load_secrets=load_secrets,
            alone=partial(self._store.exclusive, f"secrets/{connection_id}"),
            relaxed=self.relaxed,
        )

    async def reload(self, connection_id: str) -> Provider | None:
        """Replace the running provider by one made from what is stored now; None when nothing is stored."""
        self._wake_others(connection_id)
        for connection in await self._store.connections():
            if connection.id == connection_id:
                return await self._start(connection)
        previous = self._entries.pop(connection_id, None)
        if previous is not None:
            await previous.provider.stop()
        return None

    async def remove(self, connection_id: str) -> None:
        """Disconnect: remove its registrations on the platform as far as it can be reached, then the connection."""
        entry = self._entries.pop(connection_id, None)
        if entry is not None:
            if isinstance(entry.provider, RemovesRegistrations):
                try:
                    await entry.provider.unregister()
                except WarmlineError as error:
                    _log.warning("registry.not_unregistered", connection_id=connection_id, code=error.code)
            await entry.provider.stop()
        await self._store.delete_connection(connection_id)
        self._wake_others(connection_id)

    def _wake_others(self, *set_up_again: str) -> None:
        if self._bus is not None:
            self._bus.send(Wake("connections", set_up_again))

    def _hear(self, signal: Poke | Wake) -> None:
        if isinstance(signal, Wake) and signal.topic in ("connections", EVERYTHING):
            self._told.update(signal.keys)
            self._look.set()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._look.wait()
            self._look.clear()
            told, self._told = self._told, set()
            try:
                await self._compare(told)
            except StoreUnavailable:
                self._told |= told
                _log.warning("registry.store_unavailable")
            except Exception:
                _log.exception("registry.not_followed")

    async def _compare(self, told: Collection[str]) -> None:
        """Make the running connections those that are stored."""
        stored = {connection.id: connection for connection in await self._store.connections()}
        for connection_id in self._entries.keys() - stored.keys():
            await self._entries.pop(connection_id).provider.stop()
        for connection in stored.values():
            entry = self._entries.get(connection.id)
            if entry is None or _changed(entry.connection, connection, secrets=connection.id in told):
                await self._start(connection)
            else:
                before, entry.connection = entry.connection, connection
                if (before.state, before.state_reason) != (connection.state, connection.state_reason):
                    self._tell(connection)

    async def set_state(self, connection_id: str, state: str, reason: str) -> None:
        """Store how a running connection is (`ports.Connection.state`) and tell whoever watches."""
        entry = self._entries.get(connection_id)
        if entry is None:
            return
        async with entry.lock:
            if (entry.connection.state, entry.connection.state_reason) == (state, reason):
                return
            changed = replace(entry.connection, state=state, state_reason=reason)
            await self._store.set_connection_state(connection_id, state, reason)
            entry.connection = changed
        _log.info("registry.connection_state", connection_id=connection_id, state=state)
        self._tell(changed)
        # Without its name: providers elsewhere go on with the secrets that they may have renewed.
        self._wake_others()

    async def _start(self, connection: Connection) -> Provider | None:
        try:
            module = self.module(connection.provider)
            provider = module.create(connection, self.environment(connection.id))
        except (NoConnection, ConfigError) as error:
            _log.error("registry.connection_not_started", connection_id=connection.id, code=error.code)
            return None
        previous = self._entries.get(connection.id)
        self._entries[connection.id] = _Entry(connection, provider)
        if previous is not None:
            await previous.provider.stop()
        await provider.start()
        self._tell(self._entries[connection.id].connection)
        return provider

    async def _save_secrets(self, connection_id: str, secrets: Mapping[str, str]) -> None:
        entry = self._entries.get(connection_id)
        if entry is None:
            await self._store.save_secrets(connection_id, secrets)
            return
        async with entry.lock:
            await self._store.save_secrets(connection_id, secrets)
            entry.connection = replace(entry.connection, secrets={**entry.connection.secrets, **secrets})

    def _tell(self, connection: Connection) -> None:
        for watcher in self._watchers:
            watcher(connection)


def _changed(running: Connection, stored: Connection, *, secrets: bool) -> bool:
    """What the provider is made from. Providers renew `secrets` themselves, on one node or another."""
    same = replace(running, state=stored.state, state_reason=stored.state_reason)
    return (same if secrets else replace(same, secrets=stored.secrets)) != stored


def _discover() -> dict[str, Manifest]:
    found: dict[str, Manifest] = {}
    for folder in files(_PROVIDERS).iterdir():
        file = folder / "manifest.toml"
        if folder.name.startswith("_") or not folder.is_dir() or not file.is_file():
            continue
        manifest = read_manifest(file)
        if manifest.key != folder.name:
            raise ConfigError(str(file), f"key must be {folder.name}, the name of the folder")
        found[manifest.key] = manifest
    return dict(sorted(found.items()))
