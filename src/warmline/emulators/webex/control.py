"""The control plane `/__sim/v1`: how tests, benchmarks and people drive the emulator (§20.7).

`GET /health` · `POST /reset {"everything": false}` · `GET`, `PUT /config` (any part of `SimSettings`) ·
`POST /scenario/{name}`, `GET /scenarios` · `POST /clock/advance {"ms"}` ·
`POST`, `GET`, `DELETE /faults`, `DELETE /faults/{id}` (see `faults`) · `GET /tasks`, `/tasks/{id}` ·
`GET /deliveries`, `/requests` · `GET /agents`, `POST /agents/{id}/{action}`.

A reset keeps what the middleware set up (asset webhooks, subscriptions, tokens) unless `everything` is true.
The asset's webhook is set by `PUT /config`
`{"assets": [{"businessAddress": "support@lumen.example", "webhookUrl": "…", "webhookSecret": "…"}]}`.
A 2xx means done. Errors are `{"error", "message"}`: 400 for a bad body, 404 for what does not exist, 409 for an
action that is not possible now.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from warmline.emulators.webex import scenarios
from warmline.emulators.webex.emulator import Emulator
from warmline.emulators.webex.errors import ActionError, json_response
from warmline.emulators.webex.faults import FaultRequest
from warmline.emulators.webex.http import is_foreign
from warmline.emulators.webex.settings import changed
from warmline.emulators.webex.sim import Sim
from warmline.emulators.webex.state import Agent, AgentState, Task
from warmline.emulators.webex.validation import url_problems
from warmline.emulators.webex.views import agent_view, task_view

PREFIX = "/__sim/v1"
Body = TypeVar("Body", bound=msgspec.Struct)


class _Nothing(msgspec.Struct):
    pass


class _Reset(msgspec.Struct):
    everything: bool = False


class _Advance(msgspec.Struct):
    ms: float


class _State(msgspec.Struct):
    state: str


class _OnTask(msgspec.Struct, rename="camel"):
    task_id: str


class _File(msgspec.Struct, rename="camel"):
    file_name: str
    mime_type: str
    content_base64: str

    def content(self) -> tuple[str, str, bytes]:
        """Return name, MIME type and bytes.

        Raises:
            ActionError: 400 when there is no name or no content.
        """
        try:
            content = base64.b64decode(self.content_base64, validate=True)
        except binascii.Error as problem:
            raise ActionError(400, f"contentBase64: {problem}") from problem
        if not content or not self.file_name:
            raise ActionError(400, "fileName and contentBase64 must not be empty")
        return self.file_name, self.mime_type, content


class _Say(_OnTask, rename="camel"):
    text: str = ""
    attachments: list[_File] = []


class _Attach(_File, rename="camel", kw_only=True):
    task_id: str
    text: str = ""


class _To(_OnTask, rename="camel"):
    to: str


class _WrapUp(_OnTask, rename="camel"):
    code: str = ""


class Control:
    """Handlers of the control plane."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._actions: dict[str, Callable[[Agent, bytes], None]] = {
            "login": self._log_in,
            "logout": self._log_out,
            "state": self._set_state,
            "accept": self._accept,
            "decline": self._decline,
            "say": self._say,
            "attach": self._attach,
            "transfer": self._transfer,
            "consult": self._consult,
            "confer": self._confer,
            "leave": self._leave,
            "end": self._end,
            "wrapup": self._wrap_up,
        }

    @property
    def _sim(self) -> Sim:
        return self._emulator.sim

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the control plane."""
        table: list[tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]]] = [
            ("GET", "/health", self._health),
            ("POST", "/reset", self._reset),
            ("GET", "/config", self._config),
            ("PUT", "/config", self._configure),
            ("GET", "/scenarios", self._scenarios),
            ("POST", "/scenario/{name}", self._scenario),
            ("GET", "/clock", self._clock),
            ("POST", "/clock/advance", self._advance),
            ("GET", "/faults", self._faults),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("DELETE", "/faults/{fault_id}", self._remove_fault),
            ("GET", "/tasks", self._tasks),
            ("GET", "/tasks/{task_id}", self._one_task),
            ("GET", "/deliveries", self._deliveries),
            ("GET", "/requests", self._requests),
            ("GET", "/agents", self._agents),
            ("POST", "/agents/{agent_id}/{action}", self._act),
        ]
        return [web.route(method, PREFIX + path, _answering(handler)) for method, path, handler in table]

    # -- the emulator

    async def _health(self, request: web.Request) -> web.Response:
        return json_response({"status": "ok", "tasks": len(self._sim.world.tasks)})

    async def _reset(self, request: web.Request) -> web.Response:
        await self._emulator.reset(_decoded(await request.read(), _Reset).everything)
        return json_response({"status": "reset"})

    async def _config(self, request: web.Request) -> web.Response:
        return json_response(self._sim.settings)

    async def _configure(self, request: web.Request) -> web.Response:
        patch = _decoded(await request.read(), dict[str, Any])
        try:
            wanted = changed(self._sim.settings, patch)
        except msgspec.ValidationError as problem:
            raise ActionError(400, str(problem)) from problem
        for name in ("seed", "virtual_clock_start_ms", "record_limit"):
            if getattr(wanted, name) != getattr(self._sim.settings, name):
                raise ActionError(400, f"{name} is chosen at the start: warmline emulate webex --settings FILE")
        known = {asset.webhook_url for asset in self._sim.settings.assets} | {""}
        for url in (asset.webhook_url for asset in wanted.assets):
            if url not in known and (problems := url_problems("webhookUrl", url, wanted.relaxed)):
                raise ActionError(400, "; ".join(problems))
        self._sim.configure(wanted)
        return json_response(self._sim.settings)

    async def _scenarios(self, request: web.Request) -> web.Response:
        return json_response({"scenarios": scenarios.descriptions()})

    async def _scenario(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        scenario = scenarios.find(name)
        if scenario is None:
            raise ActionError(404, f"there is no scenario {name}; there are {', '.join(scenarios.descriptions())}")
        await self._emulator.reset()
        scenarios.begin(self._sim, scenario)
        return json_response({"scenario": name, "description": scenario.description})

    async def _clock(self, request: web.Request) -> web.Response:
        is_virtual = self._sim.settings.virtual_clock_start_ms is not None
        return json_response({"now": self._sim.world.clock.now_ms(), "virtual": is_virtual})

    async def _advance(self, request: web.Request) -> web.Response:
        ms = _decoded(await request.read(), _Advance).ms
        if not ms >= 0:
            raise ActionError(400, "ms must not be negative: time only goes forward")
        self._sim.world.clock.advance(ms)
        return await self._clock(request)

    # -- faults

    async def _faults(self, request: web.Request) -> web.Response:
        return json_response({"faults": [rule.view() for rule in self._sim.faults.all()]})

    async def _add_fault(self, request: web.Request) -> web.Response:
        rule = self._sim.faults.add(_decoded(await request.read(), FaultRequest))
        return json_response(rule.view(), 201)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._sim.faults.clear()
        return json_response({"faults": []})

    async def _remove_fault(self, request: web.Request) -> web.Response:
        fault_id = request.match_info["fault_id"]
        if not self._sim.faults.remove(fault_id):
            raise ActionError(404, f"there is no fault {fault_id}")
        return json_response({"removed": fault_id})

    # -- the truth

    async def _tasks(self, request: web.Request) -> web.Response:
        world = self._sim.world
        return json_response({"tasks": [task_view(world, task) for task in world.tasks.values()]})

    async def _one_task(self, request: web.Request) -> web.Response:
        return json_response(task_view(self._sim.world, self._task(request.match_info["task_id"])))

    async def _deliveries(self, request: web.Request) -> web.Response:
        return json_response({"deliveries": _chosen(self._sim.webhooks.views(), request)})

    async def _requests(self, request: web.Request) -> web.Response:
        return json_response({"requests": _chosen(self._sim.access.views(), request)})

    # -- agents

    async def _agents(self, request: web.Request) -> web.Response:
        return json_response({"agents": [agent_view(agent) for agent in self._sim.world.agents.values()]})

    async def _act(self, request: web.Request) -> web.Response:
        action = self._actions.get(request.match_info["action"])
        if action is None:
            raise ActionError(404, f"an agent cannot {request.match_info['action']}")
        agent = self._agent(request.match_info["agent_id"])
        raw = await request.read()
        action(agent, raw)
        return json_response(agent_view(agent))

    def _log_in(self, agent: Agent, raw: bytes) -> None:
        _decoded(raw, _Nothing)
        self._sim.routing.log_in(agent)

    def _log_out(self, agent: Agent, raw: bytes) -> None:
        _decoded(raw, _Nothing)
        self._sim.routing.log_out(agent)

    def _set_state(self, agent: Agent, raw: bytes) -> None:
        wanted = _decoded(raw, _State).state
        if wanted not in (AgentState.AVAILABLE, AgentState.IDLE):
            raise ActionError(400, "state must be Available or Idle")
        self._sim.routing.set_state(agent, AgentState(wanted))

    def _accept(self, agent: Agent, raw: bytes) -> None:
        self._sim.routing.accept(agent, self._task(_decoded(raw, _OnTask).task_id))

    def _decline(self, agent: Agent, raw: bytes) -> None:
        self._sim.routing.decline(agent, self._task(_decoded(raw, _OnTask).task_id))

    def _say(self, agent: Agent, raw: bytes) -> None:
        body = _decoded(raw, _Say)
        if not body.text.strip() and not body.attachments:
            raise ActionError(400, "text must not be empty")
        files = [file.content() for file in body.attachments]
        self._sim.routing.attach(agent, self._task(body.task_id), body.text, files)

    def _attach(self, agent: Agent, raw: bytes) -> None:
        body = _decoded(raw, _Attach)
        files = [body.content()]
        self._sim.routing.attach(agent, self._task(body.task_id), body.text, files)

    def _transfer(self, agent: Agent, raw: bytes) -> None:
        body = _decoded(raw, _To)
        kind, _, name = body.to.partition(":")
        if kind == "queue":
            self._sim.routing.transfer_to_queue(agent, self._task(body.task_id), name)
        elif kind == "agent":
            to, task = self._agent(name), self._task(body.task_id)
            if task.consulted_id == name:
                self._sim.consulting.hand_over(agent, task)
            else:
                self._sim.routing.transfer_to_agent(agent, task, to)
        else:
            raise ActionError(400, "to must be queue:NAME or agent:ID")

    def _consult(self, agent: Agent, raw: bytes) -> None:
        body = _decoded(raw, _To)
        kind, _, name = body.to.partition(":")
        if kind != "agent":
            raise ActionError(400, "to must be agent:ID")
        self._sim.consulting.consult(agent, self._task(body.task_id), self._agent(name))

    def _confer(self, agent: Agent, raw: bytes) -> None:
        self._sim.consulting.confer(agent, self._task(_decoded(raw, _OnTask).task_id))

    def _leave(self, agent: Agent, raw: bytes) -> None:
        self._sim.consulting.leave(agent, self._task(_decoded(raw, _OnTask).task_id))

    def _end(self, agent: Agent, raw: bytes) -> None:
        self._sim.routing.end(agent, self._task(_decoded(raw, _OnTask).task_id))

    def _wrap_up(self, agent: Agent, raw: bytes) -> None:
        body = _decoded(raw, _WrapUp)
        self._sim.routing.wrap_up(agent, self._task(body.task_id), body.code)

    def _task(self, task_id: str) -> Task:
        task = self._sim.world.tasks.get(task_id)
        if task is None:
            raise ActionError(404, f"there is no task {task_id}")
        return task

    def _agent(self, agent_id: str) -> Agent:
        agent = self._sim.world.agents.get(agent_id)
        if agent is None:
            raise ActionError(404, f"there is no agent {agent_id}")
        return agent


def _chosen(entries: list[dict[str, Any]], request: web.Request) -> list[dict[str, Any]]:
    """Return the entries that have every value of the query, such as `?event=task:new&status=500`."""
    wanted = request.query.items()
    if entries:
        for name in request.query:
            if name not in entries[0]:
                raise ActionError(400, f"{name}: there is no such field; there are {', '.join(entries[0])}")
    return [entry for entry in entries if all(str(entry[name]) == value for name, value in wanted)]


def _decoded(raw: bytes, kind: type[Body] | Any) -> Any:
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as problem:
        raise ActionError(400, str(problem)) from problem


def _answering(
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            if is_foreign(request):
                raise ActionError(403, "pages of other sites cannot use the control plane")
            return await handler(request)
        except ActionError as error:
            return json_response({"error": error.code, "message": str(error)}, error.status)

    return handle
