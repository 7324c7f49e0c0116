"""The chat REST API: other programs hold the conversation (messaging-protocol.md §16)."""

from warmline.channels.chat_rest.deps import ChatDeps, ChatLimits
from warmline.channels.chat_rest.routes import OPERATIONS, routes

__all__ = ["OPERATIONS", "ChatDeps", "ChatLimits", "routes"]
