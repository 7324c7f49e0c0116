"""The token endpoint and the access tokens it issues (§5)."""

import math
from collections import deque
from dataclasses import dataclass, field

from warmline.emulators.webex.errors import ApiError
from warmline.emulators.webex.state import World


@dataclass(slots=True, frozen=True)
class AccessToken:
    """An issued access token; `expires_ms` is epoch ms."""

    client_id: str
    scopes: frozenset[str]
    expires_ms: int


class TokenError(Exception):
    """A refusal of the token endpoint, in its own error form (§5.3)."""

    def __init__(self, status: int, description: str) -> None:
        super().__init__(description)
        self.status = status


@dataclass(slots=True)
class Tokens:
    """Everything issued. `refresh` maps refresh tokens to their end (epoch ms), `initial` came from the settings."""

    refresh: dict[str, int] = field(default_factory=dict)
    access: dict[str, AccessToken] = field(default_factory=dict)
    issued: int = 0
    initial: str = ""


class OAuth:
    """Issues and checks tokens, and counts requests per client."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.tokens = Tokens()
        self._requests: dict[str, deque[int]] = {}

    def refresh(self, form: dict[str, str]) -> dict[str, object]:
        """Answer the form grant `refresh_token`.

        Raises:
            TokenError: 401 for wrong client credentials, 400 for anything else.
        """
        settings = self._world.settings
        self._allow_initial()
        if form.get("grant_type") != "refresh_token":
            raise TokenError(400, "grant_type must be refresh_token")
        if form.get("client_id") != settings.client_id or form.get("client_secret") != settings.client_secret:
            raise TokenError(401, "Client authentication failed")
        token = form.get("refresh_token", "")
        if self.tokens.refresh.get(token, 0) <= self._world.clock.now_ms():
            raise TokenError(400, "The refresh token is invalid or expired")
        if settings.rotate_refresh_token:
            del self.tokens.refresh[token]
            token = self._new_refresh_token()
        return self._grant(token)

    def mint(self, client_id: str, client_secret: str, org_id: str) -> dict[str, object]:
        """Answer `POST /v1/applications/{id}/token`: a new pair for the organization.

        Raises:
            TokenError: 401 for wrong client credentials, 400 for another organization.
        """
        settings = self._world.settings
        if client_id != settings.client_id or client_secret != settings.client_secret:
            raise TokenError(401, "Client authentication failed")
        if org_id != settings.org_id:
            raise TokenError(400, "The service app is not authorized for this organization")
        return self._grant(self._new_refresh_token())

    def authenticate(self, header: str | None) -> AccessToken:
        """Return the access token of an `Authorization` header.

        Raises:
            ApiError: 400 for a missing or malformed header, 401 for an unknown or expired token (§6).
        """
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token or " " in token:
            raise ApiError(400, "Authorization header is missing or malformed")
        access = self.tokens.access.get(token)
        if access is None or access.expires_ms <= self._world.clock.now_ms():
            raise ApiError(401, "The access token is invalid or expired")
        return access

    def count(self, access: AccessToken) -> None:
        """Count a request of a client.

        Raises:
            ApiError: 429 beyond the limit of requests within the last minute; such a request is not counted.
        """
        limit = self._world.settings.rate_limit_per_minute
        if not limit:
            return
        now = self._world.clock.now_ms()
        recent = self._requests.setdefault(access.client_id, deque())
        while recent and recent[0] <= now - 60_000:
            recent.popleft()
        if len(recent) >= limit:
            wait_s = max(1, math.ceil((recent[0] + 60_000 - now) / 1000))
            raise ApiError(429, "Too many requests", retry_after_s=wait_s)
        recent.append(now)

    def adopt(self, other: "OAuth") -> None:
        """Go on accepting the tokens that `other` issued."""
        self.tokens = other.tokens

    def revoke_access_tokens(self) -> None:
        """Make every access token that was issued so far invalid."""
        self.tokens.access.clear()

    def _allow_initial(self) -> None:
        """Accept the settings' refresh token: the one that the admin copied from the portal."""
        settings = self._world.settings
        if settings.refresh_token != self.tokens.initial:
            self.tokens.initial = settings.refresh_token
            self.tokens.refresh[self.tokens.initial] = self._world.clock.now_ms() + settings.refresh_token_ttl_s * 1000

    def _new_refresh_token(self) -> str:
        token = "refresh-" + self._world.ids.hex("refresh token", 64)
        ttl_ms = self._world.settings.refresh_token_ttl_s * 1000
        self.tokens.refresh[token] = self._world.clock.now_ms() + ttl_ms
        return token

    def _grant(self, refresh_token: str) -> dict[str, object]:
        settings = self._world.settings
        self.tokens.issued += 1
        access = f"acc{self.tokens.issued}{self._world.ids.hex('access token')}_SIM_{settings.org_id}"
        now = self._world.clock.now_ms()
        self.tokens.access[access] = AccessToken(
            settings.client_id, frozenset(settings.scopes), now + settings.access_token_ttl_s * 1000
        )
        return {
            "access_token": access,
            "expires_in": settings.access_token_ttl_s,
            "refresh_token": refresh_token,
            "refresh_token_expires_in": max(0, (self.tokens.refresh[refresh_token] - now) // 1000),
            "token_type": "Bearer",
        }
