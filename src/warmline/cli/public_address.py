"""Whether contact centres could call the public address, as far as that shows from here (webex-byoc.md §3, §11)."""

import asyncio
import ipaddress
import ssl
import time
from urllib.parse import urlsplit

import aiohttp

from warmline.config import Settings
from warmline.handoff.manifest import webhook_url_problem
from warmline.ports import Finding, Level

_SUBJECT = "public address"
_CERTIFICATE_WARN_DAYS = 14
_PROXY = "Let the reverse proxy pass /hooks/, /api/, /ws and /widget/ on to the server."


async def public_address(
    http: aiohttp.ClientSession, settings: Settings, trust: ssl.SSLContext | None = None
) -> list[Finding]:
    """Look at the address itself, who answers there, whether webhooks get through, and the certificate.

    Args:
        trust: the authorities whose certificates count; None: the system's.
    """
    url = settings.public_url
    if not settings.relaxed and (problem := webhook_url_problem(f"{url}/hooks/x/y/z")):
        return [Finding(Level.FAIL, _SUBJECT, f"{url} {problem}.")]
    tls = trust or True
    try:
        async with http.get(f"{url}/healthz", allow_redirects=False, ssl=tls) as answer:
            body = await answer.text()
        if 300 <= answer.status < 400:
            text = f"{url} redirects (HTTP {answer.status}); contact centres do not follow redirects."
            return [Finding(Level.FAIL, _SUBJECT, text, "Set WARMLINE_PUBLIC_URL to where it leads.")]
        if answer.status != 200 or "alive" not in body:
            text = f"{url} answers, but not as Warmline (HTTP {answer.status})."
            return [Finding(Level.FAIL, _SUBJECT, text, _PROXY)]
        found = [await _webhooks(http, url, tls)]
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", "") or type(error.certificate_error).__name__
        text = f"The certificate of {url} is not accepted: {why}."
        return [Finding(Level.FAIL, _SUBJECT, text, "Use a certificate of a public authority, with its whole chain.")]
    except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
        text = f"{url} cannot be reached from this machine ({type(error).__name__})."
        remedy = "Ask for it from outside; from within some networks a public address does not answer."
        return [Finding(Level.WARN, _SUBJECT, text, remedy)]
    if not settings.relaxed:
        found += await _private(url)
    return [*found, *await _certificate(url, trust)]


async def _webhooks(http: aiohttp.ClientSession, url: str, tls: ssl.SSLContext | bool) -> Finding:
    """Send a webhook of a connection that does not exist: only Warmline refuses it in this way."""
    async with http.post(f"{url}/hooks/doctor/none/none", json={}, allow_redirects=False, ssl=tls) as answer:
        body = await answer.text()
    if "unknown_connection" in body or "starting" in body:
        return Finding(Level.OK, _SUBJECT, f"{url} answers, and takes webhooks, seen from this machine.")
    text = f"{url} answers, but webhooks do not get through (HTTP {answer.status} for POST /hooks/…)."
    return Finding(Level.FAIL, _SUBJECT, text, _PROXY)


async def _private(url: str) -> list[Finding]:
    """A name that leads to an address of the own network only is worth a word: the internet may see another one."""
    parts = urlsplit(url)
    try:
        known = await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port or 443)
    except OSError:
        return []
    addresses = {str(entry[4][0]).partition("%")[0] for entry in known}
    if any(ipaddress.ip_address(address).is_global for address in addresses):
        return []
    text = f"{parts.hostname} leads to {', '.join(sorted(addresses))}, which the internet cannot reach."
    remedy = "Fine if only this network sees it so. Otherwise the name must lead to a public address."
    return [Finding(Level.WARN, _SUBJECT, text, remedy)]


async def _certificate(url: str, trust: ssl.SSLContext | None) -> list[Finding]:
    """When the certificate of an https address expires; it was found to be valid before."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return []
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=trust or True)
    except (OSError, TimeoutError):
        return []
    certificate = writer.get_extra_info("peercert") or {}
    writer.close()
    days = int((ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) // 86400)
    level = Level.WARN if days < _CERTIFICATE_WARN_DAYS else Level.OK
    return [Finding(level, "certificate", f"Expires in {days} days.", "Renew it, and let that happen by itself.")]
