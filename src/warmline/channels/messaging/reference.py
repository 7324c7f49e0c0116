"""The reference of the messaging channel's REST calls (messaging-protocol.md §2, §12; files are an extension)."""

from warmline.channels.messaging import bodies
from warmline.web.errors import ErrorBody
from warmline.web.openapi import BEARER, Operation, Parameter

_GROUP = "Messaging"
_SESSION = Parameter(name="session_id", where="path", description="The session, as `sessions` gave it.")
_TOO_LARGE = {413: ("The body is too large.", ErrorBody)}
_ERRORS = {
    429: ("Too many requests; Retry-After says how many seconds to wait.", ErrorBody),
    500: ("Something went wrong.", ErrorBody),
}

OPERATIONS = (
    Operation(
        method="POST",
        path="/api/v1/access-token",
        summary="Get an access token",
        description="Each has a user identity of its own and lives for a day.",
        group=_GROUP,
        parameters=(
            Parameter(
                name="X-Host",
                where="header",
                description="Host of the page; it must be one of the connector's.",
                required=True,
            ),
        ),
        answer=bodies.AccessTokenAnswer,
        errors=_ERRORS
        | _TOO_LARGE
        | {401: ("X-Token is missing or unknown, or X-Host is not one of its hosts.", ErrorBody)},
        security=("X-Token",),
    ),
    Operation(
        method="POST",
        path="/api/v1/sessions",
        summary="Begin a session",
        description="The conversation itself is held over the socket.",
        group=_GROUP,
        body=bodies.SessionWishes,
        body_required=False,
        answer=bodies.SessionAnswer,
        errors=_ERRORS
        | _TOO_LARGE
        | {
            400: ("The access token is missing, or the body is no JSON object.", ErrorBody),
            401: ("The access token is not valid.", ErrorBody),
        },
        security=(BEARER,),
    ),
    Operation(
        method="PUT",
        path="/api/v1/sessions/{session_id}/context",
        summary="Tell facts about the customer",
        description="The last ones count, as a whole. Functions find them in the conversation.",
        group=_GROUP,
        parameters=(_SESSION,),
        body=bodies.ContextBody,
        answer=None,
        status=204,
        errors=_ERRORS
        | {
            400: ("`token` is not a text.", ErrorBody),
            401: ("The access token or the signed token is not valid; the text says why.", ErrorBody),
            404: ("There is no such session, or its connector takes no facts.", ErrorBody),
            413: ("The token is too large.", ErrorBody),
        },
        security=(BEARER,),
    ),
    Operation(
        method="POST",
        path="/api/v1/sessions/{session_id}/files",
        summary="Send a file to the live agent",
        description=(
            "Possible while a live agent has the conversation and their contact centre takes files. The file becomes "
            "a message of the customer."
        ),
        group=_GROUP,
        parameters=(
            _SESSION,
            Parameter(name="name", where="query", description="Name of the file."),
            Parameter(name="text", where="query", description="What the customer writes with it."),
            Parameter(
                name="local_id",
                where="query",
                description="The same id again is the same message.",
                schema={"type": "string", "pattern": "^[A-Za-z0-9._:-]{0,128}$"},
            ),
        ),
        body=bytes,
        answer=bodies.FileAnswer,
        status=201,
        errors=_ERRORS
        | {
            400: ("`local_id` is not as it must be.", ErrorBody),
            401: ("The access token is not valid.", ErrorBody),
            404: ("There is no such session.", ErrorBody),
            408: ("The file took too long to arrive.", ErrorBody),
            409: ("Nobody takes files now.", ErrorBody),
            413: ("The file or the text is too large.", ErrorBody),
            415: ("Files of this kind are not taken.", ErrorBody),
            503: ("Not now; try again after Retry-After seconds.", ErrorBody),
        },
        security=(BEARER,),
    ),
)
"""The channel's REST calls, for the reference."""
