"""Hosts of the pages and apps that may use a connector."""

import re

_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/@]*@)?(\[[^\]]*\]|[^/:?#]*)(?::\d*)?(?:[/?#].*)?", re.DOTALL)


def normal_host(host: str) -> str:
    """A host as it is compared: without scheme, port, path and trailing slash or dot, in lower case.

    Source: messaging-protocol.md §2.1.
    """
    match = _HOST.fullmatch(host.strip().lower())
    return match.group(1).strip().rstrip(".") if match else ""


_APP_ID = re.compile(r"(?:com|org|net)\.[^.]+\..+")


def host_matches(registered: str, given: str) -> bool:
    """Whether `given` (X-Host) is the registered domain, one of its subdomains, or the registered app id.

    Source: messaging-protocol.md §2.1. An app id is told from a domain by its first label ("com.example.app"); it
    has no subdomains.
    """
    domain, host = normal_host(registered), normal_host(given)
    if not domain or _APP_ID.fullmatch(domain):
        return bool(domain) and host == domain
    return host == domain or host.endswith(f".{domain}")
