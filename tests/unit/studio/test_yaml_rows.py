"""Changing rows of YAML tables: what is not changed stays byte for byte."""

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from support.installation import ROOT
from warmline.domain.errors import WarmlineError
from warmline.studio.files.yaml_rows import append, put, remove, yaml_of

ROWS = """\
# Routes of the north.
routes:
  # bills go first
  - destination: billing   # by name
    integration: 'webex_integration'
    options:
      global_variables: {queue: billing, level: 2}
      # far right
      brief: |
        A customer asks.

        Be quick.
# at the left edge

  - {destination: sales, connection: "Desk A"}

  - destination: default
    connection: ""
# the end
other: 012
"""


def changed(before: str, after: str) -> list[str]:
    diff = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line.rstrip("\n") for line in diff if line[0] in "+-"]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            lambda text: put(text, ("routes", 0, "integration"), "five9_integration"),
            ["-     integration: 'webex_integration'", "+     integration: 'five9_integration'"],
        ),
        (
            lambda text: put(text, ("routes", 0, "options", "global_variables", "queue"), "north, or so"),
            [
                "-       global_variables: {queue: billing, level: 2}",
                "+       global_variables: {queue: 'north, or so', level: 2}",
            ],
        ),
        (
            lambda text: put(text, ("routes", 0, "options", "brief"), "A customer asks.\n\nBe calm."),
            ["-         Be quick.", "+         Be calm."],
        ),
        (
            lambda text: put(text, ("routes", 1, "connection"), "Desk B"),
            ['-   - {destination: sales, connection: "Desk A"}', '+   - {destination: sales, connection: "Desk B"}'],
        ),
        (
            lambda text: put(text, ("routes", 1, "options", "queue_name"), "q"),
            [
                '-   - {destination: sales, connection: "Desk A"}',
                '+   - {destination: sales, connection: "Desk A", options: {queue_name: q}}',
            ],
        ),
        (lambda text: remove(text, ("routes", 2, "connection")), ['-     connection: ""']),
        (
            lambda text: put(text, ("routes", 2, "options"), {"a": {"b": 1}}),
            ["+     options:", "+       a:", "+         b: 1"],
        ),
        (
            lambda text: put(text, ("routes", 2, "options", "a", "b"), "1"),
            ["+     options:", "+       a:", "+         b: '1'"],
        ),
        (
            lambda text: append(text, ("routes",), {"destination": "new", "connection": "no"}),
            ["+ ", "+   - destination: new", "+     connection: 'no'"],
        ),
        (lambda text: remove(text, ("routes", 1)), ['-   - {destination: sales, connection: "Desk A"}']),
        (lambda text: append(text, ("more",), {"name": "x"}), ["+ more:", "+   - name: x"]),
    ],
)
def test_a_change_touches_its_own_lines_only(edit: Callable[[str], str], expected: list[str]) -> None:
    for newline in ("\n", "\r\n"):
        text = ROWS.replace("\n", newline)
        after = edit(text)
        assert [line.rstrip("\r") for line in changed(text, after)] == expected
        assert after.count("\r\n") == (after.count("\n") if newline == "\r\n" else 0)


def test_a_row_that_is_taken_out_leaves_no_trace() -> None:
    text = ROWS
    for _ in range(3):
        text = remove(text, ("routes", 0))
    assert yaml.safe_load(text) == {"routes": [], "other": 10}
    assert "# the end\nother: 012\n" in text
    assert yaml.safe_load(append(text, ("routes",), {"a": "b"})) == {"routes": [{"a": "b"}], "other": 10}


def test_a_file_is_begun() -> None:
    assert append("", ("rows",), {"name": "a", "text": "two\nlines"}) == (
        "rows:\n  - name: a\n    text: |-\n      two\n      lines\n"
    )
    assert put("# only this", ("numbers", "+49", "sentences", "ended"), "Bye.") == (
        "# only this\nnumbers:\n  '+49':\n    sentences:\n      ended: Bye.\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "rows: &all\n  - name: a\nother: *all\n",
        "rows:\n  - &first\n    name: a\n  - *first\n",
        "rows: a text\n",
        "- name: a\n",
        "rows: [{name: a},\n  # said before\n  {name: b}]\n",
        "rows:\n  - name: a\r\n  - name: b\n",
        "not: [yaml\n",
    ],
)
def test_unusual_files_are_refused(text: str) -> None:
    with pytest.raises(WarmlineError):
        put(text, ("rows", 0, "name"), "changed")


def test_a_part_is_shown_as_it_is_written() -> None:
    assert yaml_of(ROWS, ("routes", 0, "options")).startswith(
        "global_variables:\n  queue: billing\n  level: 2\nbrief: |"
    )
    assert yaml_of(ROWS, ("routes", 2, "options")) == ""
    node = yaml.compose("has_range: true\nmin: 012\n", yaml.SafeLoader)
    assert put("rows:\n- name: a\n", ("rows", 0, "config"), node) == (
        "rows:\n- name: a\n  config:\n    has_range: true\n    min: 012\n"
    )


TABLES = sorted(
    path for pattern in ("*/config/*.yaml", "*/chat/handoff_routes.yaml") for path in (ROOT / "examples").glob(pattern)
)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: f"{path.parent.parent.name}/{path.name}")
def test_every_row_of_the_examples_can_be_changed_alone(path: Path) -> None:
    text = path.read_text("utf-8")
    for key, rows in yaml.safe_load(text).items():
        for place, row in enumerate(rows):
            for name, value in row.items():
                if isinstance(value, str):
                    after = put(text, (key, place, name), f"{value} new: 'x'")
                    assert len([line for line in changed(text, after) if line[0] == "-"]) <= value.count("\n") + 1
                    assert put(after, (key, place, name), value).count("\n") == text.count("\n")
            without = remove(text, (key, place))
            assert all(line[0] == "-" or line.endswith("[]") for line in changed(text, without))


_TEXTS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc")) | st.sampled_from("\n: #-'\"{}[]&*|>,%@!"), max_size=30
)


@given(st.integers(0, 2), st.sampled_from(["destination", "connection", "fresh"]), _TEXTS)
def test_any_text_comes_back(place: int, key: str, value: str) -> None:
    value = value.strip()
    try:
        after = put(ROWS, ("routes", place, key), value)
    except WarmlineError:
        return
    found = yaml.safe_load(after)["routes"][place][key]
    assert str(found).strip() == value
    assert after.splitlines()[0] == ROWS.splitlines()[0]
