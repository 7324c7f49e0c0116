"""How requests to a project's APIs are authenticated: the secret `api_<name>` by the way that the project names."""

import base64
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from warmline.agent.project.integrations import environment_of
from warmline.agent.turn.services import ApiRequest, Secrets, ServiceFailed

_KEY_HEADER = "X-API-Key"
_EARLIER_S = 60.0
_TOKEN_LIMIT_S = 10.0
_USUAL_S = 300.0


class Credentials:
    """Finds the credentials of an API among the secrets."""

    def __init__(self, secrets: Secrets) -> None:
        """Look in `secrets`."""
        self._secrets = secrets

    async def of(self, request: ApiRequest) -> str | None:
        """Give the secret for the request's environment, `api_<name>_<environment>`, else `api_<name>`."""
        project = request.project.id
        own = await self._secrets(project, f"api_{request.api}_{environment_of(request.environment)}")
        return own if own is not None else await self._secrets(project, f"api_{request.api}")


class Tokens:
    """Access tokens by the client credentials grant of OAuth 2.0 (RFC 6749 §4.4), kept almost to their end."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        """Ask for them over `http`."""
        self._http = http
        self._kept: dict[str, tuple[str, float]] = {}

    async def get(self, secret: str) -> str:
        """Give a valid token for the client in `secret`.

        Raises:
            ServiceFailed: there is none to be had.
        """
        kept = self._kept.get(secret)
        if kept is not None and time.monotonic() < kept[1]:
            return kept[0]
        client = _object(secret)
        try:
            form = {"grant_type": "client_credentials", **({"scope": client["scope"]} if client.get("scope") else {})}
            # RFC 6749 §2.3.1: both parts are form-encoded before they become a Basic header.
            auth = _basic(quote(client["client_id"], safe=""), quote(client["client_secret"], safe=""))
            async with self._http.post(
                client["token_url"],
                data=form,
                headers={"Authorization": auth},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_TOKEN_LIMIT_S),
            ) as response:
                answer = msgspec.json.decode(await response.content.read(65_536)) if response.status == 200 else {}
        except KeyError as missing:
            raise ServiceFailed(f"the API's secret lacks {missing}") from None
        except (aiohttp.ClientError, TimeoutError, ValueError, msgspec.DecodeError) as error:
            raise ServiceFailed(f"no access token for the API: {type(error).__name__}") from None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise ServiceFailed(f"no access token for the API: status {response.status}")
        lasts = answer.get("expires_in")
        seconds = float(lasts) if isinstance(lasts, int | float) else _USUAL_S
        self._kept[secret] = (token, time.monotonic() + max(0.0, seconds - _EARLIER_S))
        return token


async def sign(
    auth_type: str, secret: str | None, headers: dict[str, str], params: list[tuple[str, str]], tokens: Tokens
) -> None:
    """Add the credentials to a request's headers or query.

    Raises:
        ServiceFailed: they are missing or have the wrong form, or the way is not supported.
    """
    if auth_type == "none":
        return
    if secret is None:
        raise ServiceFailed("the operator has not set the API's secret")
    match auth_type:
        case "basic":
            user, colon, password = secret.partition(":")
            if not colon:
                raise ServiceFailed("the API's secret must be user:password")
            headers["Authorization"] = _basic(user, password)
        case "apiKey" if secret.startswith("{"):
            key = _object(secret)
            if "header" in key:
                headers[str(key["header"])] = str(key.get("value", ""))
            elif "query" in key:
                params.append((str(key["query"]), str(key.get("value", ""))))
            else:
                raise ServiceFailed("the API's secret must hold `header` or `query`, and `value`")
        case "apiKey":
            headers[_KEY_HEADER] = secret
        case "oauth2" | "oauth2_client_credentials":
            token = await tokens.get(secret) if secret.startswith("{") else secret
            headers["Authorization"] = f"Bearer {token}"
        case _:
            raise ServiceFailed(f"`auth_type: {auth_type}` is not supported here")


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _object(secret: str) -> Mapping[str, Any]:
    try:
        value = msgspec.json.decode(secret)
    except msgspec.DecodeError:
        raise ServiceFailed("the API's secret is not JSON") from None
    if not isinstance(value, dict):
        raise ServiceFailed("the API's secret must be a JSON object")
    return value
