"""Facts about a request."""

import ipaddress
from collections.abc import Sequence

from aiohttp import web


def client_address(request: web.Request, trusted_proxies: int = 0) -> str:
    """Whom a request is counted for; see `counted_address`."""
    return counted_address(request.remote or "", request.headers.getall("X-Forwarded-For", []), trusted_proxies)


def counted_address(remote: str, forwarded: Sequence[str], trusted_proxies: int) -> str:
    """The client's IPv4 address or IPv6 /64 network.

    `remote` is the peer, `forwarded` the values of X-Forwarded-For, `trusted_proxies` how many proxies of ours
    stand in front: each appends to the header, so everything further to the left is the client's own claim.
    """
    address = remote
    if trusted_proxies:
        hops = [hop.strip() for value in forwarded for hop in value.split(",")]
        address = hops[-min(trusted_proxies, len(hops))] if hops else remote
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


async def read_body(request: web.Request, limit: int) -> bytes:
    """The body, at most `limit` bytes. Raises HTTPRequestEntityTooLarge without reading on, HTTPBadRequest when the
    connection breaks in the middle, which is nobody's fault here."""
    if (request.content_length or 0) > limit:
        raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=request.content_length or 0)
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=len(body))
    except ConnectionError:
        raise web.HTTPBadRequest(reason="The connection was lost") from None
    return bytes(body)
