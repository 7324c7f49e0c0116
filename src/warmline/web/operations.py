"""What whoever runs the server asks of it: is it alive, is it ready, how does it do."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from warmline.domain.errors import WarmlineError

Check = Callable[[], Awaitable[None]]
"""Raises WarmlineError when its part is not ready."""


def routes(app: web.Application, checks: Mapping[str, Check], metrics: CollectorRegistry) -> None:
    """Mount `/healthz` (the process lives), `/readyz` (its parts are ready) and `/metrics` (Prometheus)."""

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def ready(_: web.Request) -> web.Response:
        problems: dict[str, str] = {}
        for name, check in checks.items():
            try:
                await check()
            except WarmlineError as error:
                problems[name] = error.code
        body = {"status": "not ready" if problems else "ready", "problems": problems}
        return web.json_response(body, status=503 if problems else 200)

    async def measured(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", measured)
