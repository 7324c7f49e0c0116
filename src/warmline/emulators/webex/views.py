"""Tasks and agents as the control plane and the agent desktop show them."""

from typing import Any

from warmline.emulators.webex.state import Agent, Message, Task, World


def message_view(world: World, message: Message) -> dict[str, Any]:
    """Return one transcript entry; `at` is epoch ms, attachments carry a URL to open them."""
    return {
        "direction": message.direction,
        "senderType": message.sender_type,
        "aliasId": message.alias_id,
        "text": message.text,
        "attachments": [
            {
                "fileName": file.name,
                "mimeType": file.mime_type,
                "size": len(file.content),
                "url": world.file_url(file),
            }
            for file in message.files
        ],
        "at": message.at,
    }


def task_view(world: World, task: Task) -> dict[str, Any]:
    """Return the whole truth about a task, transcript included."""
    return {
        "id": task.id,
        "status": str(task.status),
        "origin": {"id": task.origin.get("id"), "name": task.origin.get("name")},
        "destination": task.address,
        "channel": task.channel,
        "queue": task.queue,
        "agentId": task.agent_id,
        "consultedAgentId": task.consulted_id,
        "inConference": task.in_conference,
        "reason": task.reason,
        "terminatingParty": task.terminating_party,
        "wrapUpCode": task.wrap_up_code,
        "createdTime": task.created_ms,
        "globalVariables": task.global_variables,
        "transcript": [message_view(world, message) for message in task.transcript],
    }


def agent_view(agent: Agent) -> dict[str, Any]:
    """Return an agent and what they are doing."""
    return {
        "id": agent.spec.id,
        "name": f"{agent.spec.first_name} {agent.spec.last_name}",
        "queues": list(agent.spec.queues),
        "capacity": agent.spec.capacity,
        "state": str(agent.state),
        "stateSince": agent.since_ms,
        "userId": agent.spec.user_id,
        "ciUserId": agent.spec.ci_user_id,
        "tasks": {task_id: str(slot) for task_id, slot in agent.slots.items()},
    }
