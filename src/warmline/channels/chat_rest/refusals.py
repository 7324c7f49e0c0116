"""Errors of the chat REST API in the envelope of messaging-protocol.md §16."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from warmline.channels.chat_rest.bodies import Refusal
from warmline.web.middleware import CORRELATION_ID


class Refused(Exception):
    """The call is answered with an error. `code` is in capitals; the text is for the caller's developers."""

    def __init__(self, status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text
        self.headers = headers


def invalid(text: str) -> Refused:
    """The request is not as it must be; `text` names the field."""
    return Refused(400, "INVALID_REQUEST", text)


def no_conversation() -> Refused:
    """There is no such conversation, or it is another connector's."""
    return Refused(404, "CHAT_CONVERSATION_NOT_FOUND", "There is no such conversation.")


def conversation_ended() -> Refused:
    """The conversation is over."""
    return Refused(410, "CHAT_CONVERSATION_ENDED", "The conversation has ended.")


def refusal_response(request: web.Request, refused: Refused) -> web.Response:
    """The answer to a refused call."""
    words = refused.code.split("_")
    body = Refusal(
        success=False,
        error="".join(word.capitalize() for word in words),
        error_id=request[CORRELATION_ID],
        error_code=refused.code,
        error_message=refused.text,
    )
    return web.Response(
        status=refused.status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers=refused.headers,
    )
