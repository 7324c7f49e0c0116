"""Copies of frozen values with some fields other."""

import dataclasses

import pytest

from warmline.domain.catalog import Entry
from warmline.domain.copies import replace
from warmline.domain.session import PendingMessage, Session
from warmline.ports import InboxRow

WAITING = PendingMessage(message_id="m", sequence=3, text="hello", at=5)
ROW = InboxRow(id=0, connection_id="c", endpoint="asset", key="k", remote_id="r", received_at=1, event_at=2, body=b"x")


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (Session(id="s", channel="webchat.polyai", unanswered=(WAITING,)), {"last_sequence": 7, "joined": True}),
        (Entry(session_id="s", project_id="p"), {"messages": 1, "last_text": "hello"}),
        (ROW, {"id": 9}),
        (WAITING, {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_is_what_the_standard_library_makes_and_leaves_the_first_as_it_was(value: object, changes: dict) -> None:
    before = repr(value)
    copy = replace(value, **changes)
    assert copy == dataclasses.replace(value, **changes)
    assert type(copy) is type(value)
    assert repr(value) == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(copy, next(iter(copy.__slots__)), "other")


def test_a_field_that_is_not_there_is_refused_by_its_name() -> None:
    with pytest.raises(TypeError, match="Session has no field 'colour'"):
        replace(Session(id="s"), colour="red")


def test_a_class_that_checks_its_instances_is_refused() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Range:
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low above high")

    with pytest.raises(TypeError, match="Range cannot be copied slot by slot"):
        replace(Range(1, 2), high=0)
