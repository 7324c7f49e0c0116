"""The things that happen to tasks, told to observers and webhooks in one step each."""

from typing import Any

from warmline.emulators.webex import events
from warmline.emulators.webex.envelope import Audience, Event
from warmline.emulators.webex.state import File, Message, Status, Task, World
from warmline.emulators.webex.webhooks import Webhooks

_NOISE = (
    ("telephony", "+15550100", "+15550199"),
    ("email", "someone@customers.example", "letters@lumen.example"),
)


class Publisher:
    """Turns what happened into events."""

    def __init__(self, world: World, webhooks: Webhooks) -> None:
        self._world = world
        self._webhooks = webhooks

    def lifecycle(self, task: Task, action: str, **extra: Any) -> None:
        """Publish `task:{action}` and note the task's new state for Search.

        Args:
            extra: fields that this event carries besides the common ones.
        """
        at_ms = task.stamp(self._world.clock.now_ms())
        data = events.lifecycle_data(self._world, task, at_ms, extra)
        self._publish_lifecycle(task, f"task:{action}", at_ms, data)

    def failed(self, task: Task, reason: str, message: str) -> None:
        """Publish `task:failed`."""
        at_ms = task.stamp(self._world.clock.now_ms())
        self._publish_lifecycle(task, "task:failed", at_ms, events.failed_data(task, at_ms, reason, message))

    def _publish_lifecycle(self, task: Task, event_type: str, at_ms: int, data: dict[str, Any]) -> None:
        task.history.append((self._world.clock.now_ms(), search_row(self._world, task)))
        same_id = self._world.settings.lifecycle_id_is_task_id
        event_id = task.id if same_id else self._world.ids.uuid("event")
        self._webhooks.publish(Event(event_type, task.id, at_ms, data, "subscriptions", event_id, task.address))
        self._world.task_changed(task)

    def appended(self, task: Task, message: Message, event_id: str, details: str, params: dict[str, Any]) -> None:
        """Publish the acknowledgement of a customer's message that was added to the transcript."""
        data = events.inbound_data(task, task.id, message.at, details, params, None, None)
        self._webhooks.publish(
            Event("task-message:appended", task.id, message.at, data, "subscriptions", event_id, task.address)
        )
        self._world.task_changed(task, message)

    def append_failed(self, task_id: str, event_id: str, reason: str, error: str) -> None:
        """Publish that a customer's message was not added; the task may be unknown."""
        task = self._world.tasks.get(task_id)
        now = self._world.clock.now_ms()
        at_ms = task.stamp(now) if task else now
        data = events.inbound_data(task, task_id, at_ms, None, None, reason, error)
        address = task.address if task else ""
        self._webhooks.publish(
            Event("task-message:append-failed", task_id, at_ms, data, "subscriptions", event_id, address)
        )

    def outbound(self, task: Task, message: Message, agent_id: str | None, links: list[tuple[File, str]]) -> None:
        """Publish a message to the customer; `agent_id` None means that the flow sent it."""
        data = events.outbound_data(self._world, task, message, message.at, agent_id, links)
        audience: Audience = "both" if self._world.settings.outbound_to_subscriptions else "asset"
        event_id = self._world.ids.uuid("event")
        self._webhooks.publish(
            Event("task-message:appended", task.id, message.at, data, audience, event_id, task.address)
        )
        self._world.task_changed(task, message)

    def noise(self) -> None:
        """Publish the short lives of a telephone call and an email: subscriptions hear of every task of the
        organization.
        """
        now = self._world.clock.now_ms()
        for channel_type, origin, destination in _NOISE:
            task_id = self._world.ids.uuid("noise")
            for number, action in enumerate(("new", "connected", "ended")):
                data = {
                    "taskId": task_id,
                    "createdTime": now + number,
                    "channelType": channel_type,
                    "origin": origin,
                    "destination": destination,
                    "direction": "INBOUND",
                    "workflowManager": None,
                }
                self._webhooks.publish(Event(f"task:{action}", task_id, now + number, data, "subscriptions", task_id))

    def transcript_ready(self, task: Task) -> None:
        """Publish `capture:available`."""
        at_ms = task.stamp(self._world.clock.now_ms())
        data = {"taskId": task.id, "createdTime": at_ms, "channelType": "customMessaging"}
        event_id = self._world.ids.uuid("event")
        self._webhooks.publish(
            Event("capture:available", task.id, at_ms, data, "subscriptions", event_id, task.address)
        )


def search_row(world: World, task: Task) -> dict[str, Any]:
    """Return the task as Search shows it (§18.1)."""
    agent = world.agents.get(task.agent_id) if task.agent_id else None
    queue = world.queue(task.queue)
    return {
        "id": task.id,
        "status": str(task.status),
        "isActive": task.status not in (Status.ENDED, Status.FAILED),
        "channelType": "customMessaging",
        "createdTime": task.created_ms,
        "endedTime": task.ended_ms,
        "origin": task.origin.get("id"),
        "destination": task.address,
        "direction": "inbound",
        "terminationType": "normal" if task.status is Status.ENDED else None,
        "terminatingEnd": task.terminating_party,
        "terminationReason": task.reason,
        "lastQueue": {"id": queue.queue_id, "name": queue.name} if queue else None,
        "lastAgent": {
            "id": agent.spec.user_id,
            "name": f"{agent.spec.first_name} {agent.spec.last_name}",
        }
        if agent
        else None,
    }
