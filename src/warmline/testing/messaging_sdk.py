"""A messaging client that stays connected as the public SDKs do (messaging-protocol.md §2.3, §3.6, §3.7)."""

import asyncio
import base64
import contextlib
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp

from warmline.testing.messaging_client import Draft, MessagingClient, Refused

T = TypeVar("T")

_REST_ATTEMPTS = 4
_MAX_RETRY_AFTER_S = 30.0
_NEW_SESSIONS_IN_A_ROW = 3
_REFRESH_BEFORE_S = 300
_SKEW_S = 5


def token_left_s(token: str, now: float) -> float:
    """Seconds that an access token is still good for, as the SDKs judge: 0 unless it is JWT-shaped (§2.1).

    `now` is in seconds since the epoch. A token without `exp` never ends.
    """
    parts = token.split(".")
    try:
        raw = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(raw))
        expires = claims.get("exp", float("inf"))
    except (IndexError, ValueError, AttributeError):
        return 0.0
    if len(parts) != 3 or isinstance(expires, bool) or not isinstance(expires, int | float):
        return 0.0
    return max(0.0, expires - now - _SKEW_S)


class SdkClient(MessagingClient):
    """One customer with an SDK in between: the connection may break as often as it likes.

    `pace` multiplies the SDKs' waiting times, so that tests need not wait for them. `sessions` are the ids of all
    sessions it had; `gave_up` says why it stopped trying ("": it did not).
    """

    def __init__(
        self,
        base_url: str,
        *,
        pace: float = 1.0,
        max_attempts: int = 20,
        now: Callable[[], float] = time.time,
        chance: random.Random | None = None,
        **options: Any,
    ) -> None:
        super().__init__(base_url, **{"resend_s": 3.0 * pace, **options})
        self.sessions: list[str] = []
        self.gave_up = ""
        self._pace = pace
        self._max_attempts = max_attempts
        self._now = now
        self._chance = chance or random.Random()
        self._staying: asyncio.Task[None] | None = None

    async def __aexit__(self, *details: object) -> None:
        if self._staying is not None:
            self._staying.cancel()
            await asyncio.gather(self._staying, return_exceptions=True)
        await super().__aexit__(*details)

    async def live(self) -> None:
        """Open the chat and stay connected; returns when the first batch is handled or the client gave up."""
        await self._new_session()
        self._staying = asyncio.create_task(self._stay())
        await self.wait(lambda: bool(self.journal()) or bool(self.gave_up), "the first batch", timeout=60)

    async def deliver(self, text: str, timeout: float = 60.0) -> Draft:
        """Say something, and tap it again whenever it is marked as failed, until it is echoed."""
        draft = await self.say(text)
        async with asyncio.timeout(timeout):
            while draft.state != "sent":
                if draft.state == "failed":
                    await self.send_again(draft)
                await asyncio.sleep(0.01)
        return draft

    async def _stay(self) -> None:
        attempt = new_sessions = 0
        while not self.gave_up:
            opened = await self._open()
            if opened == "refused":
                new_sessions += 1
                if new_sessions > _NEW_SESSIONS_IN_A_ROW:
                    self.gave_up = "session expired"
                    return
                await self._new_session()
                continue
            if opened == "open":
                attempt = new_sessions = 0
                closed = self.connections[-1]
                await closed.closed.wait()
                if closed.close_code in (1000, 4000):
                    return
                if closed.close_code == 4001:
                    await self._new_session()
                    continue
            attempt += 1
            if attempt > self._max_attempts:
                self.gave_up = "no connection"
                return
            wait = 10.0 if opened == "unreachable" else min(30.0, 2.0**attempt / 2) * self._chance.uniform(0.8, 1.2)
            await asyncio.sleep(wait * self._pace)

    async def _open(self) -> str:
        """Connect with the cursor; tells whether the socket is open, the server refused, or nobody was reached."""
        if token_left_s(self.access_token, self._now()) < _REFRESH_BEFORE_S:
            self.access_token = (await self._retried(self.fetch_token))["access_token"]
        await self.drop()
        try:
            await self.connect()
        except Refused:
            return "refused"
        except (OSError, aiohttp.ClientError, TimeoutError):
            return "unreachable"
        return "open"

    async def _new_session(self) -> None:
        self.access_token = (await self._retried(self.fetch_token))["access_token"]
        self.session_id = (await self._retried(self.create_session))["session_id"]
        self.sessions.append(self.session_id)
        self.cursor = 0

    async def _retried(self, call: Callable[[], Awaitable[T]]) -> T:
        """A REST call with the SDKs' retries: 5xx and network errors after 1 s, 429 after Retry-After (§2.3)."""
        for _ in range(_REST_ATTEMPTS - 1):
            wait = 1.0
            try:
                return await call()
            except aiohttp.ClientResponseError as error:
                if error.status == 429:
                    given = error.headers.get("Retry-After", "5") if error.headers else "5"
                    with contextlib.suppress(ValueError):
                        wait = min(_MAX_RETRY_AFTER_S, float(given))
                elif error.status < 500:
                    raise
            except (OSError, aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(wait * self._pace)
        return await call()
