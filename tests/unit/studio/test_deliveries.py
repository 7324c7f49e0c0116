"""What is known of deliveries that are over: from the log, from what was late, and from what the carrier told."""

from warmline.domain import events as e
from warmline.ports import LateDelivery, SentText
from warmline.studio.views.deliveries import Delivery, Fate, deliveries


def log_of(*events: tuple[int, e.Event]) -> list[e.Recorded]:
    return [e.Recorded(sequence=n, id=str(n), at=at, event=event) for n, (at, event) in enumerate(events, 1)]


def late(row_id: int, kind: str, message_id: str = "", *, created_at: int) -> LateDelivery:
    return LateDelivery(
        row_id=row_id,
        kind=kind,
        message_id=message_id,
        attempts=2,
        error="unavailable",
        created_at=created_at,
        delivered_at=created_at + 500,
    )


HANDOFF = e.HandoffTriggered(handoff_id="h", connection_id="c", provider="webex", queue_timeout_s=60)
LOG = log_of(
    (10, e.UserMessage(message_id="to the virtual agent", text="a")),
    (20, HANDOFF),
    (30, e.UserMessage(message_id="first", text="b")),
    (40, e.HandoffAccepted()),
    (50, e.MessageReceived(message_id="first")),
    (60, e.UserMessage(message_id="late", text="c")),
    (70, e.UserMessage(message_id="lost", text="d")),
    (71, e.UserMessage(message_id="again", text="e")),
    (72, e.UserMessage(message_id="waits", text="f")),
    (80, e.MessageReceived(message_id="late")),
    (90, e.SystemNotice(level=e.NoticeLevel.ERROR, text="t", undelivered="lost")),
    (91, e.SystemNotice(level=e.NoticeLevel.ERROR, text="t", undelivered="again")),
    (92, e.SystemNotice(level=e.NoticeLevel.INFO, text="t", retried="again")),
    (95, e.LiveAgentLeft()),
    (99, e.UserMessage(message_id="afterwards", text="g")),
)


def test_each_delivery_tells_its_fate_its_tries_and_its_last_error() -> None:
    troubled = [late(7, "OpenConversation", created_at=20), late(8, "ForwardMessage", "late", created_at=60)]
    found = deliveries(LOG, troubled, (), {"waits"})
    assert found == [
        Delivery(kind="OpenConversation", fate=Fate.ARRIVED, tries=3, created_at=20, arrived_at=40, code="unavailable"),
        Delivery(kind="ForwardMessage", fate=Fate.ARRIVED, tries=1, created_at=30, arrived_at=50),
        Delivery(kind="ForwardMessage", fate=Fate.ARRIVED, tries=3, created_at=60, arrived_at=80, code="unavailable"),
        Delivery(kind="ForwardMessage", fate=Fate.FAILED, tries=1, created_at=70),
        Delivery(kind="ForwardMessage", fate=Fate.UNCONFIRMED, tries=1, created_at=71),
    ]
    assert [one.cause for one in found] == ["unavailable", "", "unavailable", "", ""]


def test_texts_are_as_the_carrier_tells_and_other_effects_only_when_they_were_late() -> None:
    texts = [
        SentText(id=f"{n}", connection_id="c", session_id="s", sid="x", status=status, rank=3, at=5, error=error)
        for n, status, error in ((1, "delivered", ""), (2, "sent", ""), (3, "undelivered", "carrier_30005"))
    ]
    found = deliveries(
        (), [late(2, "SendText", created_at=1), late(9, "CloseConversation", created_at=8)], texts, set()
    )
    assert [(one.kind, one.fate, one.tries, one.cause) for one in found] == [
        ("SendText", Fate.UNCONFIRMED, 3, "unavailable"),
        ("SendText", Fate.ARRIVED, 1, ""),
        ("SendText", Fate.FAILED, 1, "carrier"),
        ("CloseConversation", Fate.ARRIVED, 3, "unavailable"),
    ]
