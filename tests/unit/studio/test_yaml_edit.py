"""Changing keys of YAML files: what is not changed stays byte for byte."""

import difflib

import pytest
import yaml

from support.installation import ROOT
from warmline.domain.errors import WarmlineError
from warmline.studio.files import edit_yaml
from warmline.studio.files.yaml_edit import Value

TOPIC = """\
# Kept by the billing team.
name: 'Dispute a bill'   # exact
enabled: yes # since May

actions: |
    Call {{fn:dispute}} immediately.

    Do not solve it.

# What we say
content: >-
  One moment,
  please.
example_queries:
- "I want to dispute my bill"   # seen often
# from March
- My bill is wrong
- 'It''s too high'
extra: {a: 1}
# the end
"""


def lines_changed(before: str, after: str) -> list[str]:
    diff = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line.rstrip("\n") for line in diff if line[0] in "+-"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"enabled": False}, ["- enabled: yes # since May", "+ enabled: false # since May"]),
        ({"name": "It's new"}, ["- name: 'Dispute a bill'   # exact", "+ name: 'It''s new'   # exact"]),
        ({"content": "Wait: here"}, ["- content: >-", "-   One moment,", "-   please.", "+ content: 'Wait: here'"]),
        (
            {"actions": "Call {{fn:dispute}} immediately.\n\nDo solve it."},
            ["-     Do not solve it.", "+     Do solve it."],
        ),
        (
            {"example_queries": ["I want to dispute my bill", "No: never", "It's too high"]},
            ["- - My bill is wrong", "+ - 'No: never'"],
        ),
        ({"fresh": "yes"}, ["+ fresh: 'yes'"]),
        ({}, []),
    ],
)
def test_a_change_touches_its_own_lines_only(changes: dict[str, Value], expected: list[str]) -> None:
    assert sorted(lines_changed(TOPIC, edit_yaml(TOPIC, changes))) == sorted(expected)


VALUES: list[Value] = [
    *("plain", "", "no", "12", "a: b", "# x", "- x", "{{fn:x}} y", 'it\'s "so"', "one\ntwo", "one\n\n  two\n# three"),
    *("ünï — ☎ 📞", "tab\there", "x " * 300 + "x", "nul\x07bell", "|", "%x", "@y", "key:\n  - z", "line\u2028sep"),
    *(True, False, [], ["a"], ["no", "a: b", "", "two\nlines", "12"]),
]
FORMS = [
    "",
    "k: old\n",
    "k: |-\n  old\n  two\n",
    "k:\n  - a # one\n  - b\n",
    "k:\nz: 1",
    "k: 'o'\r\nz: 1\r\n",
    "\ufeffk: x",
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
@pytest.mark.parametrize("form", FORMS, ids=range(len(FORMS)))
def test_every_value_comes_back_from_every_form(form: str, value: Value) -> None:
    changed = edit_yaml(form, {"k": value})
    read = yaml.safe_load(changed)
    assert read["k"] == value or str(read["k"]).strip() == value
    assert ("z" in form) == ("z" in read)
    assert changed.count("\r\n") == changed.count("\n") or "\r\n" not in form
    assert edit_yaml(changed, {}) == changed


@pytest.mark.parametrize("form", ["{k: a, b: c}\n", "- a\n", "k: [\n", "k: &x a\nb: *x\n"])
def test_a_file_in_an_unusual_form_is_left_alone(form: str) -> None:
    with pytest.raises(WarmlineError, match="Use a text editor"):
        edit_yaml(form, {"k": "new"})


def test_every_topic_of_the_examples_changes_by_its_own_lines() -> None:
    files = sorted(ROOT.glob("examples/*/topics/*.yaml"))
    assert len(files) > 20
    for file in files:
        text = file.read_text("utf-8")
        examples = [str(item) for item in yaml.safe_load(text)["example_queries"]]
        changed = edit_yaml(text, {"example_queries": [*examples, "One more?"]})
        assert lines_changed(text, changed) == ["+   - One more?"], file
