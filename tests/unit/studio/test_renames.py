"""A flow or a step gets its new name where it is named, and not a byte beside that changes."""

import pytest

from warmline.domain.errors import WarmlineError
from warmline.studio.files.renames import renamed_in_python, renamed_in_yaml


@pytest.mark.parametrize(
    ("text", "line", "new", "expected"),
    [
        ("conv.goto_flow('a')\n", 1, "b c", "conv.goto_flow('b c')\n"),
        ('conv.goto_flow("a")  # "a"\r\n', 1, "b", 'conv.goto_flow("b")  # "a"\r\n'),
        ("\ufeffx('ü', 'a', 'a')", 1, "ö", "\ufeffx('ü', 'ö', 'ö')"),
        ("x('a')\ny('a')\n", 2, "b", "x('a')\ny('b')\n"),
        ("x('a')\n", 1, "it's", 'x("it\'s")\n'),
        ("x('''a''')\n", 1, "b", "x('b')\n"),
        ("x('ab', a, 1)\n", 1, "b", "x('ab', a, 1)\n"),
    ],
)
def test_literals_of_the_lines_are_replaced(text: str, line: int, new: str, expected: str) -> None:
    assert renamed_in_python(text, {line}, "a", new) == expected


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        ("name: a\nchild_step: a\n", "b", "name: a\nchild_step: b\n"),
        (
            "c:\n  - {child_step: a}\n  - child_step: 'a' # a\n",
            "b",
            "c:\n  - {child_step: b}\n  - child_step: 'b' # a\n",
        ),
        ("\ufeffchild_step: a\r\nx: 1\r\n", "12", "\ufeffchild_step: '12'\r\nx: 1\r\n"),
        ("child_step:\n  a\n", "- b", "child_step:\n  '- b'\n"),
        ("child_step: ab\n", "b", "child_step: ab\n"),
        ("a: &x {child_step: a}\nb: *x\nc: [*x]\n", "b", "a: &x {child_step: b}\nb: *x\nc: [*x]\n"),
    ],
)
def test_values_of_the_key_are_replaced(text: str, new: str, expected: str) -> None:
    assert renamed_in_yaml(text, "child_step", "a", new) == expected


def test_broken_yaml_is_refused() -> None:
    with pytest.raises(WarmlineError, match="Use a text editor"):
        renamed_in_yaml("child_step: [\n", "child_step", "a", "b")


def test_broken_python_is_refused() -> None:
    with pytest.raises(WarmlineError, match="not valid Python"):
        renamed_in_python("def (\n", {1}, "a", "b")
