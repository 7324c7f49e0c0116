"""Errors as JSON: one envelope for clients and for humans."""

from collections.abc import Mapping

import msgspec
from aiohttp import web


class ErrorBody(msgspec.Struct, kw_only=True):
    """Every error of these surfaces: one sentence, under both keys that clients read."""

    error: str
    message: str


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """`message` under both keys that clients read (messaging-protocol.md §2.3, R10)."""
    body = msgspec.json.encode(ErrorBody(error=message, message=message))
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
