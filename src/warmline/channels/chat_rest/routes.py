"""Where the chat REST API is mounted, and its reference."""

from aiohttp import web

from warmline.channels.chat_rest import bodies
from warmline.channels.chat_rest.chat import MAX_WAIT_S, SEQUENCE, Chat
from warmline.channels.chat_rest.deps import ChatDeps
from warmline.web.openapi import Operation, Parameter

_BASE = "/v1/{account_id}/{project_id}/chat"
_HEADERS = ("X-API-KEY", "X-TOKEN")
_PATH = (
    Parameter(name="account_id", where="path", description="Any name: an installation has one account."),
    Parameter(name="project_id", where="path", description="Id of the agent project."),
)
_IDEMPOTENCY = Parameter(
    name="Idempotency-Key",
    where="header",
    description="The same key makes a repeated call the same call, and gives the same answer.",
    schema={"type": "string", "pattern": "^[!-~]{1,128}$"},
)
_THROUGH = {SEQUENCE: "The event through which the answer goes; `events` gives what follows."}
_ERRORS = {
    400: ("The request is not as it must be, or the virtual agent did not answer in time.", bodies.Refusal),
    401: ("X-API-KEY or X-TOKEN is missing or unknown.", bodies.Refusal),
    403: ("The API key or the connector token is for another project.", bodies.Refusal),
    404: ("There is no such project or conversation.", bodies.Refusal),
    413: ("The body is too large.", bodies.Refusal),
    429: ("Too many requests; Retry-After says how many seconds to wait.", bodies.Refusal),
    500: ("Something went wrong.", bodies.Refusal),
    503: ("Not now; try again after Retry-After seconds.", bodies.Refusal),
}
_ENDED = {410: ("The conversation has ended.", bodies.Refusal)}

OPERATIONS = (
    Operation(
        method="POST",
        path=f"{_BASE}/create",
        summary="Begin a conversation",
        description="Answers with the greeting, once the virtual agent has said it.",
        group="Chat",
        parameters=(*_PATH, _IDEMPOTENCY),
        body=bodies.CreateBody,
        body_required=False,
        answer=bodies.CreateAnswer,
        errors=_ERRORS,
        security=_HEADERS,
        headers=_THROUGH,
    ),
    Operation(
        method="POST",
        path=f"{_BASE}/respond",
        summary="Say something as the customer",
        description=(
            "Answers with what the virtual agent says. While a live agent has the conversation, the message goes to "
            "them and `response` is empty: their words come with `events`."
        ),
        group="Chat",
        parameters=(*_PATH, _IDEMPOTENCY),
        body=bodies.RespondBody,
        answer=bodies.RespondAnswer,
        errors=_ERRORS | _ENDED,
        security=_HEADERS,
        headers=_THROUGH,
    ),
    Operation(
        method="PUT",
        path=f"{_BASE}/close",
        summary="End a conversation",
        description="One that has ended already stays as it is.",
        group="Chat",
        parameters=_PATH,
        body=bodies.CloseBody,
        answer=bodies.CloseAnswer,
        errors=_ERRORS,
        security=_HEADERS,
    ),
    Operation(
        method="GET",
        path=f"{_BASE}/events",
        summary="What happened since",
        description=(
            "Events of the messaging protocol with a sequence above `after`: live agents' messages, queue news, the "
            "end. With `wait`, a call without news waits for some. Asking also keeps the conversation alive."
        ),
        group="Chat",
        parameters=(
            *_PATH,
            Parameter(
                name="conversation_id",
                where="query",
                description="The conversation.",
                required=True,
                schema={"type": "string", "minLength": 1, "maxLength": 64},
            ),
            Parameter(
                name="after",
                where="query",
                description="Sequence of the last event that is known; 0 for all.",
                schema={"type": "integer", "minimum": 0, "maximum": 1 << 53},
            ),
            Parameter(
                name="wait",
                where="query",
                description="Seconds to wait for news.",
                schema={"type": "integer", "minimum": 0, "maximum": MAX_WAIT_S},
            ),
        ),
        answer=bodies.EventsAnswer,
        errors=_ERRORS,
        security=_HEADERS,
        headers=_THROUGH,
    ),
)
"""The API's calls, for the reference."""


def routes(app: web.Application, deps: ChatDeps) -> None:
    """Mount `/v1/{account_id}/{project_id}/chat/…` on `app`, which has `web.middleware.install` applied."""
    chat = Chat(deps)
    handlers = (chat.create, chat.respond, chat.close, chat.events)
    for operation, handler in zip(OPERATIONS, handlers, strict=True):
        resource = app.router.add_resource(_aiohttp_path(operation.path))
        resource.add_route(operation.method, handler)
        resource.add_route("*", chat.other_method)


def _aiohttp_path(path: str) -> str:
    return path.replace("}/", ":[^/]+}/")
