"""HTTP towards contact centres: explicit time limits, results as decisions, nothing of the content in logs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from yarl import URL

from warmline.domain.errors import LeaseLost
from warmline.handoff.contract import (
    ConversationGone,
    ProviderAuthFailed,
    ProviderError,
    ProviderRejected,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnavailable,
    send_guard,
)

TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)
"""Seconds for one call, and for getting a connection (webex-byoc.md §6)."""

_RETRY_AFTER_S = 5.0
_RETRY_AFTER_MAX_S = 120.0
_CUT = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """It is a 2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float:
        """Seconds to wait after a 429 (webex-byoc.md §15.3: 5 when not told, 120 at most)."""
        told = self.headers.get("Retry-After", "")
        return min(float(told), _RETRY_AFTER_MAX_S) if re.fullmatch(r"\d{1,6}", told) else _RETRY_AFTER_S


class GuardedConnector(aiohttp.TCPConnector):
    """Hands out connections only as long as this node may send (`contract.send_guard`).

    What stood when a call began may not stand any more when its connection has come about, seconds later.
    """

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Get or make a connection. Raises LeaseLost."""
        connection = await super().connect(req, traces, timeout)
        try:
            send_guard.get()()
        except LeaseLost:
            connection.close()
            raise
        return connection


async def call(
    session: aiohttp.ClientSession,
    method: str,
    url: URL | str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    timeout: aiohttp.ClientTimeout = TIMEOUT,
) -> Answer:
    """Send one request and read its answer; redirects are not followed, nothing is tried again.

    Raises:
        ProviderUnavailable: no connection came about, or none that can be trusted; nothing was sent.
        ProviderTimeout: the request may have arrived, but no whole answer came back.
        LeaseLost: this node may not send any more.
    """
    send_guard.get()()
    try:
        async with session.request(
            method, url, headers=headers, data=body, timeout=timeout, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, await response.read())
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise _not_connected(error) from error
    except aiohttp.InvalidURL as error:
        raise ProviderRejected("invalid_url", "the address in the connection's settings is not a URL") from error
    except TimeoutError as error:
        raise ProviderTimeout("no_answer_in_time") from error
    except aiohttp.ClientError as error:
        raise ProviderTimeout("connection_lost", type(error).__name__) from error


_CERTIFICATES = {
    9: "it is not valid yet. Is this machine's clock right?",
    10: "it has expired. They must renew it, unless this machine's clock is wrong.",
    62: "it is for another name. Is the address right? Else they must use one for this name.",
    64: "it is for another address. Is the address right? Else they must use one for this address.",
}
_UNKNOWN_AUTHORITY = (
    "nobody whom this machine trusts has issued it. If you trust who did (a company's own authority, or a proxy that "
    "looks into TLS), name its certificate in SSL_CERT_FILE or in the system's store, and start the server again."
)
"""By OpenSSL's code (https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/); for all others, who issued it."""


def _not_connected(error: aiohttp.ClientError | TimeoutError) -> ProviderUnavailable:
    """Why no connection came about, and what the operator can do about it."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        code = getattr(error.certificate_error, "verify_code", 0)
        return ProviderUnavailable(
            "certificate_refused",
            f"the certificate of {error.host} is not accepted: {_CERTIFICATES.get(code, _UNKNOWN_AUTHORITY)}",
        )
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return ProviderUnavailable(
            "tls_failed", f"{error.host} does not speak TLS as it should. Are address and port right, and is it https?"
        )
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _CUT):
        return ProviderUnavailable(
            "tls_failed",
            f"the connection to {error.host} was cut during the TLS handshake. Does a firewall or proxy do that?",
        )
    return ProviderUnavailable("no_connection", type(error).__name__)


def failure(answer: Answer, *, hint: str = "", gone: tuple[int, ...] = ()) -> ProviderError:
    """Return what an answer that is not a 2xx means (design.md §6, webex-byoc.md §15.3).

    Args:
        answer: the answer.
        hint: what the operator should know; no customer data.
        gone: statuses that mean here that the conversation is over.
    """
    status = answer.status
    hint = hint or f"HTTP {status}"
    if status in gone:
        return ConversationGone("conversation_gone", hint, status=status)
    if status in (401, 403):
        return ProviderAuthFailed("not_authorized" if status == 401 else "forbidden", hint, status=status)
    if status == 429:
        return ProviderThrottled("throttled", answer.retry_after, hint)
    if status in (408, 502, 504):
        # A middlebox answered: what became of the request behind it is not known.
        return ProviderTimeout("no_answer_behind_gateway", hint, status=status)
    if status >= 500:
        return ProviderUnavailable("unavailable", hint, status=status)
    return ProviderRejected("rejected", hint, status=status)
