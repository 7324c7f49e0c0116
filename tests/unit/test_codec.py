"""What is written to disk can be read again, also by a later and by an earlier release."""

import json
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.domain.effects import EFFECT_TYPES, Effect, ForwardMessage, RunTurn
from warmline.domain.events import EVENT_TYPES, EndReason, Event, HandoffTriggered, OnFailure, SessionEnded, UserMessage
from warmline.domain.session import Handoff, PendingMessage, Session
from warmline.domain.turn import TurnKind
from warmline.store import codec

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_mappings = st.dictionaries(st.text(), _json, max_size=3)


def _any_of(kind: type) -> st.SearchStrategy[Any]:
    """Any instance; what the types leave open ("object") is something that JSON can say."""
    special: dict[str, st.SearchStrategy[Any]] = {
        "custom": st.none() | _mappings,
        "options": st.none() | _mappings,
        "unanswered": st.deferred(lambda: st.lists(_any_of(PendingMessage), max_size=3).map(tuple)),
        "handoff": st.deferred(lambda: st.none() | _any_of(Handoff)),
    }
    if kind is Handoff:
        special["undelivered"] = special["unanswered"]
    return st.builds(kind, **{field.name: special[field.name] for field in fields(kind) if field.name in special})


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_events_survive(kind: type[Event]) -> None:
    @given(_any_of(kind))
    def survives(event: Event) -> None:
        assert codec.decode_event(codec.tag(event), codec.encode(event)) == event

    survives()


@pytest.mark.parametrize("kind", EFFECT_TYPES, ids=lambda kind: kind.__name__)
def test_effects_survive(kind: type[Effect]) -> None:
    @given(_any_of(kind))
    def survives(effect: Effect) -> None:
        assert codec.decode_effect(codec.tag(effect), codec.encode(effect)) == effect

    survives()


@given(_any_of(Session))
def test_snapshots_survive(session: Session) -> None:
    assert codec.decode_session(codec.encode(session)) == session


@given(_mappings)
def test_mappings_survive(mapping: dict[str, object]) -> None:
    assert codec.decode_mapping(codec.encode(mapping)) == mapping


def test_any_kind_of_mapping_is_an_object() -> None:
    message = UserMessage(message_id="m", text="t", custom=MappingProxyType({"a": MappingProxyType({"b": 1})}))
    assert codec.decode_event("UserMessage", codec.encode(message)) == message


def test_names_on_disk_are_fixed() -> None:
    """Renaming a class makes every stored log unreadable: such a change needs a migration."""
    assert [kind.__name__ for kind in EVENT_TYPES] == [
        "SessionStarted",
        "JoinRequested",
        "VirtualAgentJoined",
        "UserMessage",
        "VirtualAgentMessage",
        "VirtualAgentChunk",
        "HandoffTriggered",
        "ClientHandoffRequired",
        "VirtualAgentLeft",
        "HandoffAccepted",
        "QueueStatusChanged",
        "LiveAgentJoined",
        "LiveAgentMessage",
        "MessageReceived",
        "LiveAgentLeft",
        "HandoffFailed",
        "HandoffTimedOut",
        "SystemNotice",
        "LanguageChanged",
        "UserEndRequested",
        "SessionEnded",
    ]
    assert [kind.__name__ for kind in EFFECT_TYPES] == [
        "RunTurn",
        "OpenConversation",
        "SendBriefRest",
        "ForwardMessage",
        "CloseConversation",
        "SendText",
    ]


def test_the_form_on_disk_is_plain_json() -> None:
    message = UserMessage(message_id="m", text="Grüße\n", custom={"a": [1]})
    plain = {"message_id": "m", "text": "Grüße\n", "custom": {"a": [1]}, "attachments": []}
    assert json.loads(codec.encode(message)) == plain
    assert json.loads(codec.encode(SessionEnded(reason=EndReason.USER_END))) == {"reason": "REASON_USER_END"}


def test_a_log_of_an_older_release_is_readable() -> None:
    old = '{"handoff_id": "h", "connection_id": "c", "provider": "webex", "queue_timeout_s": 9}'
    event = codec.decode_event("HandoffTriggered", old)
    assert event == HandoffTriggered(handoff_id="h", connection_id="c", provider="webex", queue_timeout_s=9)
    assert isinstance(event, HandoffTriggered)
    assert event.on_failure is OnFailure.RESUME
    assert codec.decode_session('{"id": "s", "last_sequence": 4}') == Session(id="s", last_sequence=4)


def test_a_log_of_a_newer_release_is_readable() -> None:
    newer = '{"message_id": "m", "text": "t", "mood": {"joy": 1}}'
    assert codec.decode_event("UserMessage", newer) == UserMessage(message_id="m", text="t")
    effect = '{"turn_id": "t", "kind": "message", "sequence": 1, "text": "x", "urgent": true}'
    assert codec.decode_effect("RunTurn", effect) == RunTurn(turn_id="t", kind=TurnKind.MESSAGE, sequence=1, text="x")
    assert codec.decode_session('{"id": "s", "mood": 1}') == Session(id="s")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Unheard", "{}"),
        ("RunTurn", "{}"),
        ("UserMessage", '{"message_id": "m"}'),
        ("UserMessage", '{"message_id": 1, "text": "t"}'),
        ("SessionEnded", '{"reason": "REASON_UNHEARD"}'),
        ("UserMessage", "not JSON"),
    ],
)
def test_what_is_no_event_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError):
        codec.decode_event(kind, text)


def test_what_is_no_effect_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown type 'UserMessage'"):
        codec.decode_effect("UserMessage", "{}")


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError):
        codec.encode(UserMessage(message_id="m", text="t", custom={"x": object()}))


def test_times_are_whole_numbers() -> None:
    message = ForwardMessage(handoff_id="h", connection_id="c", message_id="m", text="t", at=1_700_000_000_123)
    assert '"at":1700000000123' in codec.encode(message)
