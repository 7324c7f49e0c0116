"""Reading YAML files so that every problem can be reported with its line."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from warmline.agent.project.model import Problem, Severity, Text

Step = str | int
_MERGE_TAG = "tag:yaml.org,2002:merge"
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader: the quick one where it is installed."""
_MERGE_MARKERS = ("<<<<<<< ", ">>>>>>> ")
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")
_MOST_DEPTH = 100
_MOST_VALUES = 100_000
"""Values of one file, aliases written out: a few lines of aliases to aliases can stand for billions."""


class Problems:
    """The problems found so far."""

    def __init__(self) -> None:
        """Start with none."""
        self.found: list[Problem] = []

    def error(self, rule: str, text: str, file: str, line: int = 1, remedy: str = "") -> None:
        """Note something that stops a part of the project from working."""
        self.found.append(Problem(rule=rule, text=text, remedy=remedy, file=file, line=line))

    def warning(self, rule: str, text: str, file: str, line: int = 1, remedy: str = "") -> None:
        """Note something that works but is likely not what was meant."""
        self.found.append(Problem(rule=rule, text=text, remedy=remedy, file=file, line=line, severity=Severity.WARNING))


def read_text(path: Path, file: str, problems: Problems) -> str | None:
    """Read a text file of the project; None, with a problem noted, when it cannot be used."""
    try:
        if path.exists() and not path.is_file():
            # A pipe would keep its reader waiting for ever.
            raise OSError("it is no file")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problems.error("unreadable-file", f"The file cannot be read: {error}.", file, 1, "Save it as UTF-8.")
        return None
    except OSError as error:
        text, remedy = f"The file cannot be read: {error}.", "Put a file there that Warmline may read, or remove it."
        problems.error("unreadable-file", text, file, 1, remedy)
        return None
    return text if _merged_wholly(text, file, problems) else None


def _merged_wholly(text: str, file: str, problems: Problems) -> bool:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(_MERGE_MARKERS):
            problems.error(
                "merge-conflict",
                "The file holds the markers of an unfinished merge.",
                file,
                number,
                "Keep one of the two versions and remove the markers.",
            )
            return False
    return True


def read_json(path: Path, file: str, problems: Problems) -> dict[str, object]:
    """Read a JSON file that holds an object; an empty one, with a problem noted, when it cannot be used."""
    return _json_object(read_text(path, file, problems), file, problems)


def read_json_fields(path: Path, file: str, problems: Problems) -> "Fields":
    """Do the same, so that problems can be reported with their lines."""
    text = read_text(path, file, problems)
    value = _json_object(text, file, problems)
    # JSON is YAML (yaml.org/spec/1.2, §1.3), but YAML's readers want no tabs and know not all of its escapes.
    placed = parse_yaml(_ESCAPE.sub("_", text.replace("\t", " ")), file, Problems()) if text and value else None
    return Fields(value, file, problems, placed.lines if placed else {})


def _json_object(text: str | None, file: str, problems: Problems) -> dict[str, object]:
    if not text or not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        remedy = "Correct it; until then the file is ignored."
        problems.error("json-syntax", f"Not valid JSON: {error}.", file, line, remedy)
        return {}
    if not isinstance(value, dict):
        problems.error("wrong-type", "The file must be an object.", file, 1, "Put it in braces: { … }.")
        return {}
    return value


