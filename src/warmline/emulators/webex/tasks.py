"""Create, append and end: what the API accepts, and what becomes of it afterwards (§7, §8, §9, §20.2, §20.3)."""

import asyncio
import functools
import re
from typing import Any

from warmline.emulators.webex import events, policy
from warmline.emulators.webex.errors import ApiError
from warmline.emulators.webex.faults import Faults
from warmline.emulators.webex.flows import Flows
from warmline.emulators.webex.http import HttpClient
from warmline.emulators.webex.publisher import Publisher, search_row
from warmline.emulators.webex.routing import Routing
from warmline.emulators.webex.state import OVER, File, Message, Status, Task, World
from warmline.emulators.webex.validation import append_problems, create_problems
from warmline.emulators.webex.webhooks import Webhooks

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Tasks:
    """The pipelines behind the task API. What follows the HTTP answer runs in order per task."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        http: HttpClient,
        webhooks: Webhooks,
        publisher: Publisher,
        routing: Routing,
        flows: Flows,
    ) -> None:
        self._world = world
        self._faults = faults
        self._http = http
        self._webhooks = webhooks
        self._publisher = publisher
        self._routing = routing
        self._flows = flows

    async def create(self, body: dict[str, Any]) -> str:
        """Accept a Create Task request and return the task's id; the verdict comes by webhook.

        Raises:
            ApiError: 400 for a body that breaks §7.1, while `sync_validation` is on.
        """
        world = self._world
        problems = create_problems(body, world.settings)
        if problems and world.settings.sync_validation:
            raise ApiError(400, *problems)
        task = _task_of(body, world)
        task.problems = problems
        world.tasks[task.id] = task
        world.task_changed(task)
        delay_ms = world.settings.create_delay_ms
        if delay_ms > 0:
            world.clock.after(delay_ms, functools.partial(self.decide, task))
            return task.id
        self.decide(task)
        if delay_ms < 0:
            await world.pipelines.drained(lambda key: key == task.id, 5.0)
            await self._webhooks.settled(task.id)
        return task.id

    def decide(self, task: Task) -> None:
        """Give the verdict on a task that was accepted."""
        self._world.pipelines.submit(task.id, functools.partial(self._decide, task))

    async def append(self, task_id: str, body: dict[str, Any]) -> str:
        """Accept a Task Messages request and return the event's id; the verdict comes by webhook.

        Raises:
            ApiError: 400 for a body that breaks §8, 404 for a task that is over while `sync_not_found` is on.
        """
        world = self._world
        problems = append_problems(body, world.settings)
        if problems and world.settings.sync_validation:
            raise ApiError(400, *problems)
        task = world.tasks.get(task_id)
        if world.settings.sync_not_found and (task is None or task.status in OVER):
            raise ApiError(404, f"Task {task_id} not found")
        alias = _alias_of(body)
        event_id = alias if _UUID.fullmatch(alias) else world.ids.uuid("append")
        if world.settings.shuffle_parallel_appends:
            await asyncio.sleep(world.ids.stream("shuffle").random() / 50)
        work = functools.partial(self._append, task_id, body, event_id, problems)
        if world.settings.append_delay_ms > 0:
            delay_ms = world.settings.append_delay_ms
            world.clock.after(delay_ms, functools.partial(world.pipelines.submit, task_id, work))
        else:
            world.pipelines.submit(task_id, work)
        return event_id

    def end(self, task_id: str) -> None:
        """Accept an End Task request.

        Raises:
            ApiError: 404 for a task that is unknown or over.
        """
        world = self._world
        task = world.tasks.get(task_id)
        if task is None or task.status in OVER:
            raise ApiError(404, f"Task {task_id} not found")
        task.end_asked = True
        world.task_changed(task)
        party = world.settings.api_end_party
        work = functools.partial(self._end, task, party, f"{party} Left")
        world.clock.after(max(0, world.settings.end_delay_ms), functools.partial(world.pipelines.submit, task_id, work))

    async def _end(self, task: Task, party: str, reason: str) -> None:
        if task.open:
            self._routing.finish(task, party, reason)
        else:
            task.end_requested = (party, reason)

    async def _decide(self, task: Task) -> None:
        """The asynchronous half of Create: the first reason to fail wins, else the task is new (§20.2)."""
        failure = await self._failure_of(task)
        if isinstance(failure, tuple):
            task.status = Status.FAILED
            task.reason, task.ended_ms = failure[0], self._world.clock.now_ms()
            self._publisher.failed(task, *failure)
            return
        task.open = True
        self._world.open_conversations[task.conversation] = task.id
        self._publisher.lifecycle(task, "new")
        if self._world.settings.noise_events:
            self._publisher.noise()
        message, params, details = self._taken(task, task.first, failure, events.CREATED)
        task.transcript.append(message)
        task.aliases.add(message.alias_id)
        if self._world.settings.ack_first_message:
            event_id = self._world.ids.uuid("event")
            self._publisher.appended(task, message, event_id, details, params)
        else:
            self._world.task_changed(task, message)
        if task.end_requested is not None:
            self._routing.finish(task, *task.end_requested)
            return
        self._flows.begin(task)

    async def _failure_of(self, task: Task) -> "tuple[str, str] | list[_Fetched]":
        """Return why the task cannot be created, or the first message's files."""
        world = self._world
        if not world.settings.feature_enabled:
            return "FEATURE_FLAG_DISABLED", "Custom messaging is not enabled for the organization."
        asset = world.asset(task.address)
        if asset is None or asset.channel != task.channel:
            return "CHANNEL_ASSET_UNDEFINED", "No channel asset is defined for the business address and channel."
        entry_point = world.entry_point(asset.entry_point)
        if entry_point is None or not entry_point.active or world.flow(entry_point.flow) is None:
            return "ENTRY_POINT_NOT_FOUND", "The entry point of the asset was not found or is not active."
        if world.settings.foreign_task_open and task.conversation not in world.open_conversations:
            self._open_foreign(task)
        other = world.open_conversations.get(task.conversation)
        if other is not None:
            return "CONVERSATION_ALREADY_OPEN", f"Conversation is already open with task id {other}"
        if len(world.open_conversations) >= world.settings.org_contact_limit:
            return "ORG_DIGITAL_CONTACT_LIMIT_EXCEEDED", "The limit of digital contacts is exceeded."
        if task.problems:
            return "INVALID_CONTENT", "; ".join(task.problems)
        try:
            files = await self._checked(task, task.first)
        except policy.PolicyViolation as violation:
            return "INVALID_CONTENT", str(violation)
        injected = self._faults.reason_for("create", task.id)
        if injected is not None:
            return injected, "The conversation could not be created."
        return files

    def _open_foreign(self, task: Task) -> None:
        """Open a task of the same customer that the middleware knows nothing about."""
        world = self._world
        now = world.clock.now_ms()
        foreign = Task(
            world.ids.uuid("foreign"), task.origin, task.destination, task.channel, now, {}, task.first, open=True
        )
        foreign.history.append((now, search_row(world, foreign)))
        world.tasks[foreign.id] = foreign
        world.open_conversations[foreign.conversation] = foreign.id

    async def _append(self, task_id: str, body: dict[str, Any], event_id: str, problems: list[str]) -> None:
        """The asynchronous half of Append (§20.3)."""
        task = self._world.tasks.get(task_id)
        if task is None or not task.open:
            self._publisher.append_failed(task_id, event_id, "NOT_FOUND", "The task was not found.")
            return
        if problems:
            self._publisher.append_failed(task_id, event_id, "INVALID_CONTENT", "; ".join(problems))
            return
        injected = self._faults.reason_for("append", task_id)
        if injected is not None:
            self._publisher.append_failed(task_id, event_id, injected, "The message could not be appended.")
            return
        params = body["channelParams"]
        if self._world.settings.duplicate_alias == "dedupe" and params["message"]["aliasId"] in task.aliases:
            return
        try:
            files = await self._checked(task, params)
        except policy.PolicyViolation as violation:
            self._publisher.append_failed(task_id, event_id, "INVALID_CONTENT", str(violation))
            return
        if task.status in OVER:
            self._publisher.append_failed(task_id, event_id, "NOT_FOUND", "The task was not found.")
            return
        message, shown, details = self._taken(task, params, files, events.APPENDED)
        task.transcript.append(message)
        task.aliases.add(message.alias_id)
        self._publisher.appended(task, message, event_id, details, shown)
        self._flows.received(task)
        self._routing.heard(task, message)

    async def _checked(self, task: Task, params: dict[str, Any]) -> "list[_Fetched]":
        rules = self._world.policy(task.channel)
        policy.check_text(rules, params["message"]["text"])
        attachments = params["message"].get("attachments")
        if not attachments:
            return []
        return await policy.fetch_files(self._http.session, rules, attachments, self._world.mapped)

    def _taken(
        self, task: Task, params: dict[str, Any], files: "list[_Fetched]", details: str
    ) -> tuple[Message, dict[str, Any], str]:
        """Mask and scan a customer's message.

        Returns:
            the transcript's entry, `channelParams` for the echo, and `eventDetails`.
        """
        content = dict(params["message"])
        content["text"] = policy.masked(content["text"])
        kept: list[File] = []
        if files:
            drops_all = self._world.settings.drop_all_files
            clean = [item for item in files if not drops_all and not policy.is_dropped(item[1], item[2])]
            kept = [self._world.store_file(item["fileName"], mime, data) for item, mime, data in clean]
            content["attachments"] = [item for item, _, _ in clean]
            if len(clean) < len(files):
                details = events.APPENDED + events.DROPPED
        message = Message(
            direction="INBOUND",
            sender_type="customer",
            alias_id=content["aliasId"],
            text=content["text"],
            at=task.stamp(self._world.clock.now_ms()),
            files=kept,
        )
        return message, {"type": params["type"], "message": content}, details


_Fetched = tuple[dict[str, Any], str, bytes]


def _alias_of(body: dict[str, Any]) -> str:
    params = body.get("channelParams")
    message = params.get("message") if isinstance(params, dict) else None
    alias = message.get("aliasId") if isinstance(message, dict) else None
    return alias if isinstance(alias, str) else ""


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _task_of(body: dict[str, Any], world: World) -> Task:
    variables = _object(body.get("globalVariables"))
    return Task(
        id=world.ids.uuid("task"),
        origin=_object(body.get("origin")),
        destination=_object(body.get("destination")),
        channel=str(body.get("channel", "")),
        created_ms=world.clock.now_ms(),
        global_variables={str(name): str(value) for name, value in variables.items()},
        first=_object(body.get("channelParams")),
    )
