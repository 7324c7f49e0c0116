"""`conv.state` and the reduction to plain data, as function workers do it."""

import datetime
import zoneinfo
from pathlib import Path

import pytest

from warmline.agent.turn.worker.plain import plain
from warmline.agent.turn.worker.state import (
    State,
    StateNotKept,
    changed_keys,
    dump_state,
    load_state,
    state_texts,
)


def test_C17_missing_values() -> None:
    state = State(known=1)
    assert state.missing is None
    assert hasattr(state, "missing")
    assert getattr(state, "missing", 5) is None
    assert state.get("missing", 5) == 5
    assert "missing" not in state
    with pytest.raises(KeyError):
        state["missing"]
    del state.known
    assert "known" not in state
    state["other"] = 2
    del state["other"]
    assert state == {}


def test_C18_rich_values_survive() -> None:
    zone = zoneinfo.ZoneInfo("Europe/London")
    values = {
        "when": datetime.datetime(2026, 1, 2, tzinfo=zone),
        "zone": zone,
        "set": {1, 2},
        "path": Path("a/b"),
        "nested": {"list": [(1, "x")]},
    }
    loaded, lost = load_state(dump_state(values, 100))
    assert loaded == values
    assert lost == {}


def test_a_value_that_cannot_be_pickled_is_named() -> None:
    with pytest.raises(StateNotKept, match=r"conv\.state\['bad'\]"):
        dump_state({"good": 1, "bad": (x for x in ())}, 100)


def test_a_state_that_is_too_large_is_refused() -> None:
    with pytest.raises(StateNotKept, match="larger than 1 kB at key 'b'"):
        dump_state({"a": 1, "b": "x" * 2000}, 1)


def test_a_key_that_cannot_be_read_is_left_out_and_named() -> None:
    state, lost = load_state({**dump_state({"good": 1}, 10), "bad": b"\x80\x05cno.such.module\nThing\n."})
    assert state == {"good": 1}
    assert list(lost) == ["bad"]
    assert "ModuleNotFoundError" in lost["bad"]


def test_changes_are_told_by_name() -> None:
    before = dump_state({"same": 1, "old": 1, "changed": 1}, 10)
    after = dump_state({"same": 1, "changed": 2, "new": 1}, 10)
    assert changed_keys(before, after) == {"added": ["new"], "updated": ["changed"], "removed": ["old"]}


def test_values_as_text() -> None:
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError

    assert state_texts({"none": None, "number": 2.5, "rude": Rude()}) == {
        "none": "",
        "number": "2.5",
        "rude": "<RuntimeError>",
    }


def test_plain_data() -> None:
    circle: list[object] = []
    circle.append(circle)
    assert plain({1: (2, {3}), "x": 2**70}) == {"1": [2, [3]], "x": str(2**70)}
    assert isinstance(plain(circle), list)
    assert plain(datetime.date(2026, 1, 2)) == "2026-01-02"