class Fields:
    """One mapping of a YAML file. Each read checks the type and notes a problem with the line."""

    def __init__(
        self,
        values: Mapping[str, object],
        file: str,
        problems: Problems,
        lines: Mapping[tuple[Step, ...], int],
        path: tuple[Step, ...] = (),
    ) -> None:
        """Wrap `values`, found at `path` of `file`."""
        self.values = values
        self.file = file
        self._problems = problems
        self.lines = lines
        self._path = path

    def line(self, *path: Step) -> int:
        """Give the line of what is at `path` below this mapping, or of the nearest thing above it."""
        full = (*self._path, *path)
        while full and full not in self.lines:
            full = full[:-1]
        return self.lines.get(full, 1)

    def text(self, key: str, *, required: bool = False) -> Text:
        """Give a text without the blanks around it; empty when absent."""
        value = self.values.get(key)
        line = self.line(key)
        if value is None or value == "":
            if required:
                self._problems.error(
                    "missing-key", f"`{key}` is missing or empty.", self.file, line, f"Add `{key}: …`."
                )
            return Text("", self.file, line)
        if isinstance(value, (Mapping, list)):
            self._wrong(key, "a text")
            return Text("", self.file, line)
        self._expect_word(key, value, line)
        return Text(str(value).strip(), self.file, line)

    def flag(self, key: str, default: bool) -> bool:
        """Give true or false."""
        value = self.values.get(key, default)
        if isinstance(value, bool):
            return value
        self._wrong(key, "true or false")
        return default

    def texts(self, key: str) -> tuple[str, ...]:
        """Give a list of texts; empty when absent."""
        value = self.values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or any(isinstance(item, (Mapping, list)) for item in value):
            self._wrong(key, "a list of texts")
            return ()
        for position, item in enumerate(value):
            self._expect_word(key, item, self.line(key, position))
        return tuple(str(item).strip() for item in value if item is not None)

    def child(self, key: str) -> "Fields":
        """Give the mapping under `key`; an empty one when absent."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, Mapping):
            self._wrong(key, "a mapping")
            value = None
        return self._below(value or {}, key)

    def children(self, key: str) -> Iterator["Fields"]:
        """Give the mappings in the list under `key`; none when absent."""
        value = self.values.get(key)
        if value is None:
            return
        if not isinstance(value, list):
            self._wrong(key, "a list")
            return
        for position, item in enumerate(value):
            if isinstance(item, Mapping):
                yield self._below(item, key, position)
            else:
                self._wrong(key, "a list of mappings")

    def _below(self, values: Mapping[str, object], *path: Step) -> "Fields":
        return Fields(values, self.file, self._problems, self.lines, (*self._path, *path))

    def _expect_word(self, key: str, value: object, line: int) -> None:
        """YAML 1.1, §10.2.1.2 (yaml.org/type/bool.html): yes, no, on and off are truth values unless quoted."""
        if isinstance(value, bool):
            self._problems.warning(
                "truth-value",
                f"`{key}` is a text, but YAML reads what stands there as {str(value).lower()}.",
                self.file,
                line,
                'Put the word in quotes, as in `"No"`.',
            )

    def _wrong(self, key: str, wanted: str) -> None:
        remedy = f"Write {wanted} after `{key}:`."
        self._problems.error("wrong-type", f"`{key}` must be {wanted}.", self.file, self.line(key), remedy)


def read_yaml(path: Path, file: str, problems: Problems) -> Fields | None:
    """Read a YAML file whose top is a mapping; None, with a problem noted, when it cannot be used."""
    text = read_text(path, file, problems)
    return None if text is None else parse_yaml(text, file, problems)


def parse_yaml(text: str, file: str, problems: Problems) -> Fields | None:
    """Do the same with the text of a file."""
    try:
        _limit_depth(text)
        node = yaml.compose(text, Loader=LOADER)
        lines: dict[tuple[Step, ...], int] = {}
        value = _plain(node, (), lines, file, problems) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.error(
            "yaml-syntax",
            f"Not valid YAML: {error.problem or error.context}.",
            file,
            mark.line + 1 if mark else 1,
            "Mind indentation, colons and quotes near this line.",
        )
        return None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problems.error("yaml-syntax", f"Not valid YAML: {error}.", file, 1, "Write the file anew.")
        return None
    if not isinstance(value, dict):
        remedy = "Begin each line at the left with `key:`."
        problems.error("wrong-type", "The file must be a mapping of keys to values.", file, 1, remedy)
        return None
    return Fields(value, file, problems, lines)


def _limit_depth(text: str) -> None:
    # The quick loader composes by recursion in C, where too deep a nesting ends the process.
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MOST_DEPTH:
                raise ValueError(f"it is nested more than {_MOST_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _plain(
    node: Any, path: tuple[Step, ...], lines: dict[tuple[Step, ...], int], file: str, problems: Problems
) -> object:
    if len(lines) > _MOST_VALUES:
        raise ValueError(f"it holds more than {_MOST_VALUES} values")
    block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    lines[path] = node.start_mark.line + (2 if block else 1)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, i), lines, file, problems) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        values: dict[str, object] = {}
        merged = [pair for pair in node.value if pair[0].tag == _MERGE_TAG]
        for _, source in merged:
            for other in reversed(source.value) if isinstance(source, yaml.SequenceNode) else [source]:
                values |= _merged(other, path, lines, file, problems)
        own: set[str] = set()
        for key_node, value_node in (pair for pair in node.value if pair not in merged):
            key = str(key_node.value)
            if key in own:
                problems.warning(
                    "duplicate-key",
                    f"`{key}` is given twice; the last one counts.",
                    file,
                    key_node.start_mark.line + 1,
                    "Remove one of them.",
                )
            own.add(key)
            values[key] = _plain(value_node, (*path, key), lines, file, problems)
        return values
    return _scalar(node)


def _merged(
    node: Any, path: tuple[Step, ...], lines: dict[tuple[Step, ...], int], file: str, problems: Problems
) -> Mapping[str, object]:
    """Give the keys that `<<` takes over from another mapping (yaml.org/type/merge.html)."""
    start = lines[path]
    values = _plain(node, path, lines, file, problems)
    lines[path] = start
    if isinstance(values, Mapping):
        return values
    problems.error(
        "yaml-merge", "`<<` can only take over a mapping.", file, node.start_mark.line + 1, "Write `<<: *anchor`."
    )
    return {}


def _scalar(node: Any) -> object:
    # Only these three change the meaning for a project; a date or a number is wanted as it was written.
    if node.tag == "tag:yaml.org,2002:null":
        return None
    if node.tag == "tag:yaml.org,2002:bool":
        return str(node.value).lower() in ("true", "yes", "on")
    return node.value
