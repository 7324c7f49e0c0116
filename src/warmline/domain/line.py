"""A line: a customer's number and the number of ours with which it exchanges texts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Where a session's texts go, and its rules as they were when the session began.

    `number` and `customer` are E.164 numbers; `mms` says whether `number` can send files. `sentences` holds the
    project's own wording of `texting.SENTENCES`. A customer who has been silent for `silence_ms` is asked, and after
    `grace_ms` more the session ends (messaging-protocol.md §17.4).
    """

    connection_id: str
    number: str
    customer: str
    mms: bool = False
    sentences: Mapping[str, str] = field(default_factory=dict)
    silence_ms: int = 24 * HOUR_MS
    grace_ms: int = 10 * MINUTE_MS


def line_key(connection_id: str, number: str, customer: str) -> str:
    """A name for the line that shows neither number."""
    return hashlib.sha256(f"{connection_id}\n{number}\n{customer}".encode()).hexdigest()[:32]
