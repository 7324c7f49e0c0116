"""What the documents say is true: the guide's project works, lists are complete, links lead somewhere."""

import re
import tomllib
from pathlib import Path

import pytest

from support.agent_projects import Talk, engine, rules, texts
from warmline.agent.project.checker import check_project
from warmline.agent.project.loader import load_project

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
MANIFEST = ROOT / "src" / "warmline" / "handoff" / "providers" / "webex" / "manifest.toml"
MATRIX = ROOT / "tests" / "resilience" / "test_kill_at_every_step.py"


@pytest.fixture
def corner_shop(tmp_path: Path) -> Path:
    """The project of docs/guide/writing-a-handoff.md: each file's name stands above its content."""
    guide = (DOCS / "guide" / "writing-a-handoff.md").read_text(encoding="utf-8")
    for name, content in re.findall(r"^`([\w/.]+)`\n\n```\w+\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return tmp_path


def test_the_guides_project_has_no_findings(corner_shop: Path) -> None:
    assert [str(problem) for problem in check_project(load_project(corner_shop))] == []
    names = {file.relative_to(corner_shop).as_posix() for file in corner_shop.rglob("*") if file.is_file()}
    assert len(names) == 6


async def test_the_guides_project_answers_and_hands_over(corner_shop: Path) -> None:
    running = engine(corner_shop)
    try:
        talk = Talk(running)
        assert texts(await talk.start()) == ["Hello! Ask me about our shop, or tell me what went wrong."]
        assert texts(await talk.say("are you open saturdays?")) == [
            "We are open from Monday to Saturday, 8 am to 6 pm."
        ]
        outcome = await talk.say("my parcel arrived broken")
        assert texts(outcome) == ["I'm sorry to hear that. I'll get somebody for you."]
        assert outcome.handoff is not None
        assert (outcome.handoff.integration, outcome.handoff.reason) == ("webex_integration", "complaint")
        assert rules(outcome) == []
    finally:
        await running.close()


def test_every_field_of_a_webex_connection_is_explained() -> None:
    fields = [field["key"] for field in tomllib.loads(MANIFEST.read_text(encoding="utf-8"))["fields"]]
    page = (DOCS / "providers" / "webex.md").read_text(encoding="utf-8")
    assert [key for key in fields if f"`{key}`" not in page] == []


def test_the_crash_matrix_is_the_one_that_is_tested() -> None:
    tested = re.findall(r'^    \("([a-z.-]+)", (\d)\),$', MATRIX.read_text(encoding="utf-8"), re.MULTILINE)
    page = (DOCS / "guarantees.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| (\d+) \| `([a-z.-]+)` \| (\d)\w\w \|", page, re.MULTILINE)
    assert len(tested) >= 12
    assert told == [(str(number), point, nth) for number, (point, nth) in enumerate(tested, 1)]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"`kill -9` at {len(tested)} moments" in readme


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_and_named_files_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    missing = []
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, heading = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists():
            missing.append(target)
        elif heading:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            if heading not in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings}:
                missing.append(target)
    for target in re.findall(r"`((?:src|tests|docs|examples|bench|tools)/[\w./-]+)`", text):
        if not (ROOT / target).exists() and not (document.parent / target).exists():
            missing.append(target)
    assert missing == []
