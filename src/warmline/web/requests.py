"""Facts about a request."""

import ipaddress

from aiohttp import web


def client_address(request: web.Request, trusted_proxies: int = 0) -> str:
    """Whom a request is counted for: the client's IPv4 address or IPv6 /64 network.

    `trusted_proxies` is how many proxies of ours stand in front; each appends to X-Forwarded-For, so everything
    further to the left is the client's own claim and is ignored.
    """
    address = request.remote or ""
    if trusted_proxies:
        hops = [hop.strip() for value in request.headers.getall("X-Forwarded-For", ()) for hop in value.split(",")]
        address = hops[-min(trusted_proxies, len(hops))] if hops else address
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


async def read_body(request: web.Request, limit: int) -> bytes:
    """The body, at most `limit` bytes. Raises HTTPRequestEntityTooLarge without reading on."""
    if (request.content_length or 0) > limit:
        raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=request.content_length or 0)
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=len(body))
    return bytes(body)
