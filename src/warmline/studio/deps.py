"""What the Studio works on."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from warmline.ports import Bus, Clock, Connection, EventSender, Ids, LooksAfterSystem, Store

if TYPE_CHECKING:
    from warmline.agent.turn.engine import ProjectEngine
    from warmline.conversation.acts import Acts
    from warmline.conversation.erase import Eraser
    from warmline.conversation.service import Conversations
    from warmline.handoff.manifest import Manifest
    from warmline.handoff.registry import Registry
    from warmline.handoff.verdicts import Verdict


class TextNumbers(Protocol):
    """Sets up the connections over which customers text."""

    manifest: "Manifest"

    def numbers(self, connection: Connection) -> tuple[str, ...]:
        """The numbers of a connection."""
        ...

    def webhook_url(self, connection_id: str) -> str:
        """What is entered at the carrier."""
        ...

    async def test(self, connection: Connection) -> "tuple[Verdict, ...]":
        """Ask the carrier, step by step, whether a connection can work."""
        ...

    async def save(
        self, project_id: str, given: Mapping[str, str], name: str, existing: Connection | None
    ) -> "tuple[Connection | None, tuple[Verdict, ...]]":
        """Save what was entered if the carrier knows the account. Raises ConfigError, which names the field."""
        ...

    def mistake(self, project: Path, number: str) -> str:
        """What is wrong with the project's rules for a number; "" when nothing is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioDeps:
    """The parts of the server that the Studio shows and changes.

    `engines` and `folders` are by project id, in the order in which the Studio lists projects. `key` makes form
    tokens and the first account's link. `public_url` is where browsers reach the server. `configured_secrets` gives the
    names of a project's secrets that the server's settings hold, as `secret_key` writes them. `destinations` tells how
    connections that were spoken to are now ("up", "down", "auth_failed"), by id.
    """

    store: Store
    registry: "Registry"
    conversations: "Conversations"
    acts: "Acts"
    eraser: "Eraser"
    engines: Mapping[str, "ProjectEngine"]
    folders: Mapping[str, Path]
    configured_secrets: Callable[[str], Collection[str]]
    text_numbers: TextNumbers
    clock: Clock
    ids: Ids
    sender: EventSender
    health: LooksAfterSystem
    bus: Bus
    destinations: Callable[[], Mapping[str, str]]
    public_url: str
    key: bytes = field(repr=False)
    trusted_proxies: int = 0
