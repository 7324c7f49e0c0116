"""A project whose files are damaged in any way is loaded and checked; each problem has file, line, rule and remedy."""

import os
import random
import shutil
from pathlib import Path

import pytest

from support.agent_projects import EXAMPLES, function_file, topic_file, write_project
from warmline.agent.brains.topics.abilities import needs_model
from warmline.agent.project.checker import check_project
from warmline.agent.project.loader import load_project
from warmline.agent.project.model import Problem
from warmline.agent.scenarios.scenario import check_scenarios

TOPIC = {"topics/x.yaml": topic_file("x", "a | b", content="Hello.")}
VALUES = ("[]", "{}", "3", "null", "true", "[a, b]", "{a: b}", "[[1]]", "''", "{respond: 3}", "!!x y", "2026-13-45")


def everything_found(root: Path) -> list[Problem]:
    project = load_project(root)
    found = [*check_project(project), *needs_model(project), *check_scenarios(project)]
    for problem in found:
        assert all((problem.file, problem.line >= 1, problem.rule, problem.text, problem.remedy)), problem
    return found


def places(problems: list[Problem]) -> list[tuple[str, int, str]]:
    return [(problem.file, problem.line, problem.rule) for problem in problems]


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"agent_settings/experimental_config.json": "[" * 100_000}, "json-syntax"),
        ({"real_time_configuration/live/data.json": "[" * 100_000}, "json-syntax"),
        ({"real_time_configuration/live/data.json": "{a"}, "json-syntax"),
        ({"functions/f.py": "x = " + "-" * 100_000 + "1\n"}, "python-syntax"),
        ({"functions/f.py": "x = " + "+".join(["1"] * 100_000) + "\n"}, "python-syntax"),
        ({"functions/f.py": "x = 1\0\n"}, "python-syntax"),
        ({"topics/y.yaml": "a: " + "[" * 3_000 + "]" * 3_000}, "yaml-syntax"),
        ({"topics/y.yaml": "a: " + "[" * 200_000 + "]" * 200_000}, "yaml-syntax"),
        ({"topics/y.yaml": "- " * 50_000}, "yaml-syntax"),
        ({"topics/y.yaml": "a: &a [*a]\n"}, "yaml-syntax"),
        (
            {
                "topics/y.yaml": "a0: &a0 [x]\n"
                + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
            },
            "yaml-syntax",
        ),
    ],
)
def test_files_that_overstrain_their_parser_are_left_out(tmp_path: Path, files: dict[str, str], place: str) -> None:
    found = everything_found(write_project(tmp_path, {**TOPIC, **files}))
    assert places(found) == [(next(iter(files)), 1, place)]
    assert [topic.name for topic in load_project(tmp_path).topics] == ["x"]


def test_what_is_no_file_is_left_out_and_nobody_waits_for_it(tmp_path: Path) -> None:
    write_project(tmp_path, TOPIC)
    (tmp_path / "topics/folder.yaml").mkdir()
    (tmp_path / "topics/gone.yaml").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "topics/pipe.yaml")
    found = everything_found(tmp_path)
    names = ("folder", "gone", "pipe")
    assert places(found) == [(f"topics/{name}.yaml", 1, "unreadable-file") for name in names]
    assert {problem.remedy for problem in found} == {"Put a file there that Warmline may read, or remove it."}


def test_a_yaml_file_may_merge_what_it_anchored(tmp_path: Path) -> None:
    entities = """
        entities:
          - &day {name: day, description: When, entity_type: date, config: {relative_date: true}}
          - <<: *day
            name: other_day
          - {<<: [*day], name: third_day, description: Then}
    """
    root = write_project(tmp_path, {**TOPIC, "config/entities.yaml": entities})
    assert everything_found(root) == []
    read = load_project(root).entities
    assert [(e.name, e.type, e.line, e.description) for e in read.values()] == [
        ("day", "date", 2, "When"),
        ("other_day", "date", 4, "When"),
        ("third_day", "date", 5, "Then"),
    ]


