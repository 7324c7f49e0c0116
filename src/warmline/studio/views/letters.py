"""Dead deliveries for people: what it was, why it failed, what the customer knows of it, what can be done."""

from dataclasses import dataclass

from warmline.conversation.acts import Hindrance
from warmline.domain.effects import ConnectionEffect
from warmline.ports import OutboxRow

_CAUSES = frozenset(
    {
        "rejected",
        "conversation_gone",
        "not_connected",
        "throttled",
        "unavailable",
        "not_authorized",
        "forbidden",
        "auth_failed",
        "internal_error",
        "too_late",
        "no_handler",
    }
)
_FAMILIES = ("carrier_", "policy_")
_UNSURE = ("timeout", "connection_lost", "no_answer", "append_uncertain", "interrupted", "sending")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One dead delivery. `cause` is a key below `cause.`, `code` the bare error; `hindrance` "": it can be retried."""

    row: OutboxRow
    kind: str
    connection_id: str
    cause: str
    code: str
    hindrance: Hindrance


def letter(row: OutboxRow, hindrance: Hindrance) -> Letter:
    """Tell a dead delivery."""
    effect = row.effect
    return Letter(
        row=row,
        kind=type(effect).__name__,
        connection_id=effect.connection_id if isinstance(effect, ConnectionEffect) else "",
        cause=cause(row.last_error),
        code=row.last_error,
        hindrance=hindrance,
    )


def cause(code: str) -> str:
    """The key of the words for an error code; "other" for one without words of its own."""
    if code in _CAUSES:
        return code
    family = next((name for name in _FAMILIES if code.startswith(name)), "")
    if family:
        return family.rstrip("_")
    return "unsure" if any(part in code for part in _UNSURE) else "other"
