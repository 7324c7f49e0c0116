"""Transcripts of ended tasks (§18.3)."""

from typing import Any

import msgspec

from warmline.emulators.webex.errors import ApiError
from warmline.emulators.webex.state import Status, Task, World


def answer(world: World, body: dict[str, Any]) -> dict[str, Any]:
    """Answer `POST /v1/captures/query`.

    Raises:
        ApiError: 400 for more than 10 or doubled task ids, or a `urlExpiration` outside 1 to 60 minutes;
            403 for another organization.
    """
    query = body.get("query")
    if not isinstance(query, dict):
        raise ApiError(400, "query: must be an object")
    if query.get("orgId") != world.settings.org_id:
        raise ApiError(403, "query.orgId: belongs to another organization")
    task_ids, expiration = query.get("taskIds"), query.get("urlExpiration", 30)
    if not isinstance(task_ids, list) or not 1 <= len(task_ids) <= 10 or len(set(map(str, task_ids))) < len(task_ids):
        raise ApiError(400, "query.taskIds: must be a list of 1 to 10 different ids")
    if not isinstance(expiration, int) or not 1 <= expiration <= 60:
        raise ApiError(400, "query.urlExpiration: must be 1 to 60 minutes")
    return {
        "meta": {"orgId": world.settings.org_id, "urlExpiration": expiration},
        "data": [_entry(world, str(task_id), expiration) for task_id in task_ids],
    }


def _entry(world: World, task_id: str, minutes: int) -> dict[str, Any]:
    task = world.tasks.get(task_id)
    ready = (
        task is not None
        and task.status is Status.ENDED
        and world.clock.now_ms() >= (task.ended_ms or 0) + world.settings.transcript_delay_ms
    )
    return {
        "taskId": task_id,
        "recording": [],
        "transcription": [_transcription(world, task, minutes)] if task and ready else [],
    }


def _transcription(world: World, task: Task, minutes: int) -> dict[str, Any]:
    if task.transcript_file is None:
        content = {
            "taskId": task.id,
            "messages": [
                {
                    "direction": message.direction,
                    "senderType": message.sender_type,
                    "messageId": message.alias_id,
                    "text": message.text,
                    "timestamp": message.at,
                    "attachments": [{"fileName": file.name} for file in message.files],
                }
                for message in task.transcript
            ],
        }
        task.transcript_file = world.store_file(
            f"{task.id}_Transcript.json", "application/json", msgspec.json.encode(content)
        )
    return {
        "Source": "chat",
        "Provider": "CISCO",
        "id": task.id,
        "fileName": task.transcript_file.name,
        "filePath": world.file_url(task.transcript_file, minutes * 60),
        "startTime": task.created_ms,
        "languageCode": "en-US",
        "createTime": task.ended_ms,
    }
