"""What the messaging channel is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from warmline.channels.messaging.connectors import ConnectorDirectory
from warmline.conversation.service import Conversations
from warmline.files import FileRelay
from warmline.ports import Bus, Clock, ContextStore, Ids
from warmline.web.limits import RateLimit

_FRAMES = RateLimit(count=30, seconds=10)
_REQUESTS = RateLimit(count=240, seconds=60)
_FILES = RateLimit(count=10, seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagingLimits:
    """Bounds of the channel; the defaults are those of messaging-protocol.md §3 and §10.

    `frames` counts the frames of one session apart from heartbeats and its end, `requests` the REST requests
    of one address, `files` the files of one session, `uploads` those that arrive at once on this node.
    `queue_frames` and `queue_bytes` bound what waits for one slow socket. `ping_s` is the interval of WebSocket
    pings. `trusted_proxies` is how many proxies in front append to X-Forwarded-For.
    """

    sockets: int = 10
    text_bytes: int = 131_072
    frame_bytes: int = 1_048_576
    frames: RateLimit = _FRAMES
    requests: RateLimit = _REQUESTS
    files: RateLimit = _FILES
    uploads: int = 16
    body_bytes: int = 65_536
    queue_frames: int = 1_000
    queue_bytes: int = 4_194_304
    ping_s: float = 25.0
    trusted_proxies: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagingDeps:
    """What `routes` needs. `jwt_secrets` have at least 32 bytes each and are used for access tokens
    only; the first signs. `context_keys` are the installation's keys for verified context, the present one first."""

    conversations: Conversations
    bus: Bus
    clock: Clock
    ids: Ids
    connectors: ConnectorDirectory
    files: FileRelay
    contexts: ContextStore
    jwt_secrets: Sequence[bytes] = field(repr=False)
    context_keys: Sequence[bytes] = field(repr=False, default=())
    limits: MessagingLimits = MessagingLimits()
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    """Takes the metrics."""
