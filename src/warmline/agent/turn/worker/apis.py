"""`conv.api`: the HTTP APIs that the project configures (agent-project.md §2.13). The server sends the requests."""

import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from warmline.agent.turn.worker.errors import InvalidInput
from warmline.agent.turn.worker.plain import plain, plain_text
from warmline.agent.turn.worker.utils import asked
from warmline.agent.turn.worker.wire import Wire

if TYPE_CHECKING:
    import requests

_FORM = "application/x-www-form-urlencoded"


class Apis:
    """`conv.api`: one member for each API."""

    def __init__(self, operations: Mapping[str, list[str]], wire: Wire) -> None:
        """Offer `operations`, names by API."""
        self._operations = operations
        self._wire = wire

    def __getattr__(self, name: str) -> "Api":
        """Give the API.

        Raises:
            AttributeError: none of that name is configured.
        """
        if name not in self._operations:
            raise AttributeError(f"there is no API `{name}` in config/api_integrations.yaml")
        return Api(name, self._operations[name], self._wire)


class Api:
    """One API: one method for each operation."""

    def __init__(self, name: str, operations: list[str], wire: Wire) -> None:
        """Offer `operations` of the API `name`."""
        self._name = name
        self._operations = operations
        self._wire = wire

    def __getattr__(self, name: str) -> "Callable[..., requests.Response]":
        """Give the operation, ready to be called with its path variables, by position or by name.

        Raises:
            AttributeError: the API has none of that name.
        """
        if name not in self._operations:
            raise AttributeError(f"the API `{self._name}` has no operation `{name}`")

        def call(
            *path: Any,
            params: Any = None,
            json: Any = None,
            data: Any = None,
            headers: Mapping[str, Any] | None = None,
            timeout: float | None = None,
            **named: Any,
        ) -> "requests.Response":
            body, content_type = _encoded(data)
            given = {key: plain_text(value) for key, value in (headers or {}).items()}
            if content_type and "content-type" not in {key.lower() for key in given}:
                given["Content-Type"] = content_type
            answer = asked(
                self._wire,
                "api",
                api=self._name,
                operation=name,
                path={str(at): plain_text(value) for at, value in enumerate(path)}
                | {key: plain_text(value) for key, value in named.items()},
                params=_pairs(params),
                headers=given,
                json=plain(json),
                has_json=json is not None,
                data=body,
                **({} if timeout is None else {"timeout_s": float(timeout)}),
            )
            return _response(answer)

        return call


def _encoded(data: Any) -> tuple[bytes, str]:
    match data:
        case None:
            return b"", ""
        case bytes():
            return data, ""
        case str():
            return data.encode(), ""
        case Mapping() | list() | tuple():
            return urlencode(_pairs(data)).encode(), _FORM
    raise InvalidInput("`data` must be bytes, a text, a dict or a list of pairs")


def _pairs(params: Any) -> list[tuple[str, str]]:
    """Give query or form parameters as pairs; a list of values repeats its key, None leaves it out."""
    items: Iterable[tuple[Any, Any]] = params.items() if isinstance(params, Mapping) else (params or ())
    pairs: list[tuple[str, str]] = []
    for key, value in items:
        several = value if isinstance(value, list | tuple) else [value]
        pairs += [(plain_text(key), plain_text(one)) for one in several if one is not None]
    return pairs


def _response(answer: Mapping[str, Any]) -> "requests.Response":
    # The template has imported it where the project has APIs.
    import requests
    from requests.structures import CaseInsensitiveDict
    from requests.utils import get_encoding_from_headers

    response = requests.Response()
    response.status_code = answer["status"]
    response.reason = answer["reason"]
    response.url = answer["url"]
    response.headers = CaseInsensitiveDict((key, value) for key, value in answer["headers"])
    response.encoding = get_encoding_from_headers(response.headers)
    response.elapsed = datetime.timedelta(seconds=answer["elapsed_s"])
    response._content = answer["body"]
    return response
