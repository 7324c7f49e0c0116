"""The vendor's HTTP surface: paths, scopes and answers (§20.1)."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from warmline.emulators.webex import captures, encryption, search
from warmline.emulators.webex.access import Call, Endpoint
from warmline.emulators.webex.errors import ApiError, json_response
from warmline.emulators.webex.oauth import TokenError
from warmline.emulators.webex.sim import Sim
from warmline.emulators.webex.state import Task

Handler = Callable[[Sim, Call], Awaitable[web.Response]]


def routes(sim_now: Callable[[], Sim]) -> list[web.RouteDef]:
    """Return the routes of the API; `sim_now` gives the organization as of the request."""

    def route(
        method: str, path: str, name: str, handler: Handler, scope: str | None, integer_key: bool = False
    ) -> web.RouteDef:
        async def handle(request: web.Request) -> web.StreamResponse:
            sim = sim_now()
            needed = sim.settings.end_scope if name == "end" else scope
            endpoint = Endpoint(name, lambda call: handler(sim, call), needed, integer_key)
            return await sim.access.serve(request, endpoint)

        return web.route(method, path, handle)

    write, read = "cjp:config_write", "cjp:config_read"
    table = [
        route("POST", "/v1/access_token", "token", _token, None),
        route("POST", "/v1/applications/{app_id}/token", "token", _mint, None),
        route("POST", "/v2/tasks", "create", _create, "cjp:task_write"),
        route("POST", "/v2/tasks/{task_id}/messages", "append", _append, "cjp:task_write"),
        route("POST", "/{version:v1|v2}/tasks/{task_id}/end", "end", _end, ""),
        route("POST", "/v1/tasks", "tasks", _wrong_endpoint, "cjp:task_write"),
        route("GET", "/v1/tasks", "tasks", _list_tasks, "cjp:task_read"),
        route("POST", "/search", "search", _search, read),
        route("POST", "/v1/captures/query", "captures", _captures, read),
        route("GET", "/organization/{org_id}/user/by-ci-user-id/{user_id}", "users", _user, read),
        route("GET", "/organization/{org_id}/user/{user_id}", "users", _user, read),
        route("GET", "/files/{file_id}", "files", _file, None),
        route("GET", "/kms/keys/{key_id}", "kms", _key, read),
    ]
    for family in ("v1", "v2"):
        base = f"/{family}/subscriptions"
        one = base + "/{subscription_id}"
        table += [
            route("GET", f"/{family}/event-types", "event-types", _event_types, read, True),
            route("POST", base, "subscriptions", _subscribe, write, True),
            route("GET", base, "subscriptions", _subscriptions, read, True),
            route("GET", one, "subscriptions", _subscription, read, True),
            route("PATCH", one, "subscriptions", _change_subscription, write, True),
            route("DELETE", one, "subscriptions", _unsubscribe, write, True),
        ]
    return table


def _meta(sim: Sim) -> dict[str, Any]:
    return {"orgId": sim.settings.org_id}


# -- tokens


async def _token(sim: Sim, call: Call) -> web.Response:
    if call.request.content_type != "application/x-www-form-urlencoded":
        return _token_error(TokenError(400, "The body must be application/x-www-form-urlencoded"), call)
    form = {name: value for name, value in (await call.request.post()).items() if isinstance(value, str)}
    try:
        return json_response(sim.oauth.refresh(form))
    except TokenError as error:
        return _token_error(error, call)


async def _mint(sim: Sim, call: Call) -> web.Response:
    body = call.body()
    try:
        return json_response(
            sim.oauth.mint(str(body.get("clientId")), str(body.get("clientSecret")), str(body.get("targetOrgId")))
        )
    except TokenError as error:
        return _token_error(error, call)


def _token_error(error: TokenError, call: Call) -> web.Response:
    description = str(error)
    return json_response(
        {
            "message": description,
            "errors": [{"description": description}],
            "trackingId": call.tracking_id,
        },
        error.status,
    )


# -- tasks


async def _create(sim: Sim, call: Call) -> web.Response:
    task_id = await sim.tasks.create(call.body())
    return json_response({"meta": _meta(sim), "data": {"id": task_id}}, 201)


async def _append(sim: Sim, call: Call) -> web.Response:
    event_id = await sim.tasks.append(call.request.match_info["task_id"], call.body())
    if sim.settings.append_empty_response:
        return json_response({}, 202)
    return json_response({"meta": _meta(sim), "data": {"id": event_id}}, 201)


async def _end(sim: Sim, call: Call) -> web.Response:
    if call.request.match_info["version"] == "v2" and not sim.settings.v2_end:
        raise ApiError(404, "No such resource")
    sim.tasks.end(call.request.match_info["task_id"])
    return json_response({}, 202)


async def _wrong_endpoint(sim: Sim, call: Call) -> web.Response:
    """`POST /v1/tasks` makes telephony tasks; a custom messaging body meets its complaints (§7)."""
    body = call.body()
    problems = [
        f"{name}: must not be null" for name in ("entryPointId", "mediaType") if not isinstance(body.get(name), str)
    ]
    problems += [
        f"{name}: must be a string" for name in ("origin", "destination") if not isinstance(body.get(name), str)
    ]
    raise ApiError(400, *(problems or ["mediaType: telephony tasks are not emulated"]))


_V1_STATUS = {
    "created": "created",
    "parked": "queued",
    "offered": "offered",
    "connected": "assigned",
    "failed": "abandoned",
}


_V1_CHANNEL_TYPES = {"telephony", "email", "chat", "social"}
"""The list of tasks can be narrowed to these only; custom messaging is not among them (§18.1)."""


async def _list_tasks(sim: Sim, call: Call) -> web.Response:
    query = call.request.query
    try:
        since, until = int(query["from"]), int(query.get("to", sim.world.clock.now_ms()))
        size = int(query.get("pageSize", "100"))
    except (KeyError, ValueError) as problem:
        raise ApiError(400, "from, to and pageSize must be integers; from is required") from problem
    if not 1 <= size <= 1000:
        raise ApiError(400, "pageSize: must be 1 to 1000")
    if unknown := set(query.get("channelTypes", "email").split(",")) - _V1_CHANNEL_TYPES:
        raise ApiError(400, f"channelTypes: {', '.join(sorted(unknown))} is unknown")
    is_open = "channelTypes" not in query
    found = [task for task in sim.world.tasks.values() if is_open and since <= task.created_ms <= until]
    return _packed(call, json_response({"meta": _meta(sim), "data": [_v1_view(task) for task in found[:size]]}))


def _packed(call: Call, response: web.Response) -> web.Response:
    """Compress a large answer for a client that asked for it (§6)."""
    is_large = isinstance(response.body, bytes) and len(response.body) > 1 << 20
    if is_large and "gzip" in call.request.headers.get("Accept-Encoding", ""):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def _v1_view(task: Task) -> dict[str, Any]:
    over = "completed" if task.was_connected else "abandoned"
    return {
        "id": task.id,
        "status": _V1_STATUS.get(str(task.status), over),
        "channelType": "customMessaging",
        "createdTime": task.created_ms,
        "origin": task.origin.get("id"),
        "destination": task.address,
        "direction": "inbound",
    }


# -- subscriptions


def _family(call: Call) -> str:
    return call.request.path.split("/", 2)[1]


async def _event_types(sim: Sim, call: Call) -> web.Response:
    return json_response(sim.subscriptions.types(_family(call)))


async def _subscribe(sim: Sim, call: Call) -> web.Response:
    return json_response(sim.subscriptions.create(_family(call), call.body()), 201)


async def _subscriptions(sim: Sim, call: Call) -> web.Response:
    return json_response(sim.subscriptions.all(_family(call)))


async def _subscription(sim: Sim, call: Call) -> web.Response:
    return json_response(sim.subscriptions.one(_family(call), call.request.match_info["subscription_id"]))


async def _change_subscription(sim: Sim, call: Call) -> web.Response:
    subscription_id = call.request.match_info["subscription_id"]
    return json_response(sim.subscriptions.update(_family(call), subscription_id, call.body()))


async def _unsubscribe(sim: Sim, call: Call) -> web.Response:
    sim.subscriptions.delete(_family(call), call.request.match_info["subscription_id"])
    return web.Response(status=204)


# -- data


async def _search(sim: Sim, call: Call) -> web.Response:
    body = call.body()
    variables = body.get("variables") or {}
    if not isinstance(body.get("query"), str) or not isinstance(variables, dict):
        raise ApiError(400, "query must be a string and variables an object")
    return _packed(call, json_response({"data": search.answer(sim.world, body["query"], variables)}))


async def _captures(sim: Sim, call: Call) -> web.Response:
    return json_response(captures.answer(sim.world, call.body()))


async def _user(sim: Sim, call: Call) -> web.Response:
    wanted = call.request.match_info["user_id"]
    by_ci = "/by-ci-user-id/" in call.request.path
    for agent in sim.world.agents.values():
        if wanted == (agent.spec.ci_user_id if by_ci else agent.spec.user_id):
            return json_response(
                {
                    "id": agent.spec.user_id,
                    "ciUserId": agent.spec.ci_user_id,
                    "firstName": agent.spec.first_name,
                    "lastName": agent.spec.last_name,
                    "email": f"{agent.spec.id}@sim.example",
                    "active": True,
                }
            )
    raise ApiError(404, f"User {wanted} not found")


async def _file(sim: Sim, call: Call) -> web.Response:
    file = sim.world.files.get(call.request.match_info["file_id"])
    expires, _, signature = call.request.query.get("token", "").partition(".")
    if file is None or not expires.isdigit():
        raise ApiError(404, "File not found")
    expected = sim.world.file_signature(file.id, int(expires))
    if signature != expected or int(expires) <= sim.world.clock.now_ms():
        raise ApiError(403, "The URL is not valid any more")
    inline = file.mime_type in ("image/png", "image/jpeg", "image/gif", "image/webp")
    return web.Response(
        body=file.content,
        headers={
            "Content-Type": file.mime_type,
            "Content-Disposition": "inline" if inline else "attachment",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        },
    )


async def _key(sim: Sim, call: Call) -> web.Response:
    key = encryption.key_view(sim.world, call.request.match_info["key_id"])
    if key is None:
        raise ApiError(404, "Key not found")
    return json_response({"data": key})
