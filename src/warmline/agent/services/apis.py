"""Calls the HTTP APIs that projects configure, with credentials from the server's settings (agent-project.md §2.13)."""

import re
import time
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from warmline.agent.project.integrations import environment_of
from warmline.agent.project.model import ApiEnvironment, ApiOperation
from warmline.agent.services.credentials import Credentials, Tokens, sign
from warmline.agent.turn.services import ApiRequest, ApiResponse, Secrets, ServiceFailed

MOST_BYTES = 4 * 1024 * 1024
"""Bytes of an answer; a larger one fails."""
_VARIABLE = re.compile(r"{([^{}]+)}")


class HttpApis:
    """Sends the requests of `conv.api`. Redirects are not followed: credentials stay with the configured address."""

    def __init__(self, http: aiohttp.ClientSession, secrets: Secrets) -> None:
        """Send over `http`, with the credentials among `secrets`."""
        self._http = http
        self._credentials = Credentials(secrets)
        self._tokens = Tokens(http)

    async def __call__(self, request: ApiRequest) -> ApiResponse:
        """Send the request and give the answer; see `warmline.agent.turn.services.Apis`."""
        name = f"{request.api}.{request.operation}"
        environment, operation = _configured(request)
        url = environment.base_url + _path(operation, request)
        headers, params = dict(request.headers), list(request.params)
        await sign(environment.auth_type, await self._credentials.of(request), headers, params, self._tokens)
        data: bytes | None = request.data or None
        if request.has_json:
            data = msgspec.json.encode(request.json)
            headers.setdefault("Content-Type", "application/json")
        began = time.monotonic()
        try:
            async with self._http.request(
                operation.method,
                URL(url, encoded=True).update_query(params) if params else URL(url, encoded=True),
                headers=headers,
                data=data,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=request.timeout_s),
            ) as response:
                body = await response.content.read(MOST_BYTES + 1)
                while not response.content.at_eof() and len(body) <= MOST_BYTES:
                    body += await response.content.read(MOST_BYTES + 1 - len(body))
        except (aiohttp.ClientError, ValueError) as error:
            raise ServiceFailed(f"{name} cannot be reached: {type(error).__name__}") from None
        except TimeoutError:
            raise ServiceFailed(f"{name} did not answer within {request.timeout_s:g} s") from None
        if len(body) > MOST_BYTES:
            raise ServiceFailed(f"{name} answered more than {MOST_BYTES} bytes")
        return ApiResponse(
            status=response.status,
            reason=response.reason or "",
            url=str(response.url.with_query(None)),
            headers=tuple((str(name), value) for name, value in response.headers.items()),
            body=body,
            elapsed_s=time.monotonic() - began,
        )


def _configured(request: ApiRequest) -> tuple[ApiEnvironment, ApiOperation]:
    api = request.project.apis.get(request.api)
    operation = next((o for o in api.operations if o.name == request.operation), None) if api else None
    if api is None or operation is None:
        raise ServiceFailed(f"{request.api}.{request.operation} is not in config/api_integrations.yaml")
    name = environment_of(request.environment)
    environment = api.environments.get(name)
    if environment is None or not environment.base_url:
        raise ServiceFailed(f"{request.api} has no base_url for the environment {name}")
    return environment, operation


def _path(operation: ApiOperation, request: ApiRequest) -> str:
    """Put the values into the resource's variables: those given by name first, the others in their order."""
    given = dict(request.path)
    names = _VARIABLE.findall(operation.resource)
    by_position = [given.pop(str(at)) for at in range(len(given)) if str(at) in given]
    free = [name for name in names if name not in given]
    if len(by_position) > len(free) or set(given) - set(names):
        raise ServiceFailed(f"{request.api}.{operation.name} takes the path variables {', '.join(names) or 'none'}")
    given |= dict(zip(free, by_position, strict=False))
    missing = [name for name in names if name not in given]
    if missing:
        raise ServiceFailed(f"{request.api}.{operation.name} needs the path variables {', '.join(missing)}")
    if any(value in ("", ".", "..") for value in given.values()):
        raise ServiceFailed(f"{request.api}.{operation.name}: a path variable is empty or goes up")
    path = _VARIABLE.sub(lambda match: quote(given[match[1]], safe=""), operation.resource)
    return path if path.startswith("/") or not path else f"/{path}"
