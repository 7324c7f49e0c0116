#!/usr/bin/env python3
"""Writes where the test of each numbered check of a specification is, for those in `specifications.py`.

Tests name the checks they cover: `test_A22_…`, `test_E14_E15_…`. With `--check` nothing is written; the exit code tells
whether the documents are current and complete.
"""

import re
import sys

from specifications import AGENT, MESSAGING, ROOT, WEBEX, Specification

_TEST = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
_NUMBERS = re.compile(r"(?<=_)([A-Za-z])(\d+)(?=_)")


def found(specification: Specification) -> dict[str, list[str]]:
    """The tests of each check, as "path::name"."""
    tests: dict[str, list[str]] = {}
    for letter, patterns in specification.files.items():
        for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
            for name in _TEST.findall(path.read_text(encoding="utf-8")):
                for kind, number in _NUMBERS.findall(name):
                    if kind.upper() == letter:
                        tests.setdefault(f"{letter}-{int(number)}", []).append(f"{path.relative_to(ROOT)}::{name}")
    for check, names in specification.also.items():
        tests[check] = [*names, *tests.get(check, [])]
    return tests


def problems(specification: Specification, tests: dict[str, list[str]]) -> list[str]:
    """What is wrong with the specification's tables."""
    none = specification.none
    wrong = [f"{check}: no test and no reason" for check in specification.all() if check not in tests | none]
    wrong += [f"{check}: has a test, and a reason for having none" for check in none if check in tests]
    for name in (name for names in specification.also.values() for name in names):
        path, _, test = name.partition("::")
        file = ROOT / path
        if not file.is_file() or test not in _TEST.findall(file.read_text(encoding="utf-8")):
            wrong.append(f"{name}: there is no such test")
    return wrong


def document(specification: Specification, tests: dict[str, list[str]]) -> str:
    """The document's text."""
    lines = [specification.head, "| check | test |", "|---|---|"]
    for check in specification.all():
        where = "<br>".join(_shown(name) for name in tests.get(check, []))
        note = f"<br>Note: {specification.notes[check]}." if check in specification.notes else ""
        lines.append(f"| {check} | {where or 'none: ' + specification.none.get(check, '') + '.'}{note} |")
    return "\n".join(lines) + "\n"


def _shown(name: str) -> str:
    path, _, test = name.partition("::")
    return f"`{test}` ({path.removeprefix('tests/')})"


def main() -> int:
    """Write the documents, or check them; returns the exit code."""
    wrong: list[str] = []
    for specification in (WEBEX, MESSAGING, AGENT):
        tests = found(specification)
        wrong += problems(specification, tests)
        text, path = document(specification, tests), specification.document
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            wrong.append(f"{path.relative_to(ROOT)} is not current: run tools/checks.py")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
