"""Messages between nodes over NATS: core publish and subscribe on one subject, which keeps each node's order.

Source: the NATS documentation, "Core NATS" (at most once; per publisher and subject in order) and "Client protocol".
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import nats.errors
import nkeys
from nats.aio.client import Client, RawCredentials
from nats.aio.msg import Msg
from nkeys import NkeysError

from warmline.bus.settings import NatsSettings
from warmline.domain.errors import BusUnavailable, ConfigError

_URL = "WARMLINE_NATS_URL"
_TIMEOUT_S = 5
_OPEN_S = 15
_CLOSE_S = 1
_LOST = (OSError, TimeoutError, nats.errors.Error)
_CREDS = re.compile(r"-BEGIN NATS USER JWT-+\s+\S+\s+-+END NATS USER JWT-.*-BEGIN USER NKEY SEED-+\s+(\S+)\s+-", re.S)
_REFUSALS = ("authorization violation", "authentication", "authorization error")


class NatsTransport:
    """Implements `bus.transport.Transport`.

    Args:
        settings: where the servers are, and as whom to speak to them.
        subject: the same for all nodes of an installation, and another one for others on these servers.
    """

    limit = 64_000

    def __init__(self, settings: NatsSettings, subject: str) -> None:
        self._settings = settings
        self._subject = subject
        self._client: Client | None = None
        self._problem: Exception | None = None

    async def open(self, receive: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        """Connect and subscribe."""
        client = Client()
        credentials = self._credentials(client)
        self._client, self._problem = client, None

        async def heard(message: Msg) -> None:
            receive(message.data)

        async def closed() -> None:
            if client is self._client:
                lost()

        async def failed(error: Exception) -> None:
            self._problem = error

        try:
            async with asyncio.timeout(_OPEN_S):
                await self._sign_in(client, credentials, closed, failed)
                self._problem = None  # of servers that were tried before this one
                await client.subscribe(self._subject, cb=heard)
                await client.flush(_TIMEOUT_S)
        except _LOST as error:
            raise self._explained(error) from error
        self._check_permissions()
        self.limit = min(NatsTransport.limit, client.max_payload)

    async def _sign_in(
        self,
        client: Client,
        credentials: dict[str, Any],
        closed: Callable[[], Awaitable[None]],
        failed: Callable[[Exception], Awaitable[None]],
    ) -> None:
        await client.connect(
            servers=list(self._settings.servers),
            name="warmline",
            # Coming back is the bus's affair: it must know that signals may have been lost meanwhile.
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=_TIMEOUT_S,
            error_cb=failed,
            closed_cb=closed,
            **credentials,
        )
        self._check_tls(client)

    async def publish(self, messages: Sequence[bytes]) -> None:
        """Publish, and wait until the server has them."""
        if self._client is None:
            raise BusUnavailable("not connected to NATS")
        try:
            for message in messages:
                await self._client.publish(self._subject, message)
            # The client's own task writes them; the flush would overtake it.
            await asyncio.sleep(0)
            await self._client.flush(_TIMEOUT_S)
        except _LOST as error:
            raise BusUnavailable(f"NATS cannot be used: {type(error).__name__}") from error
        self._check_permissions()

    async def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            client, self._client = self._client, None
            with contextlib.suppress(*_LOST):
                async with asyncio.timeout(_CLOSE_S):
                    await client.close()

    def _credentials(self, client: Client) -> dict[str, Any]:
        """What signs us in. What is secret is told only once it is known who listens."""
        settings = self._settings
        given: dict[str, Any] = {}

        def told(secret: str) -> Callable[[], str]:
            def tell() -> str:
                self._check_tls(client)
                return secret

            return tell

        if settings.user:
            given |= {"user": settings.user, "password": told(settings.password)}
        if settings.token:
            given["token"] = told(settings.token)
        if settings.nkey_seed:
            _check_seed("WARMLINE_NATS_NKEY_SEED", settings.nkey_seed)
            given["nkeys_seed_str"] = settings.nkey_seed
        if settings.creds:
            found = _CREDS.search(settings.creds)
            _check_seed("WARMLINE_NATS_CREDS", found[1] if found else "")
            given["user_credentials"] = RawCredentials(settings.creds)
        if settings.tls or settings.cert is not None:
            given["tls"] = self._tls()
        return given

    def _tls(self) -> ssl.SSLContext:
        settings = self._settings
        try:
            context = ssl.create_default_context(cafile=settings.ca)
        except OSError as error:
            raise ConfigError("WARMLINE_NATS_CA_FILE", _reason(error)) from None
        if settings.cert is not None:
            try:
                context.load_cert_chain(settings.cert, settings.key)
            except OSError as error:
                raise ConfigError("WARMLINE_NATS_CERT_FILE", _reason(error)) from None
        return context

    def _check_tls(self, client: Client) -> None:
        """The client goes on in the clear when the server, or somebody in between, does not ask for TLS."""
        if self._settings.tls and not client._server_info.get("tls_required"):
            raise ConfigError(_URL, "TLS is demanded, and the server does not offer it")

    def _check_permissions(self) -> None:
        """What is not permitted is told beside the answers, before the one to the flush that follows it."""
        if isinstance(self._problem, nats.errors.Error):
            raise self._explained(self._problem)

    def _explained(self, error: Exception) -> ConfigError | BusUnavailable:
        """What `error` means. Connecting to a server of several hides why each of them failed: that came before."""
        cause = self._problem if isinstance(error, nats.errors.NoServersError) and self._problem else error
        if isinstance(cause, ssl.SSLError):
            return ConfigError(_URL, f"TLS fails: {_reason(cause)}")
        text = str(cause).lower()
        if isinstance(cause, nats.errors.AuthorizationError) or any(word in text for word in _REFUSALS):
            return ConfigError(_URL, "NATS refuses the credentials")
        if "permissions violation" in text:
            return ConfigError(_URL, f"NATS does not permit this user to publish and subscribe to {self._subject}")
        return BusUnavailable(f"NATS cannot be used: {type(cause).__name__}")


def _check_seed(setting: str, seed: str) -> None:
    try:
        nkeys.from_seed(bytearray(seed.encode()))
    except (NkeysError, ValueError):
        raise ConfigError(setting, "holds no seed of an nkey") from None


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.strerror or error.args[0] if error.args else type(error).__name__
