"""The messaging protocol: webchat widgets and mobile SDKs (messaging-protocol.md §1 to §11)."""

from warmline.channels.messaging.connectors import ConnectorDirectory
from warmline.channels.messaging.context import key_of_installation
from warmline.channels.messaging.deps import MessagingDeps, MessagingLimits
from warmline.channels.messaging.reference import OPERATIONS
from warmline.channels.messaging.routes import routes

__all__ = ["OPERATIONS", "ConnectorDirectory", "MessagingDeps", "MessagingLimits", "key_of_installation", "routes"]
