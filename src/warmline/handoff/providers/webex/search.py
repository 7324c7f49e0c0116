"""Search: the question about tasks, and its answer (webex-byoc.md §18.1). Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from warmline.handoff.contract import RemoteState, RemoteStatus
from warmline.handoff.providers.webex import wire

IDS_PER_QUERY = 50
OURS = "wl:"
"""What every origin of ours begins with (§7.4)."""
FIRST_PAGE = "NA"
PAGES = 400
"""Webex tells of 100,000 rows at most, 250 a page."""

_FIELDS = (
    "tasks { id status isActive createdTime endedTime origin destination terminationReason lastAgent { id name } }"
)
_BACK_MS = 30 * 86_400_000
"""No chat is older than that; the span may have 365 days at most."""
_AHEAD_MS = 300_000
"""Our clock may be slow; Webex cuts what lies in the future."""

_STATUS = {"parked": RemoteStatus.QUEUED, "connected": RemoteStatus.LIVE, "ended": RemoteStatus.ENDED}


def query(task_ids: Sequence[str], now: int) -> bytes:
    """The body of `POST /search` that asks for these tasks; `now` in epoch milliseconds."""
    either = ", ".join(f"{{id: {{equals: {json.dumps(task_id)}}}}}" for task_id in task_ids)
    text = (
        f"{{ taskDetails(from: {now - _BACK_MS}, to: {now + _AHEAD_MS}, filter: {{or: [{either}]}}) {{ "
        f"{_FIELDS} "
        "pageInfo { hasNextPage endCursor } } }"
    )
    return wire.encode({"query": text, "variables": {}})


def listing(address: str, since: int, until: int, cursor: str) -> bytes:
    """The body that asks for a page of the tasks which this installation's customers had at `address`."""
    text = (
        f"{{ taskDetails(from: {since}, to: {until}, pagination: {{cursor: {json.dumps(cursor)}}}, "
        f"filter: {{and: [{{origin: {{contains: {json.dumps(OURS)}}}}}, "
        f"{{destination: {{equals: {json.dumps(address)}}}}}]}}) {{ "
        f"{_FIELDS} pageInfo {{ hasNextPage endCursor }} }} }}"
    )
    return wire.encode({"query": text, "variables": {}})


def next_page(body: bytes) -> str:
    """The cursor of the next page, "" when there is none."""
    data = wire.decoded(body).get("data")
    details = data.get("taskDetails") if isinstance(data, dict) else None
    info = details.get("pageInfo") if isinstance(details, dict) else None
    more = isinstance(info, dict) and info.get("hasNextPage") is True
    return str(info.get("endCursor") or "") if more and isinstance(info, dict) else ""


def states(body: bytes) -> dict[str, RemoteState]:
    """The tasks in an answer, by id; what cannot be read is left out."""
    data = wire.decoded(body).get("data")
    details = data.get("taskDetails") if isinstance(data, dict) else None
    tasks = details.get("tasks") if isinstance(details, dict) else None
    read = [_state(task) for task in tasks if isinstance(task, dict)] if isinstance(tasks, list) else []
    return {state.remote_id: state for state in read if state is not None}


def _state(task: Mapping[str, Any]) -> RemoteState | None:
    task_id, active = task.get("id"), task.get("isActive")
    if not isinstance(task_id, str) or not isinstance(active, bool):
        return None
    agent = task.get("lastAgent")
    status = _STATUS.get(str(task.get("status")).lower(), RemoteStatus.OPEN) if active else RemoteStatus.ENDED
    return RemoteState(
        remote_id=task_id,
        status=status,
        ended_at=wire.millis(task.get("endedTime")) if status is RemoteStatus.ENDED else 0,
        reason=str(task.get("terminationReason") or ""),
        agent_id=str(agent.get("id") or "") if isinstance(agent, dict) else "",
        customer=str(task.get("origin") or ""),
        address=str(task.get("destination") or ""),
    )
