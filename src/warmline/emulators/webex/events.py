"""What the webhooks say: the `data` of every event, in the standard shape and its variants (§12.2, §20.6)."""

import html
from typing import Any

import msgspec

from warmline.emulators.webex.settings import OutboundShape, SimSettings
from warmline.emulators.webex.state import File, Message, Task, World

RESOURCE_VERSIONS = {"task": "1.0.0", "task-message": "1.0.0", "capture": "1.0.0", "agent": "2.0.0"}

_ACTIONS = {
    "task": (
        "new", "parked", "connect", "connected", "on-hold", "hold-done", "consulting", "consult-done",
        "conferencing", "conference-done", "conference-transferred", "origin-updated", "ended", "failed",
    ),
    "task-message": ("appended", "append-failed"),
    "capture": ("available",),
}  # fmt: skip
_AGENT_ACTIONS = {
    "v1": ("login", "logout", "state_change"),
    "v2": ("login", "logout", "channel_state_change", "channelType_state_change"),
}

APPENDED = "Appended Message to chat successfully."
CREATED = "Chat Created Successfully"
DROPPED = " PCI or malware scan failed for some attachments. Affected attachments were dropped."

_WRAPPERS: dict[OutboundShape, str] = {
    "payload": "payload",
    "content": "content",
    "body": "body",
    "eventData": "eventData",
    "messageData": "messageData",
}


def event_types(family: str) -> list[dict[str, str]]:
    """Return the catalogue of §12.1 for API version `v1` or `v2`."""
    actions = {**_ACTIONS, "agent": _AGENT_ACTIONS[family]}
    return [
        {"name": f"{resource}:{action}", "resource": resource, "action": action}
        for resource, names in actions.items()
        for action in names
    ]


def resource_of(event_type: str) -> str:
    """Return the resource of an event type: `task` for `task:new`."""
    return event_type.partition(":")[0]


def _parties(task: Task) -> dict[str, Any]:
    return {"origin": task.origin, "destination": task.destination}


def lifecycle_data(world: World, task: Task, at_ms: int, extra: dict[str, Any]) -> dict[str, Any]:
    """Return the `data` of a `task:*` event that happened at `at_ms`; `extra` are the fields of this event."""
    if world.settings.bare_lifecycle:
        return {"taskId": task.id, "createdTime": at_ms}
    data: dict[str, Any] = {
        "taskId": task.id,
        "createdTime": at_ms,
        "channelType": "customMessaging",
        "channel": task.channel,
        **_parties(task),
        "direction": "INBOUND",
        "outboundType": None,
        "workflowManager": None,
        "mediaMgr": "digitalmm",
    }
    queue = world.queue(task.queue)
    if queue is not None:
        data["queueId"] = queue.queue_id
    if task.agent_id is not None:
        data["agentId"] = sender_id(world, task.agent_id)
    return {**data, **extra}


def failed_data(task: Task, at_ms: int, reason: str, message: str) -> dict[str, Any]:
    """Return the `data` of `task:failed`."""
    return {
        "taskId": task.id,
        **_parties(task),
        "direction": "INBOUND",
        "channel": task.channel,
        "channelType": "customMessaging",
        "mediaMgr": "digitalmm",
        "reason": reason,
        "errorMessage": message,
        "failureType": "failed",
        "createdTime": at_ms,
    }


def inbound_data(
    task: Task | None, task_id: str, at_ms: int, details: str | None, params: Any, reason: str | None, error: str | None
) -> dict[str, Any]:  # fmt: skip
    """Return the `data` of an INBOUND `task-message:appended`, or of `append-failed` when `reason` is given."""
    return {
        "taskId": task_id,
        "direction": "INBOUND",
        "messageDirection": "INBOUND",
        "channelType": "customMessaging",
        "channel": task.channel if task else None,
        "origin": task.origin if task else None,
        "destination": task.destination if task else None,
        "createdTime": at_ms,
        "eventDetails": details,
        "channelParams": params,
        "reason": reason,
        "errorMessage": error,
    }


def sender_id(world: World, agent_id: str) -> str:
    """Return the UUID by which webhooks name an agent."""
    spec = world.agents[agent_id].spec
    return spec.ci_user_id if world.settings.sender_id_kind == "ci" else spec.user_id


def rich_text(text: str) -> str:
    """Return plain text as the agent desktop's editor sends it: escaped, in paragraphs, line breaks as `<br>`."""
    escaped = html.escape(text, quote=True).replace("  ", "&nbsp; ")
    return "<p>" + escaped.replace("\n", "<br>") + "</p>"


def outbound_data(
    world: World, task: Task, message: Message, at_ms: int, agent_id: str | None, links: list[tuple[File, str]]
) -> dict[str, Any]:
    """Return the `data` of an OUTBOUND `task-message:appended`, in the shape that the settings ask for.

    Args:
        links: the message's files with the URLs under which they can be fetched.
    """
    settings = world.settings
    is_agent = agent_id is not None
    skew = 0 if is_agent else settings.flow_timestamp_skew_ms
    content: dict[str, Any] = {
        "aliasId": message.alias_id,
        "text": rich_text(message.text) if is_agent and message.text and settings.html_agent_text else message.text,
        "timestamp": at_ms + skew,
    }  # fmt: skip
    if links:
        content["attachments"] = [
            {"url": url, "mimeType": file.mime_type, "fileName": file.name} for file, url in links
        ]
    params = {"type": "text-with-attachments" if links else "text", "message": content}
    data: dict[str, Any] = {
        "taskId": task.id,
        **_parties(task),
        "messageDirection": "OUTBOUND",
        "senderType": "agent" if is_agent else "system",
        "channelType": "customMessaging",
        "channel": task.channel,
        "createdTime": at_ms + skew,
    }
    if agent_id is not None:
        data["senderId"] = sender_id(world, agent_id)
    return _shaped(settings, data, params, content)


def _shaped(
    settings: SimSettings, data: dict[str, Any], params: dict[str, Any], content: dict[str, Any]
) -> dict[str, Any]:
    if settings.lower_case_direction:
        data["messageDirection"] = data["messageDirection"].lower()
    if settings.omit_message_direction:
        del data["messageDirection"]
    if settings.string_message:
        params = {**params, "message": _text(content)}
    whole: Any = _text(params) if settings.string_channel_params else params
    shape = settings.outbound_shape
    if shape == "standard":
        data["channelParams"] = whole
    elif shape == "flatChannelParams":
        data["channelParams"] = {"type": params["type"], **content}
    elif shape == "dataMessage":
        data["message"] = content
    elif shape == "dataFlat":
        data.update(content)
    elif shape == "nested":
        data["eventDetails"] = {"delivery": {"unrelated": {"text": "not the message"}, "item": content}}
    else:
        data[_WRAPPERS[shape]] = {"channelParams": whole}
    return data


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
