"""docs/guide/ten-minutes.md: its files are written and its commands run, one after the other."""

import asyncio
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.demo import Demo
from warmline.cli.main import app

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guide" / "ten-minutes.md"
_BLOCK = re.compile(r"(?:^`(?P<file>[^`\n]+)`\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Command:
    """A command of the guide, and what is typed into it."""

    arguments: list[str]
    typed: str = ""


def commands_of(block: str) -> list[Command]:
    found: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ warmline "):
            found.append(Command(shlex.split(line)[2:]))
        else:
            assert line.startswith("you> "), line
            found[-1].typed += line.removeprefix("you> ") + "\n"
    return found


def follow_the_guide(folder: Path) -> tuple[list[tuple[str, str]], list[Command]]:
    """Write its files and run its commands in `folder`; gives (command, output), and the demos, which do not end."""
    outputs: list[tuple[str, str]] = []
    demos: list[Command] = []
    for block in _BLOCK.finditer(GUIDE.read_text(encoding="utf-8")):
        if block["file"]:
            file = folder / block["file"]
            assert file.parent.is_dir()
            file.write_text(block["text"], encoding="utf-8")
            continue
        assert block["kind"] == "console"
        for command in commands_of(block["text"]):
            if command.arguments[0] == "demo":
                demos.append(command)
                continue
            result = CliRunner().invoke(app, command.arguments, input=command.typed)
            assert result.exit_code == 0, (command, result.output, result.exception)
            outputs.append((command.arguments[0], result.output))
    return outputs, demos


async def test_every_command_of_the_guide_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # The commands bring their own event loops.
    outputs, demos = await asyncio.to_thread(follow_the_guide, tmp_path)
    assert [name for name, _ in outputs] == ["new", *("check", "test", "chat"), *("check", "chat") * 2, "test"]
    chats = [text for name, text in outputs if name == "chat"]
    assert "We are open Monday to Saturday, 8 am to 6 pm." in chats[0]
    assert "-> handoff to webex_integration" in chats[0]
    assert "topic 'Opening hours'" in chats[0]
    assert "We deliver within two days" in chats[1]
    assert "Could you tell me your parcel number" in chats[2]
    assert "track_parcel(parcel_number='ZZ9999')" in chats[2]
    assert "-> handoff to webex_integration, reason: parcel ZZ9999 not found" in chats[2]
    assert [text.strip().splitlines()[-1] for name, text in outputs if name == "test"] == ["2 passed.", "3 passed."]
    assert [text.strip().splitlines()[-1] for name, text in outputs if name == "check"][-1].endswith(
        "0 errors, 0 warnings."
    )
    [demo] = demos
    assert demo.arguments[1:3] == ["--project", "corner-shop"]
    running = Demo(tmp_path / "data", *demo.arguments[1:3])
    try:
        await running.start()
        assert await running.interrupt() == 0
    finally:
        await running.kill()


def test_new_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir")
    result = CliRunner().invoke(app, ["new", str(tmp_path)])
    assert result.exit_code != 0
    assert "not empty" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("name", ["Müller & Söhne", "The 3 O'Clock: Tea"])
def test_new_takes_any_name_that_the_format_can_hold(tmp_path: Path, name: str) -> None:
    result = CliRunner().invoke(app, ["new", str(tmp_path / "a b"), "--name", name])
    assert result.exit_code == 0, result.output
    checked = CliRunner().invoke(app, ["check", str(tmp_path / "a b")])
    assert (checked.exit_code, "0 errors, 0 warnings." in checked.output) == (0, True), checked.output
    assert name in checked.output


def test_a_test_suite_that_fails_or_is_missing_is_an_error(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["new", str(tmp_path / "shop")])
    suite = tmp_path / "shop" / "test_suite"
    for file in suite.iterdir():
        file.unlink()
    assert CliRunner().invoke(app, ["test", str(tmp_path / "shop")]).exit_code == 2
    (suite / "bad.yaml").write_text("name: Bad\nwarmline: {turns: [When are you open], said: [never]}\n")
    report = tmp_path / "report.xml"
    result = CliRunner().invoke(app, ["test", str(tmp_path / "shop"), "--junit", str(report)])
    assert result.exit_code == 1
    assert "The agent did not say “never”." in result.output
    assert "customer When are you open" in result.output
    assert 'failures="1"' in report.read_text()


@pytest.mark.parametrize("command", ["test", "chat"])
def test_a_folder_without_a_project_is_named(tmp_path: Path, command: str) -> None:
    result = CliRunner().invoke(app, [command, str(tmp_path)])
    assert str(result.exception) == f"{tmp_path}: the folder has no project.yaml"


def test_scenarios_that_nobody_knows_and_a_report_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    shop, report = str(tmp_path / "shop"), tmp_path / "nowhere" / "report.xml"
    CliRunner().invoke(app, ["new", shop])
    result = CliRunner().invoke(app, ["test", shop, "--only", "Open hours"])
    assert result.exit_code == 2
    assert "--only: no scenario has this name or tag; there are A complaint reaches a person, Tells" in result.output
    result = CliRunner().invoke(app, ["test", shop, "--only", "tells the opening hours", "--junit", str(report)])
    assert str(result.exception) == f"--junit: {report} cannot be written: No such file or directory"


def test_the_llm_brain_without_a_model_names_the_setting(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["new", str(tmp_path / "shop")])
    result = CliRunner().invoke(app, ["test", str(tmp_path / "shop"), "--brain", "llm"])
    assert result.exit_code != 0
    assert "WARMLINE_LLM_BASE_URL" in str(result.exception)
