"""The running emulator: the organization of the moment, which a reset replaces, and what outlives resets."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from warmline.emulators.webex.http import HttpClient
from warmline.emulators.webex.settings import AssetSpec, SimSettings
from warmline.emulators.webex.sim import Sim
from warmline.emulators.webex.storage import Storage


class Emulator:
    """Holds the current `sim`. `base_url` is the address under which the emulator is reached.

    Args:
        settings: the organization after the first start and after every reset.
        data: a file in which the organization is kept between starts.

    Raises:
        StorageError: the file cannot be used.
    """

    def __init__(self, settings: SimSettings, data: Path | None = None) -> None:
        self._initial = settings
        self._storage = Storage(data) if data else None
        self.http = HttpClient()
        self.base_url = settings.public_url
        self.renewed: list[Callable[[Sim], None]] = []
        kept = self._storage.settings() if self._storage else None
        self.sim = Sim(kept or settings, self.http)

    def listen_at(self, url: str) -> None:
        """Note the address for the URLs of files, unless the settings name one."""
        self.base_url = self._initial.public_url or url
        self.sim.world.base_url = self.base_url

    async def begin(self) -> None:
        """Go on where the former start stopped, when there is a file.

        Raises:
            StorageError: the file cannot be understood.
        """
        if self._storage is not None:
            self._storage.restore(self.sim)

    async def reset(self, everything: bool = False) -> None:
        """Go back to the state after the start: no tasks, agents logged out, initial settings, no faults.

        Args:
            everything: also forget what the middleware set up (the assets' webhooks, subscriptions and tokens),
                so that it has to connect again.
        """
        old = self.sim
        await old.stop()
        settings = self._initial
        if not everything:
            settings = _with_webhooks_of(settings, old.settings)
        self.sim = Sim(settings, self.http)
        self.sim.world.base_url = self.base_url
        if not everything:
            self.sim.oauth.adopt(old.oauth)
            for subscription in old.world.subscriptions.values():
                kept = replace(subscription, status="active", consecutive_failures=0)
                self.sim.world.subscriptions[kept.id] = kept
        if self._storage is not None:
            self._storage.begin(self.sim)
        for listener in self.renewed:
            listener(self.sim)

    async def close(self) -> None:
        """Stop everything."""
        if self._storage is not None:
            self._storage.close()
        await self.sim.stop()
        await self.http.close()


def _with_webhooks_of(settings: SimSettings, current: SimSettings) -> SimSettings:
    known = {asset.business_address: asset for asset in current.assets}

    def with_webhook(asset: AssetSpec) -> AssetSpec:
        now = known.get(asset.business_address, asset)
        return msgspec.structs.replace(asset, webhook_url=now.webhook_url, webhook_secret=now.webhook_secret)

    return msgspec.structs.replace(settings, assets=tuple(with_webhook(asset) for asset in settings.assets))
