"""The call by which another system begins a text, for the reference (messaging-protocol.md §17.5)."""

from typing import Annotated

import msgspec
from msgspec import Meta

from warmline.web.openapi import Operation, Parameter

MESSAGE_CHARS = 1600

# Without the look-ahead, Python's `$` would let a final newline pass.
_Number = Annotated[str, Meta(pattern=r"^\+[1-9][0-9]{6,14}$(?!\n)", description="Such as +14155550100.")]


class OutboundBody(msgspec.Struct, kw_only=True):
    """Who is to get which text."""

    user_number: _Number
    message: Annotated[str, Meta(min_length=1, max_length=MESSAGE_CHARS, pattern=r"\S", description="The text.")]
    agent_number: Annotated[
        str | None, Meta(description="One of the connection's numbers; its first when left out.")
    ] = None


class OutboundRefusal(msgspec.Struct, kw_only=True):
    """Every error."""

    detail: str


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/outbound-sms",
        summary="Text a customer",
        description=(
            "Begins a session with this text as the virtual agent's first words; the customer's reply lands in it. "
            "202: the text is on disk. `/public_api/sms/outbound` is the same call under its older path."
        ),
        group="SMS",
        parameters=(
            Parameter(
                name="X-TOKEN-ID", where="header", description="Id or name of the SMS connection.", required=True
            ),
            Parameter(
                name="Idempotency-Key",
                where="header",
                description="The same key again is the same text.",
                schema={"type": "string", "pattern": "^[!-~]{1,255}$"},
            ),
        ),
        body=OutboundBody,
        answer=None,
        status=202,
        errors={
            400: ("The body is not as it must be; the text names the field.", OutboundRefusal),
            401: ("X-PolyAi-Auth-Token is missing or unknown.", OutboundRefusal),
            403: ("The API key is for another project.", OutboundRefusal),
            404: ("There is no such SMS connection.", OutboundRefusal),
            409: ("A live agent is in conversation with this customer.", OutboundRefusal),
            413: ("The body is too large.", OutboundRefusal),
            429: ("Too many texts for this project; Retry-After says how many seconds to wait.", OutboundRefusal),
            503: ("The text could not be stored; try again after Retry-After seconds.", OutboundRefusal),
        },
        security=("X-PolyAi-Auth-Token",),
    ),
)
"""The channel's REST call, for the reference."""
