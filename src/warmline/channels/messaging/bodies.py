"""Bodies of the messaging channel's REST calls (messaging-protocol.md §2, §12); their reference is made from these."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


class AccessTokenAnswer(msgspec.Struct, kw_only=True):
    """An access token with a new user identity."""

    access_token: str
    expires_in: Annotated[int, Meta(description="Seconds from now.")]
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 (the scheme's name)


class SessionWishes(msgspec.Struct, kw_only=True):
    """What the customer's side tells of itself. Values that are not known are ignored, not refused."""

    platform: Annotated[
        Any, Meta(description="web, ios, android, ios-web, android-web or custom; all else counts as web.")
    ] = None
    device_type: Annotated[Any, Meta(description="mobile, tablet or desktop.")] = None
    language: Annotated[Any, Meta(description="Language of the customer, such as en-GB.")] = None
    streaming_enabled: Annotated[Any, Meta(description="true: answers come in pieces while they are made.")] = None


class SessionAnswer(msgspec.Struct, kw_only=True):
    """The session, for the socket `/ws?access_token=…&session_id=…`."""

    session_id: str


class ContextBody(msgspec.Struct, kw_only=True):
    """Facts about the customer, signed by the page's own server."""

    token: Annotated[str, Meta(description="A JWT, HS256 with the connector's key; at most 16 kB.")]


class FileAnswer(msgspec.Struct, kw_only=True):
    """The customer's message that has the file."""

    message_id: str
