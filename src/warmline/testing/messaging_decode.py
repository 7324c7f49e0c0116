"""Reads server frames as the public SDKs do, and notes everything a server must never send them.

The rules are those of messaging-protocol.md §4.3 and the checks W12 and W14 to W16 there.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_FRAME_BYTES = 1_048_576
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z")
_PREFIX = "EVENT_TYPE_"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireEvent:
    """A server event as a client sees it; `type` lacks the prefix, `raw` is what came."""

    type: str
    id: str
    sequence: int | None
    timestamp: str
    payload: Mapping[str, Any]
    custom: Mapping[str, str] | None
    raw: Mapping[str, Any]


def decode(text: str, violations: list[str]) -> tuple[bool, list[WireEvent]]:
    """Whether the frame is a batch, and the events an SDK gets from it, in the order in which it handles them.

    `violations` gets a line for everything that an SDK would drop or misread.
    """
    if len(text.encode()) >= MAX_FRAME_BYTES:
        violations.append("frame of 1 MiB or more")
    try:
        raw = json.loads(text)
    except ValueError:
        violations.append("frame is not JSON")
        return False, []
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str) or not raw["type"]:
        violations.append("frame is not an object with a type")
        return False, []
    if raw["type"] != f"{_PREFIX}EVENT_BATCH":
        event = _event(raw, violations)
        return False, [event] if event else []
    return True, _batch(raw, violations)


def _batch(raw: Mapping[str, Any], violations: list[str]) -> list[WireEvent]:
    _check_envelope(raw, "EVENT_BATCH", violations)
    payload = raw.get("payload")
    nested = payload.get("events") if isinstance(payload, dict) else None
    if not isinstance(nested, list) or not all(isinstance(item, dict) for item in nested):
        violations.append("batch without a list of objects: dropped as a whole")
        return []
    events = []
    for item in nested:
        if item.get("type") == f"{_PREFIX}EVENT_BATCH":
            violations.append("batch in a batch")
            continue
        event = _event(item, violations)
        if event is None:
            continue
        if event.sequence is None:
            violations.append(f"{event.type} without sequence in a batch")
        events.append(event)
    sequences = [event.sequence for event in events if event.sequence is not None]
    if sequences != sorted(set(sequences)):
        violations.append("batch not in order of sequence")
    return sorted(events, key=lambda event: (event.sequence is None, event.sequence or 0))


def _event(raw: Mapping[str, Any], violations: list[str]) -> WireEvent | None:
    kind = raw.get("type")
    if not isinstance(kind, str) or not kind.startswith(_PREFIX):
        violations.append("event without a known type")
        return None
    name = kind.removeprefix(_PREFIX)
    complete = _check_envelope(raw, name, violations)
    if not complete and name != "HEARTBEAT":
        return None
    sequence = raw.get("sequence")
    payload = raw.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    for key in ("attachments", "response_suggestions", "chat_call_actions"):
        items = payload.get(key, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            violations.append(f"{name}: {key} is not a list of objects")
    return WireEvent(
        type=name,
        id=raw["id"] if isinstance(raw.get("id"), str) else "",
        sequence=sequence if isinstance(sequence, int) and not isinstance(sequence, bool) else None,
        timestamp=str(raw.get("timestamp", "")),
        payload=payload,
        custom=_custom(raw),
        raw=raw,
    )


def _check_envelope(raw: Mapping[str, Any], name: str, violations: list[str]) -> bool:
    found = []
    if not isinstance(raw.get("id"), str) or not raw["id"]:
        found.append(f"{name}: id is not a string")
    if not isinstance(raw.get("timestamp"), str) or not _TIMESTAMP.fullmatch(raw["timestamp"]):
        found.append(f"{name}: timestamp is not ISO 8601 UTC with 0 or 3 fraction digits")
    dropped = bool(found)
    if not isinstance(raw.get("payload"), dict):
        found.append(f"{name}: payload is not an object")
    sequence = raw.get("sequence", "missing")
    if sequence is not None and (isinstance(sequence, bool) or not isinstance(sequence, int)):
        found.append(f"{name}: sequence is neither an integer nor null")
    violations.extend(found)
    return not dropped


def _custom(raw: Mapping[str, Any]) -> Mapping[str, str] | None:
    """One value that is no string, and SDKs read none of them."""
    metadata = raw.get("metadata")
    custom = metadata.get("custom") if isinstance(metadata, dict) else None
    if not isinstance(custom, dict) or not all(isinstance(value, str) for value in custom.values()):
        return None
    return custom
