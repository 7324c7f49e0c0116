"""What a conversation had to deliver and what became of it, as far as it is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from warmline.domain import events as e
from warmline.ports import LateDelivery, SentText
from warmline.studio.views.letters import cause


class Fate(StrEnum):
    """What is known of a delivery that nobody waits for any more."""

    ARRIVED = "arrived"
    UNCONFIRMED = "unconfirmed"
    """It went out, or its handoff ended first; nobody confirmed it."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery. `tries` counts the attempts, the last one included; times are epoch milliseconds, 0: not known.

    `code` is the error of the last attempt that failed, `cause` a key below `cause.`; both "" when none did.
    """

    kind: str
    fate: Fate
    tries: int
    created_at: int
    arrived_at: int = 0
    code: str = ""

    @property
    def cause(self) -> str:
        """The key of the words for the error."""
        return cause(self.code) if self.code else ""


def deliveries(
    log: Sequence[e.Recorded], late: Sequence[LateDelivery], texts: Sequence[SentText], open_messages: set[str]
) -> list[Delivery]:
    """Give those that are over, oldest first.

    Args:
        log: the whole log of the session: what arrived at the first try leaves its trace there and nowhere else.
        late: what arrived after failed attempts.
        texts: the session's text messages.
        open_messages: ids of customers' messages that wait or were given up; these are shown elsewhere.
    """
    found = [*_openings(log, late), *_messages(log, late, open_messages), *_texts(texts, late)]
    told = {"OpenConversation", "ForwardMessage", "SendText"}
    found += [_late(one) for one in late if one.kind not in told]
    return sorted(found, key=lambda one: one.created_at)


def _openings(log: Sequence[e.Recorded], late: Sequence[LateDelivery]) -> Iterator[Delivery]:
    asked_at = 0
    for recorded in log:
        if isinstance(recorded.event, e.HandoffTriggered):
            asked_at = recorded.at
        elif isinstance(recorded.event, e.HandoffAccepted) and asked_at:
            known = next((one for one in late if (one.kind, one.created_at) == ("OpenConversation", asked_at)), None)
            yield _delivery("OpenConversation", Fate.ARRIVED, asked_at, recorded.at, known)
            asked_at = 0


def _messages(log: Sequence[e.Recorded], late: Sequence[LateDelivery], open_messages: set[str]) -> Iterator[Delivery]:
    written: dict[str, int] = {}
    fates: dict[str, tuple[Fate, int]] = {}
    handed_over = False
    for recorded in log:
        match recorded.event:
            case e.HandoffTriggered():
                handed_over = True
            case e.HandoffFailed() | e.HandoffTimedOut() | e.LiveAgentLeft():
                handed_over = False
            case e.UserMessage(message_id=message_id) if handed_over:
                written[message_id] = recorded.at
            case e.MessageReceived(message_id=message_id):
                fates[message_id] = (Fate.ARRIVED, recorded.at)
            case e.SystemNotice(undelivered=message_id) if message_id:
                fates[message_id] = (Fate.FAILED, 0)
            case e.SystemNotice(retried=message_id) if message_id:
                fates.pop(message_id, None)
            case _:
                pass
    for message_id, at in written.items():
        if message_id not in open_messages:
            fate, arrived_at = fates.get(message_id, (Fate.UNCONFIRMED, 0))
            known = next((one for one in late if one.message_id == message_id), None)
            yield _delivery("ForwardMessage", fate, at, arrived_at, known)


def _texts(texts: Sequence[SentText], late: Sequence[LateDelivery]) -> Iterator[Delivery]:
    for text in texts:
        fate = Fate.FAILED if text.error else Fate.ARRIVED if text.status == "delivered" else Fate.UNCONFIRMED
        known = next((one for one in late if str(one.row_id) == text.id), None)
        tries = known.attempts + 1 if known else 1
        code = text.error or (known.error if known else "")
        created_at = known.created_at if known else text.at
        yield Delivery(
            kind="SendText",
            fate=fate,
            tries=tries,
            created_at=created_at,
            arrived_at=text.at if fate is Fate.ARRIVED else 0,
            code=code,
        )


def _late(one: LateDelivery) -> Delivery:
    return _delivery(one.kind, Fate.ARRIVED, one.created_at, one.delivered_at, one)


def _delivery(kind: str, fate: Fate, created_at: int, arrived_at: int, late: LateDelivery | None) -> Delivery:
    return Delivery(
        kind=kind,
        fate=fate,
        tries=late.attempts + 1 if late else 1,
        created_at=created_at,
        arrived_at=arrived_at,
        code=late.error if late else "",
    )
