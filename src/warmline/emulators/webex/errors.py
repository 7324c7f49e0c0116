"""Error answers in the vendor's two forms and in the control plane's (§5.3, §6; design: control plane)."""

from typing import Any

import msgspec
from aiohttp import web


class ApiError(Exception):
    """A refusal by the emulated API.

    Args:
        status: HTTP status.
        problems: one description per problem.
        retry_after_s: value of `Retry-After`.
    """

    def __init__(self, status: int, *problems: str, retry_after_s: int | None = None) -> None:
        super().__init__("; ".join(problems))
        self.status = status
        self.problems = problems or (f"HTTP {status}",)
        self.retry_after_s = retry_after_s


class ActionError(Exception):
    """A control-plane request that cannot be done.

    `status` is 400 (bad), 403 (from another site's page), 404 (unknown) or 409 (wrong moment).
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def code(self) -> str:
        """The short name of the error."""
        return {400: "bad_request", 403: "forbidden", 404: "not_found", 409: "conflict"}.get(self.status, "error")


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return `body` as a JSON response."""
    return web.Response(body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json")


def error_body(error: ApiError, tracking_id: str, integer_key: bool) -> dict[str, Any]:
    """Return the error body of §6: `key` is a string on tasks and search, an integer on subscriptions."""
    key: int | str = error.status if integer_key else str(error.status)
    descriptions = [{"description": problem} for problem in error.problems]
    return {"trackingId": tracking_id, "error": {"key": key, "message": descriptions}}
