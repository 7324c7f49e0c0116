"""Every row of the resilience matrix in docs/guarantees.md is numbered in order and names a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_ROW = re.compile(r"^\| (\d+) \| .* \| `(tests/[\w/]+\.py)::(\w+)` \| [^|]+ \|$")


def test_every_row_of_the_matrix_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    section = text.split("## The resilience matrix\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if re.match(r"\| \d", line)]
    rows = [_ROW.match(line) for line in lines]
    assert None not in rows, [line for line, row in zip(lines, rows, strict=True) if row is None]
    assert [int(row[1]) for row in rows if row] == list(range(1, len(lines) + 1))
    assert len(lines) >= 15
    for row in rows:
        assert row is not None
        source = (ROOT / row[2]).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {row[3]}\(", source, re.MULTILINE), row[0]
