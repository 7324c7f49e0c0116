"""What carries messages from a node to all nodes."""

from collections.abc import Callable, Sequence
from typing import Protocol


class Transport(Protocol):
    """A way to every node of the installation, this one included.

    What one node publishes arrives everywhere in the order of publishing, or is lost.
    """

    limit: int
    """The most bytes that one message may have."""

    async def open(self, receive: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """Connect; from then on call `receive` for each message, and `lost` once when the connection is gone.

        Raises:
            ConfigError: it is refused, and will be again. BusUnavailable: it cannot be reached now.
        """
        ...

    async def publish(self, messages: Sequence[bytes]) -> None:
        """Send them; may be cancelled. Raises BusUnavailable when some may be lost, ConfigError when not permitted."""
        ...

    async def close(self) -> None:
        """Let go of the connection, if there is one; `open` may be called again. Never raises."""
        ...
