"""Errors as JSON: one envelope for clients and for humans."""

from collections.abc import Mapping

from aiohttp import web
from msgspec import json


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """`message` under both keys that clients read (messaging-protocol.md §2.3, R10)."""
    body = json.encode({"error": message, "message": message})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
