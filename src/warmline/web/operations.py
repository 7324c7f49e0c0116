"""What whoever runs the server asks of it: is it alive, is it ready, how does it do."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from warmline.domain.errors import WarmlineError

Check = Callable[[], Awaitable[None]]
"""Raises WarmlineError when its part is not ready."""
_PATIENCE_S = 3.0


class Readiness:
    """Asks the parts of a server whether they are ready; tells it to load balancers and as a metric."""

    def __init__(
        self, checks: Mapping[str, Check], metrics: CollectorRegistry, *, patience_s: float = _PATIENCE_S
    ) -> None:
        """Ask `checks`, by part; one that has not answered within `patience_s` seconds is not ready."""
        self._checks = checks
        self._patience_s = patience_s
        self._gauge = Gauge(
            "warmline_ready",
            "Whether a part of this node is ready: 1 or 0 (store, bus, delivery, migrations, server). When it is 0: "
            "the node gets no new customers; GET /readyz and the Studio, Settings, System health say why.",
            ("part",),
            registry=metrics,
        )

    async def problems(self) -> dict[str, str]:
        """The parts that are not ready, with an error code each."""
        codes = await asyncio.gather(*(self._ask(check) for check in self._checks.values()))
        found = {name: code for name, code in zip(self._checks, codes, strict=True) if code}
        for name in self._checks:
            self._gauge.labels(name).set(0 if name in found else 1)
        return found

    async def _ask(self, check: Check) -> str:
        """Why it is not ready, "" when it is."""
        try:
            async with asyncio.timeout(self._patience_s):
                await check()
        except WarmlineError as error:
            return error.code
        except TimeoutError:
            return "no_answer"
        return ""


def routes(
    app: web.Application,
    readiness: Readiness,
    metrics: CollectorRegistry,
    refresh: Sequence[Callable[[], Awaitable[None]]] = (),
) -> None:
    """Mount `/healthz` (the process lives), `/readyz` (its parts are ready) and `/metrics` (Prometheus).

    `refresh` is awaited before metrics are told; it takes its own time-outs and raises nothing.
    """

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def ready(_: web.Request) -> web.Response:
        problems = await readiness.problems()
        body = {"status": "not ready" if problems else "ready", "problems": problems}
        return web.json_response(body, status=503 if problems else 200)

    async def measured(_: web.Request) -> web.Response:
        await asyncio.gather(readiness.problems(), *(one() for one in refresh))
        return web.Response(body=generate_latest(metrics), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", measured)
