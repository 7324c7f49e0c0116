"""Webex Contact Center's API: one method per endpoint (webex-byoc.md §6–10)."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import structlog
from yarl import URL

from warmline.handoff import http
from warmline.handoff.contract import (
    CallUse,
    ContentRefused,
    ProviderAuthFailed,
    ProviderEnvironment,
    ProviderError,
    ProviderThrottled,
    ProviderTimeout,
    ProviderUnavailable,
    RemoteState,
)
from warmline.handoff.providers.webex import search, wire
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.providers.webex.limiter import Priority, limiter_for
from warmline.handoff.providers.webex.tokens import REMEDY, Tokens

_log = structlog.get_logger(__name__)

TASK_WRITE = "cjp:task_write"
CONFIG_READ = "cjp:config_read"
CONFIG_WRITE = "cjp:config_write"
_END_SCOPES = "cjp:task_write (or cjp:user, cloud-contact-center:pod_conv)"

_FIELDS = (
    "origin", "destination", "channelType", "channel", "globalVariables", "flowSettings", "channelParams",
    "mediaType", "aliasId", "timestamp", "text", "attachments",
)  # fmt: skip
"""What we send; only these names are told of Webex's complaints about calls that carry customer data."""


class WebexClient:
    """The calls of one connection: token, budget, headers, and results as decisions.

    Nothing is tried twice, except with a new token after a 401, which was certainly not processed.
    """

    def __init__(self, config: WebexConfig, tokens: Tokens, environment: ProviderEnvironment) -> None:
        self._config = config
        self._tokens = tokens
        self._environment = environment
        self._limiter = limiter_for(environment.http, config.client_id, environment.clock, config.rate_per_minute)
        self._end_version: str | None = None

    def use(self) -> CallUse:
        """How much of the budget is used."""
        return self._limiter.use()

    # -- tasks

    async def create_task(self, task: wire.CreateTask) -> str:
        """`POST /v2/tasks`: ask for a task; returns its id. 201 means accepted, the verdict comes by webhook."""
        answer = await self._call("POST", "/v2/tasks", Priority.CREATE, wire.encode(task))
        if not answer.ok:
            raise _task_failure(answer, TASK_WRITE)
        task_id = wire.created_id(answer.body)
        if not task_id:
            raise ProviderTimeout("created_without_id", "Webex accepted a task without telling its id")
        return task_id

    async def append(self, task_id: str, message: wire.AppendMessage) -> None:
        """`POST /v2/tasks/{id}/messages`: add a customer message; the verdict comes by webhook."""
        path = f"/v2/tasks/{quote(task_id, safe='')}/messages"
        answer = await self._call("POST", path, Priority.APPEND, wire.encode(message))
        if answer.ok:
            return
        failure = _task_failure(answer, TASK_WRITE, gone=(404,))
        if isinstance(failure, ProviderUnavailable):
            # §15.3: a 5xx may come after the message was taken; look for its confirmation before sending again.
            raise ProviderTimeout("append_uncertain", failure.hint, status=answer.status)
        raise failure

    async def end_task(self, task_id: str) -> None:
        """`POST /v1/tasks/{id}/end`, or v2 where v1 is not there. Raises ConversationGone when it has ended."""
        versions = [self._end_version] if self._end_version else ["v1", "v2"]
        for version in versions:
            path = f"/{version}/tasks/{quote(task_id, safe='')}/end"
            answer = await self._call("POST", path, Priority.END, b"{}")
            if answer.ok:
                self._end_version = version
                return
            if answer.status != 404 or version == versions[-1]:
                raise _task_failure(answer, _END_SCOPES, gone=(404, 409))

    # -- subscriptions

    async def event_types(self) -> tuple[set[str], dict[str, str]]:
        """`GET /v2/event-types`: the event names of the organization, and each resource's version."""
        answer = await self._config_call("GET", "/v2/event-types", CONFIG_READ)
        meta = wire.decoded(answer.body).get("meta")
        listed = meta.get("resourceVersionList") if isinstance(meta, dict) else None
        versions = {
            str(item["resource"]): str(item["version"])
            for item in (listed if isinstance(listed, list) else [])
            if isinstance(item, dict) and "resource" in item and "version" in item
        }
        return {str(row["name"]) for row in wire.rows(answer.body) if "name" in row}, versions

    async def subscriptions(self) -> list[dict[str, Any]]:
        """`GET /v2/subscriptions`: all of the organization's v2 subscriptions."""
        return wire.rows((await self._config_call("GET", "/v2/subscriptions", CONFIG_READ)).body)

    async def create_subscription(self, body: dict[str, object]) -> None:
        """`POST /v2/subscriptions`."""
        await self._config_call("POST", "/v2/subscriptions", CONFIG_WRITE, body)

    async def update_subscription(self, subscription_id: str, body: dict[str, object]) -> None:
        """`PATCH /v2/subscriptions/{id}`."""
        path = f"/v2/subscriptions/{quote(subscription_id, safe='')}"
        await self._config_call("PATCH", path, CONFIG_WRITE, body)

    async def delete_subscription(self, subscription_id: str) -> None:
        """`DELETE /v2/subscriptions/{id}`; one that is gone already is fine."""
        path = f"/v2/subscriptions/{quote(subscription_id, safe='')}"
        await self._config_call("DELETE", path, CONFIG_WRITE, missing_ok=True)

    # -- what became of tasks

    async def search(self, task_ids: Sequence[str]) -> dict[str, RemoteState]:
        """`POST /search`: tasks as the organization's index has them, by id; it lags behind by some time (§18.1)."""
        found: dict[str, RemoteState] = {}
        path = f"/search?orgId={quote(self._config.org_id, safe='')}"
        for start in range(0, len(task_ids), search.IDS_PER_QUERY):
            body = search.query(task_ids[start : start + search.IDS_PER_QUERY], self._environment.clock.now())
            answer = await self._call("POST", path, Priority.OTHER, body)
            if answer.status == 403:
                raise _forbidden(CONFIG_READ, wire.problem(answer.body))
            if not answer.ok:
                raise http.failure(answer, hint=f"POST /search: HTTP {answer.status} {wire.problem(answer.body)}")
            found.update(search.states(answer.body))
        return found

    async def list_tasks(self, since: int, until: int) -> list[RemoteState]:
        """`POST /search`: the tasks of ours created between these times (epoch ms), by pages."""
        path = f"/search?orgId={quote(self._config.org_id, safe='')}"
        found: list[RemoteState] = []
        cursor = search.FIRST_PAGE
        for _ in range(search.PAGES):
            body = search.listing(self._config.business_address, since, until, cursor)
            answer = await self._call("POST", path, Priority.OTHER, body)
            if answer.status == 403:
                raise _forbidden(CONFIG_READ, wire.problem(answer.body))
            if not answer.ok:
                raise http.failure(answer, hint=f"POST /search: HTTP {answer.status} {wire.problem(answer.body)}")
            found += [item for item in search.states(answer.body).values() if item.customer.startswith(search.OURS)]
            cursor = search.next_page(answer.body)
            if not cursor:
                break
        return found

    async def transcript_url(self, task_id: str) -> str:
        """`POST /v1/captures/query`: the signed address of a task's transcript; "" while there is none (§18.3)."""
        query = {
            "orgId": self._config.org_id,
            "taskIds": [task_id],
            "urlExpiration": 30,
            "includeSegments": False,
            "includeVARecordings": False,
        }
        answer = await self._call("POST", "/v1/captures/query", Priority.OTHER, wire.encode({"query": query}))
        if answer.status == 403:
            raise _forbidden(CONFIG_READ, wire.problem(answer.body))
        if not answer.ok:
            raise http.failure(answer, hint=f"POST /v1/captures/query: HTTP {answer.status}")
        for row in wire.rows(answer.body):
            for item in row.get("transcription") or []:
                if row.get("taskId") == task_id and isinstance(item, dict) and isinstance(item.get("filePath"), str):
                    return str(item["filePath"])
        return ""

    # -- people

    async def first_name(self, user_id: str) -> str:
        """An agent's first name by contact-centre id, else by Common Identity id; "" when nobody is found (§12.3)."""
        org, user = quote(self._config.org_id, safe=""), quote(user_id, safe="")
        for path in (f"/organization/{org}/user/{user}", f"/organization/{org}/user/by-ci-user-id/{user}"):
            answer = await self._call("GET", path, Priority.OTHER)
            if answer.ok:
                whole = wire.decoded(answer.body)
                data = whole.get("data")
                name = (data if isinstance(data, dict) else whole).get("firstName")
                return name.strip() if isinstance(name, str) else ""
            if answer.status not in (400, 404):
                raise http.failure(answer)
        return ""

    # -- keys

    async def file_key(self, key_id: str) -> str:
        """`GET /kms/keys/{id}`: a key of an emulator's key server (§20.1), base64url; Webex itself has no such call."""
        answer = await self._call("GET", f"/kms/keys/{quote(key_id, safe='')}", Priority.OTHER)
        data = wire.decoded(answer.body).get("data") if answer.ok else None
        key = data.get("k") if isinstance(data, dict) else None
        if not isinstance(key, str):
            raise http.failure(answer) if not answer.ok else ProviderTimeout("key_without_value")
        return key

    # -- inside

    async def _config_call(
        self, method: str, path: str, scope: str, body: dict[str, object] | None = None, *, missing_ok: bool = False
    ) -> http.Answer:
        raw = wire.encode(body) if body is not None else None
        query = "" if body is not None else f"?orgId={quote(self._config.org_id, safe='')}"
        answer = await self._call(method, path + query, Priority.OTHER, raw)
        if answer.ok or (missing_ok and answer.status == 404):
            return answer
        problem = wire.problem(answer.body)
        if answer.status == 403:
            raise _forbidden(scope, problem)
        raise http.failure(answer, hint=f"{method} {path}: HTTP {answer.status} {problem}".rstrip())

    async def _call(self, method: str, path: str, priority: Priority, body: bytes | None = None) -> http.Answer:
        token = await self._tokens.token()
        answer = await self._once(method, path, priority, body, token)
        if answer.status == 401:
            token = await self._tokens.after_refusal(token)
            answer = await self._once(method, path, priority, body, token)
            if answer.status == 401:
                raise await self._tokens.fail(f"Webex refuses even a fresh access token (HTTP 401). {REMEDY}")
        if answer.status == 429:
            self._limiter.pause(answer.retry_after)
            raise ProviderThrottled("throttled", answer.retry_after, "Webex's limit of calls per minute is reached")
        return answer

    async def _once(self, method: str, path: str, priority: Priority, body: bytes | None, token: str) -> http.Answer:
        await self._limiter.acquire(priority)
        tracking_id = f"WARMLINE_{self._environment.ids.uuid()}"
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "TrackingId": tracking_id}
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = URL(self._config.base_url + path, encoded=True)
        answer = await http.call(self._environment.http, method, url, headers=headers, body=body)
        if not answer.ok:
            _log.info(
                "webex.call_refused",
                method=method,
                path=path.partition("?")[0],
                status=answer.status,
                tracking_id=tracking_id,
                their_tracking_id=str(wire.decoded(answer.body).get("trackingId", ""))[:100],
            )
        return answer


def _task_failure(answer: http.Answer, scope: str, *, gone: tuple[int, ...] = ()) -> ProviderError:
    if answer.status == 403:
        return _forbidden(scope, "")
    named = [name for name in _FIELDS if name in wire.problem(answer.body)]
    hint = f"Webex answered HTTP {answer.status}" + (f" and names {', '.join(named)}" if named else "")
    if answer.status in (400, 413, 422):
        return ContentRefused("rejected", hint, status=answer.status)
    return http.failure(answer, hint=hint, gone=gone)


def _forbidden(scope: str, problem: str) -> ProviderAuthFailed:
    told = f" ({problem})" if problem else ""
    if "maximum" in problem.lower():
        # The organization's number of subscriptions is limited; the document gives no code for it (§10).
        hint = f"Webex refuses the call{told}: delete subscriptions that nobody needs any more."
        return ProviderAuthFailed("maximum_reached", hint, status=403)
    hint = (
        f"Webex refuses the call{told}: the Service App probably lacks the scope {scope}. "
        "Add it, let a full administrator authorize the app again, and generate a new token pair."
    )
    return ProviderAuthFailed("scope_missing", hint, status=403)