@pytest.mark.parametrize(
    ("scenario", "line"),
    [
        ("scenario: x\nsimulated_at: 2026-13-45T00:00:00Z\n", 2),
        ("scenario: x\nwarmline:\n  environment: production\n", 3),
        ("scenario: x\napi_mocks:\n  a:\n    b:\n      - {repeat: 2}\n", 5),
        ("scenario: x\napi_mocks:\n  a:\n    b:\n      - {respond: {status: ²}}\n", 5),
        ("scenario: x\napi_mocks:\n  a:\n    b:\n      - {respond: {status: 200}, repeat: --3}\n", 5),
        ("scenario: x\napi_mocks:\n  1:\n    2:\n      - {respond: {body: !!python/name:os.system x}}\n", 5),
    ],
)
def test_a_scenario_with_a_wrong_value_is_left_out_with_its_line(tmp_path: Path, scenario: str, line: int) -> None:
    root = write_project(tmp_path, {**TOPIC, "test_suite/s.yaml": scenario})
    assert [(p.file, p.line) for p in everything_found(root)] == [("test_suite/s.yaml", line)]


def damaged(source: str, rng: random.Random) -> str:
    lines = source.splitlines(keepends=True)
    kinds = (
        lambda: source[: rng.randrange(len(source) + 1)],
        lambda: "".join(line for line in lines if rng.random() > 0.2),
        lambda: "".join(" " * (rng.random() < 0.2) + line for line in lines),
        lambda: "\n".join(
            f"{line.partition(':')[0]}: {rng.choice(VALUES)}" if ":" in line and rng.random() < 0.3 else line
            for line in source.splitlines()
        ),
        lambda: source.replace("{{fn:", "{{fn:x").replace("name: ", "name: {{ho:q}} $x "),
        lambda: rng.choice(["", " \n\n", "- a\n", "text\n", "\t" + source, "\0" + source, "\ufeff" + source]),
    )
    return rng.choice(kinds)()


@pytest.mark.parametrize("example", ["corner-cycles", "harbour-dental", "pine-and-salt"])
def test_C08_no_damage_keeps_a_project_from_being_checked(tmp_path: Path, example: str) -> None:
    root = tmp_path / example
    shutil.copytree(EXAMPLES / example, root)
    rng = random.Random(example)
    files = sorted(path for path in root.rglob("*") if path.suffix in (".yaml", ".json", ".txt", ".py"))
    files = [path for path in files if "tests" not in path.parts]
    for _ in range(4):
        for path in files:
            path.write_text(damaged((EXAMPLES / path.relative_to(tmp_path)).read_text(), rng), encoding="utf-8")
        everything_found(root)


@pytest.mark.parametrize(
    ("files", "place"),
    [
        (
            {"test_suite/s.yaml": "scenario: x\nfunction_call_assertions: [{name: nope}, {name: builtin_handoff}]\n"},
            ("test_suite/s.yaml", 2, "dangling-reference"),
        ),
        ({"test_suite/s.yaml": "scenario: x\nvariant: nope\n"}, ("test_suite/s.yaml", 2, "unknown-variant")),
        ({"Topics/z.yaml": topic_file("z", "z", content="z")}, ("Topics", 1, "unknown-folder")),
        ({"test_suits/z.yaml": "scenario: x\n"}, ("test_suits", 1, "unknown-folder")),
        (
            {"config/handoffs.yaml": "handoffs:\n  - {name: A, is_default: true}\n  - {name: A, is_default: true}\n"},
            ("config/handoffs.yaml", 3, "duplicate-name"),
        ),
        (
            {"config/sms_templates.yaml": "sms_templates:\n  - {name: A, text: a}\n  - {name: A, text: b}\n"},
            ("config/sms_templates.yaml", 3, "duplicate-name"),
        ),
        (
            {"functions/f.py": "import numpy.nothing\nimport no_such_module\n" + function_file("f", "import json")},
            ("functions/f.py", 2, "missing-module"),
        ),
    ],
)
def test_what_would_be_lost_silently_is_told(
    tmp_path: Path, files: dict[str, str], place: tuple[str, int, str]
) -> None:
    files = {**TOPIC, **files}
    assert place in places(everything_found(write_project(tmp_path, files)))


@pytest.mark.parametrize(
    "source",
    [
        "import plog, polyai.voice, requests, pydantic, functions.f\nfrom _gen import *\n",
        "try:\n    import no_such_module\nexcept ImportError:\n    no_such_module = None\n",
    ],
)
def test_modules_that_are_there_or_not_needed_are_not_told(tmp_path: Path, source: str) -> None:
    root = write_project(tmp_path, {**TOPIC, "functions/f.py": source + function_file("f", "return None")})
    assert everything_found(root) == []
