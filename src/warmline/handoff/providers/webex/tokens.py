"""The OAuth tokens of a connection (webex-byoc.md §5.5)."""

import asyncio
import contextvars
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from urllib.parse import urlencode

import structlog

from warmline.handoff import http
from warmline.handoff.contract import (
    ProviderAuthFailed,
    ProviderEnvironment,
    ProviderError,
    ProviderNotAsked,
    ProviderTimeout,
    ProviderUnavailable,
)
from warmline.handoff.providers.webex import wire
from warmline.handoff.providers.webex.config import WebexConfig

_log = structlog.get_logger(__name__)

_DAY_MS = 24 * 3600 * 1000
_BACKOFF_MAX_S = 60.0
_SETTLE_S = 2.0
"""How long another process is given to store the pair that it got."""

REMEDY = "Generate a new token pair for the organization in the developer portal and connect again."
_COPY_AGAIN = (
    "Copy both again, whole, from the Service App in the developer portal (regenerate a lost secret there), "
    "and connect again."
)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Times are epoch milliseconds; 0 means that the age is unknown."""

    access: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)
    expires_at: int = 0
    renew_at: int = 0
    refresh_expires_at: int = 0

    @classmethod
    def stored(cls, secrets: Mapping[str, str]) -> "_Pair":
        return cls(
            access=secrets.get("access_token", ""),
            refresh=secrets.get("refresh_token", ""),
            expires_at=int(secrets.get("access_expires_at") or 0),
            renew_at=int(secrets.get("access_renew_at") or 0),
            refresh_expires_at=int(secrets.get("refresh_expires_at") or 0),
        )

    def usable(self, now: int) -> bool:
        return bool(self.access) and (not self.expires_at or now < self.expires_at)

    def as_secrets(self) -> dict[str, str]:
        return {
            "access_token": self.access,
            "refresh_token": self.refresh,
            "access_expires_at": str(self.expires_at),
            "access_renew_at": str(self.renew_at),
            "refresh_expires_at": str(self.refresh_expires_at),
        }


class Tokens:
    """Gives out the access token and renews it: one refresh for any number of callers, saved before it is used.

    Of several processes one refreshes at a time (`ProviderEnvironment.alone`), and what another one stored is looked
    for before a refresh: the platform may have rotated the refresh token. It is looked for after a refused one too,
    which a process may have asked for that froze meanwhile. One that is not `renewing` only gives out what is stored,
    for a look beside the process that owns the connection.
    """

    def __init__(
        self,
        config: WebexConfig,
        secrets: Mapping[str, str],
        environment: ProviderEnvironment,
        *,
        renewing: bool = True,
    ) -> None:
        self._config = config
        self._renewing = renewing
        self._client_secret = secrets.get("client_secret", "")
        self._environment = environment
        self._pair = _Pair.stored(secrets)
        self._unsaved: _Pair | None = None
        self._flight: asyncio.Task[None] | None = None
        self._backoff_s = 0.0
        self._not_before = 0.0
        self._failed: tuple[str, int] | None = None

    async def token(self) -> str:
        """The access token to use now. Renews it in the background while it lasts, else waits for the new one.

        Raises:
            ProviderAuthFailed: the credentials are not accepted.
            ProviderUnavailable: there is no valid token and none can be had now.
        """
        self._raise_if_failed()
        now = self._environment.clock.now()
        pair = self._pair
        if pair.usable(now):
            if now >= pair.renew_at and self._may_refresh():
                self._fly()
            return pair.access
        await self.refreshed()
        return self._pair.access

    async def after_refusal(self, refused: str) -> str:
        """The token to try after Webex refused one: the stored one if it differs, else a fresh one."""
        self._raise_if_failed()
        if self._pair.access == refused:
            await self.refreshed()
        return self._pair.access

    async def refreshed(self) -> None:
        """Renew the tokens now, together with everybody else who wants it. Raises as `token`.

        A refresh that fails is one failure, however many calls wait for it, or come while none is tried.
        """
        self._raise_if_failed()
        if not self._may_refresh():
            raise ProviderNotAsked("token_endpoint_unavailable", "no new access token can be had at the moment")
        shared = self._flight is not None
        try:
            await asyncio.shield(self._fly())
        except ProviderUnavailable as error:
            if shared:
                raise ProviderNotAsked(error.code, error.hint, status=error.status) from error
            raise

    async def fail(self, hint: str, *, status: int = 401) -> ProviderAuthFailed:
        """Stop the connection until somebody mends it; returns what to raise."""
        failed = ProviderAuthFailed("auth_failed", hint, status=status)
        if self._failed is None:
            self._failed = (hint, status)
            await self._environment.set_state("auth_failed", hint)
        return failed

    @property
    def failure(self) -> ProviderAuthFailed | None:
        """Why nothing works until somebody mends the connection; None while it works."""
        if self._failed is None:
            return None
        hint, status = self._failed
        return ProviderAuthFailed("auth_failed", hint, status=status)

    @property
    def refresh_expires_at(self) -> int:
        """When the refresh token dies if nothing renews it (epoch ms); 0 where Webex did not tell."""
        return self._pair.refresh_expires_at

    async def stop(self) -> None:
        """Let a refresh under way come to its end: its tokens must not be lost."""
        if self._flight is not None:
            await asyncio.wait([self._flight], timeout=15)

    def _raise_if_failed(self) -> None:
        failure = self.failure
        if failure is not None:
            raise failure

    def _may_refresh(self) -> bool:
        return self._renewing and (self._flight is not None or self._environment.clock.monotonic() >= self._not_before)

    def _fly(self) -> "asyncio.Task[None]":
        if self._flight is None:
            # An empty context: the refresh belongs to all callers, not to the lease of the first (`send_guard`).
            self._flight = asyncio.create_task(self._refresh(), context=contextvars.Context())
            self._flight.add_done_callback(self._landed)
        return self._flight

    def _landed(self, flight: "asyncio.Task[None]") -> None:
        self._flight = None
        if not flight.cancelled() and (error := flight.exception()) is not None:
            code = error.code if isinstance(error, ProviderError) else type(error).__name__
            _log.warning("webex.token_not_refreshed", code=code)

    async def _refresh(self) -> None:
        try:
            async with self._environment.alone() if self._environment.alone is not None else nullcontext():
                if self._unsaved is None:
                    if await self._renewed_elsewhere():
                        return
                    self._unsaved = await self._fetched()
                    if self._unsaved is None:
                        return
                await self._environment.save_secrets(self._unsaved.as_secrets())
        except ProviderAuthFailed as error:
            raise await self.fail(error.hint, status=error.status) from error
        except ProviderError:
            self._back_off()
            raise
        except Exception as error:
            # The new pair is kept and saved at the next try: the old refresh token may be void already.
            self._back_off()
            raise ProviderUnavailable("token_not_saved", type(error).__name__) from error
        self._pair, self._unsaved = self._unsaved, None
        self._backoff_s = 0.0

    async def _fetched(self) -> _Pair | None:
        """A new pair; None: another process got it."""
        try:
            return await self._fetch()
        except ProviderAuthFailed:
            if await self._renewed_elsewhere():
                return None
            if self._environment.load_secrets is not None:
                # The other process may have the new pair, and not have stored it yet.
                await self._environment.clock.sleep(_SETTLE_S)
                if await self._renewed_elsewhere():
                    return None
            raise

    async def _renewed_elsewhere(self) -> bool:
        """Whether another process has stored a newer pair; it is ours then."""
        if self._environment.load_secrets is None:
            return False
        stored = _Pair.stored(await self._environment.load_secrets())
        if (stored.access, stored.refresh) == (self._pair.access, self._pair.refresh) or not stored.refresh:
            return False
        renewed = stored.access != self._pair.access and stored.usable(self._environment.clock.now())
        self._pair = stored
        return renewed

    def _back_off(self) -> None:
        self._backoff_s = min(max(1.0, self._backoff_s * 2), _BACKOFF_MAX_S)
        self._not_before = self._environment.clock.monotonic() + self._backoff_s

    async def _fetch(self) -> _Pair:
        """Ask for a new pair (§5.3)."""
        form = {
            "grant_type": "refresh_token",
            "client_id": self._config.client_id,
            "client_secret": self._client_secret,
            "refresh_token": self._pair.refresh,
        }
        try:
            answer = await http.call(
                self._environment.http,
                "POST",
                self._config.token_url,
                headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
                body=urlencode(form).encode(),
            )
        except ProviderTimeout as error:
            raise ProviderUnavailable("token_endpoint_unavailable", error.hint) from error
        if not answer.ok:
            if http.failure(answer).retryable:
                hint = f"the token endpoint answered HTTP {answer.status}"
                raise ProviderUnavailable("token_endpoint_unavailable", hint, status=answer.status)
            what, remedy = "refresh token", REMEDY
            if answer.status == 401:
                what, remedy = "client ID or client secret", _COPY_AGAIN
            hint = f"Webex does not accept the {what} (HTTP {answer.status}: {wire.problem(answer.body)}). {remedy}"
            raise ProviderAuthFailed("token_refused", hint, status=answer.status)
        return self._read(wire.decoded(answer.body))

    def _read(self, grant: Mapping[str, object]) -> _Pair:
        access = grant.get("access_token")
        if not isinstance(access, str) or not access:
            raise ProviderUnavailable("token_endpoint_unavailable", "its answer has no access token")
        refresh = grant.get("refresh_token")
        now = self._environment.clock.now()
        life = _life_ms(grant.get("expires_in"))
        refresh_life = _life_ms(grant.get("refresh_token_expires_in"))
        return _Pair(
            access=access,
            refresh=refresh if isinstance(refresh, str) and refresh else self._pair.refresh,
            expires_at=now + life if life else 0,
            renew_at=now + life - _margin(life) if life else now + _DAY_MS,
            refresh_expires_at=now + refresh_life if refresh_life else self._pair.refresh_expires_at,
        )


def _life_ms(seconds: object) -> int:
    return int(seconds * 1000) if isinstance(seconds, int | float) and seconds > 0 else 0


def _margin(life: int) -> int:
    """How long before its end a token is renewed: a quarter of its life, or a day where that is more (§5.5).

    Never more than half of the life, or short-lived tokens would be renewed at every call.
    """
    return max(life // 4, min(_DAY_MS, life // 2))


def organization_of(access_token: str) -> str:
    """The organization in an access token (§5.4), lower-cased; "" when it does not tell."""
    parts = access_token.split("_")
    return parts[2].lower() if len(parts) == 3 else ""
