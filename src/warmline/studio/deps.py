"""What the Studio works on."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from warmline.ports import Clock, EventSender, Ids, Store

if TYPE_CHECKING:
    from warmline.agent.turn.engine import ProjectEngine
    from warmline.conversation.acts import Acts
    from warmline.conversation.service import Conversations
    from warmline.handoff.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioDeps:
    """The parts of the server that the Studio shows and changes.

    `engines` and `folders` are by project id, in the order in which the Studio lists projects. `key` makes form
    tokens. `public_url` is where browsers reach the server. `configured_secrets` gives the names of a project's secrets
    that the server's settings hold, as `secret_key` writes them.
    """

    store: Store
    registry: "Registry"
    conversations: "Conversations"
    acts: "Acts"
    engines: Mapping[str, "ProjectEngine"]
    folders: Mapping[str, Path]
    configured_secrets: Callable[[str], Collection[str]]
    clock: Clock
    ids: Ids
    sender: EventSender
    public_url: str
    key: bytes = field(repr=False)
    trusted_proxies: int = 0
