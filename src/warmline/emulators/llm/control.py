"""The control plane `/__sim/v1`: how tests and people drive the emulated model.

`GET /health` · `POST /reset` · `GET`, `PUT /script` (a whole script, as JSON or YAML; see `script`) ·
`POST`, `GET`, `DELETE /faults`, `DELETE /faults/{id}` (see `faults`) · `GET`, `DELETE /requests` (what was asked,
oldest first).

A 2xx means done. Errors are `{"error", "message"}`: 400 for a bad body, 403 for a page of another site, 404 for what
does not exist.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from warmline.emulators.llm.api import Emulator
from warmline.emulators.llm.faults import FaultRequest
from warmline.emulators.llm.script import ScriptError, read_script

PREFIX = "/__sim/v1"


class ControlError(Exception):
    """A request that cannot be done; `status` is 400, 403 or 404."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Control:
    """Handlers of the control plane."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the control plane."""
        table: list[tuple[str, str, Callable[[web.Request], Awaitable[object]]]] = [
            ("GET", "/health", self._health),
            ("POST", "/reset", self._reset),
            ("GET", "/script", self._script),
            ("PUT", "/script", self._play),
            ("GET", "/faults", self._faults),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("DELETE", "/faults/{fault_id}", self._remove_fault),
            ("GET", "/requests", self._requests),
            ("DELETE", "/requests", self._forget),
        ]
        return [web.route(method, PREFIX + path, _answering(handler)) for method, path, handler in table]

    async def _health(self, request: web.Request) -> object:
        return {"status": "ok", "requests": len(self._emulator.requests)}

    async def _reset(self, request: web.Request) -> object:
        self._emulator.reset()
        return {"status": "reset"}

    async def _script(self, request: web.Request) -> object:
        return self._emulator.playing.script

    async def _play(self, request: web.Request) -> object:
        try:
            self._emulator.play(read_script(await request.text()))
        except ScriptError as problem:
            raise ControlError(400, str(problem)) from problem
        return self._emulator.playing.script

    async def _faults(self, request: web.Request) -> object:
        return {"faults": [fault.view() for fault in self._emulator.faults.all()]}

    async def _add_fault(self, request: web.Request) -> object:
        try:
            wanted = msgspec.json.decode(await request.read(), type=FaultRequest)
        except msgspec.MsgspecError as problem:
            raise ControlError(400, str(problem)) from problem
        return self._emulator.faults.add(wanted).view()

    async def _clear_faults(self, request: web.Request) -> object:
        self._emulator.faults.clear()
        return {"faults": []}

    async def _remove_fault(self, request: web.Request) -> object:
        fault_id = request.match_info["fault_id"]
        if not self._emulator.faults.remove(fault_id):
            raise ControlError(404, f"there is no fault {fault_id}")
        return {"removed": fault_id}

    async def _requests(self, request: web.Request) -> object:
        return {"requests": list(self._emulator.requests)}

    async def _forget(self, request: web.Request) -> object:
        self._emulator.requests.clear()
        return {"requests": []}


def _answering(handler: Callable[[web.Request], Awaitable[object]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            origin = request.headers.get("Origin")
            if origin is not None and urlsplit(origin).netloc != request.host:
                raise ControlError(403, "pages of other sites cannot use the control plane")
            return _json(await handler(request), 201 if request.method == "POST" and "faults" in request.path else 200)
        except ControlError as error:
            names = {400: "bad_request", 403: "forbidden", 404: "not_found"}
            return _json({"error": names[error.status], "message": str(error)}, error.status)

    return handle


def _json(body: object, status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
