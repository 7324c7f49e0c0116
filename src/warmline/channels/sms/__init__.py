"""SMS: customers text with the virtual agent and, after a handoff, with live agents (messaging-protocol.md §17)."""

from collections.abc import Mapping
from pathlib import Path

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from warmline.channels.sms.configuration import Configurations
from warmline.channels.sms.connections import SmsConnections
from warmline.channels.sms.hooks import Hooks
from warmline.channels.sms.inbound import Inbound, Partitions
from warmline.channels.sms.limits import Limiter, SmsLimits
from warmline.channels.sms.media import MediaFiles
from warmline.channels.sms.missed import LookSettings, Missed
from warmline.channels.sms.outbound import OutboundApi
from warmline.channels.sms.outgoing import Outgoing, SendSettings
from warmline.channels.sms.reference import OPERATIONS
from warmline.channels.sms.sessions import Sessions
from warmline.channels.sms.wishes import Wishes
from warmline.conversation.service import Conversations
from warmline.files import Fetcher, FileRelay
from warmline.ports import Bus, Clock, Ids, Store
from warmline.web.keys import ApiKeys

__all__ = ["OPERATIONS", "LookSettings", "SendSettings", "Sms", "SmsConnections", "SmsLimits"]


class Sms:
    """The channel put together.

    `outgoing` is the handler of `SendText`, `wishes` resolves what functions want to send.

    Args:
        http: for calls of carriers.
        fetcher: for files of MMS; closed with the channel.
        projects: folders of the projects by id.
        public_url: where this server is reached from outside, without a trailing slash.
    """

    def __init__(
        self,
        store: Store,
        conversations: Conversations,
        relay: FileRelay,
        fetcher: Fetcher,
        http: aiohttp.ClientSession,
        clock: Clock,
        ids: Ids,
        projects: Mapping[str, Path],
        public_url: str,
        metrics: CollectorRegistry,
        limits: SmsLimits | None = None,
        settings: SendSettings | None = None,
        looks: LookSettings | None = None,
    ) -> None:
        self.connections = SmsConnections(store, clock)
        sessions = Sessions(store, conversations, Configurations(projects), clock)
        media = MediaFiles(relay, fetcher, http, clock)
        limiter = Limiter(limits or SmsLimits(), clock)
        self.outgoing = Outgoing(store, self.connections, http, clock, public_url, metrics, settings)
        self.wishes = Wishes(self.connections, sessions)
        self._inbound = Inbound(store, conversations, self.connections, sessions, media, limiter, clock, ids)
        self._hooks = Hooks(self.connections, self._inbound, self.outgoing, public_url)
        self._missed = Missed(store, self.connections, self._inbound, http, clock, public_url, metrics, looks)
        keys = ApiKeys(store, clock, ids)
        self._outbound = OutboundApi(store, conversations, self.connections, sessions, keys, clock, ids)

    def share(self, partitions: Partitions, bus: Bus) -> None:
        """Share the work with other nodes. Call it before `start`."""
        self._inbound.share(partitions, bus)

    def routes(self, app: web.Application) -> None:
        """Mount `/sms/twilio/{connection_id}` and `/v1/outbound-sms`."""
        app.add_routes(self._hooks.routes())
        app.add_routes(self._outbound.routes())

    async def start(self) -> None:
        """Take up what was left undone. Raises StoreUnavailable."""
        await self._inbound.start()
        self._missed.start()

    async def stop(self) -> None:
        """Stop where it is; what waits stays in the store."""
        await self._missed.stop()
        await self._inbound.stop()
