"""How often topics are used. Counted in the transaction that records the turn, so no crash loses or doubles one."""

from dataclasses import dataclass
from typing import Protocol

DAY_MS = 86_400_000
KEPT_DAYS = 90
"""Days after which a count is forgotten."""
_NAME_CHARS = 200


def counted_name(topic: str) -> str:
    """Give the name under which a topic is counted: its own, as far as any database can take it as a key."""
    return topic.replace("\0", "")[:_NAME_CHARS]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicUses:
    """How often a topic was matched in the last 7 and 30 days (UTC), and when last (epoch milliseconds)."""

    week: int
    month: int
    last_at: int


class UseStore(Protocol):
    """Knows how often topics were matched (`TurnRecord.topic` counts them)."""

    async def topic_uses(self, project_id: str, now: int) -> dict[str, TopicUses]:
        """The uses of a project's topics by `counted_name`, as of `now` (epoch milliseconds).

        A topic that was not matched in the last `KEPT_DAYS` days is not among them.
        """
        ...

    async def tidy_uses(self, now: int) -> int:
        """Forget what was counted more than `KEPT_DAYS` days ago, and make what is kept small.

        May be called on every node, at any time. Returns how many counts were forgotten.
        """
        ...
