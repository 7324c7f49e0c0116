"""What the chat REST API is made of."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from warmline.channels.messaging import ConnectorDirectory
from warmline.conversation.service import Conversations
from warmline.ports import Bus, Clock, Ids
from warmline.web.keys import ApiKeys
from warmline.web.limits import RateLimit

_REQUESTS = RateLimit(count=600, seconds=60)
_STRANGERS = RateLimit(count=30, seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatLimits:
    """Bounds of the API. `requests` counts by key, `strangers` refused calls by address.

    `answer_s` is how long a call waits for the virtual agent. `trusted_proxies` is how many proxies in front append
    to X-Forwarded-For.
    """

    requests: RateLimit = _REQUESTS
    strangers: RateLimit = _STRANGERS
    answer_s: float = 60.0
    body_bytes: int = 262_144
    text_bytes: int = 131_072
    attributes_bytes: int = 16_384
    trusted_proxies: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatDeps:
    """What `routes` needs. `turn_records` gives (turn id, record) of a session's finished turns."""

    conversations: Conversations
    turn_records: Callable[[str], Awaitable[Sequence[tuple[str, bytes]]]]
    bus: Bus
    clock: Clock
    ids: Ids
    connectors: ConnectorDirectory
    keys: ApiKeys
    projects: Collection[str]
    limits: ChatLimits = ChatLimits()
