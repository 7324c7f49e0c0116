"""What the Studio works on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from warmline.ports import Clock, Ids, Store

if TYPE_CHECKING:
    from warmline.agent.turn.engine import ProjectEngine
    from warmline.conversation.service import Conversations
    from warmline.handoff.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioDeps:
    """The parts of the server that the Studio shows and changes.

    `engines` and `folders` are by project id, in the order in which the Studio lists projects. `key` makes form
    tokens. `public_url` is where browsers reach the server.
    """

    store: Store
    registry: "Registry"
    conversations: "Conversations"
    engines: Mapping[str, "ProjectEngine"]
    folders: Mapping[str, Path]
    clock: Clock
    ids: Ids
    public_url: str
    key: bytes = field(repr=False)
    trusted_proxies: int = 0
