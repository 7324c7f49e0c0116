"""docs/guide/language-models.md says what is so, and its command starts the emulator."""

import asyncio
import re
import sys
from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner

from warmline.agent.models.port import FailureKind
from warmline.cli.main import app
from warmline.emulators.llm import ScriptError, load_script, read_script
from warmline.emulators.llm.asked import Asked
from warmline.emulators.llm.faults import Effect
from warmline.emulators.llm.script import Playing
from warmline.testing.server import free_port

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "guide" / "language-models.md").read_text(encoding="utf-8")
SCRIPT = re.findall(r"^```yaml\n(answers:.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)[0]


def _asked(user: str = "", tool: str = "", result: str = "") -> Asked:
    last = "tool" if tool else "user"
    return Asked(model="m", user=user, system="", tools=("find_order",), tool=tool, result=result, last=last)


def test_the_guides_script_answers_as_it_says() -> None:
    playing = Playing(read_script(SCRIPT))
    assert playing.answer(_asked("your opening hours?")).say == "We are open from 8 to 18."
    (call,) = playing.answer(_asked("where is my order")).calls
    assert (call.name, call.text) == ("find_order", '{"number":"42"}')
    assert playing.answer(_asked("where is my order", "find_order", "shipped today")).say == "It is on its way."
    assert playing.answer(_asked("hm")).say == "Could you say that in other words?"


def test_every_fault_finding_and_setting_is_explained() -> None:
    settings = set(re.findall(r'"(LLM_\w+)"', (ROOT / "src" / "warmline" / "config.py").read_text(encoding="utf-8")))
    assert len(settings) == 6
    wanted = [*(f"llm-{kind.value}" for kind in FailureKind), *Effect.__struct_fields__]
    wanted += [f"WARMLINE_{name}" for name in settings]
    assert [name for name in wanted if f"`{name}`" not in GUIDE] == []


def test_a_script_that_is_none_is_refused_with_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "script.yaml").write_text("answers: [{when: {usr: x}}]")
    result = CliRunner().invoke(app, ["emulate", "llm", str(tmp_path / "script.yaml")])
    assert result.exit_code == 2
    assert "usr" in result.output


def test_a_script_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"model: caf\xe9")
    for name, why in (
        ("gone.yaml", "No such file or directory"),
        ("", "Is a directory"),
        ("latin.yaml", "it is not UTF-8"),
    ):
        with pytest.raises(ScriptError) as problem:
            load_script(tmp_path / name)
        assert str(problem.value) == f"{tmp_path / name}: {why}"
    result = CliRunner().invoke(app, ["emulate", "llm", str(tmp_path / "gone.yaml")])
    assert result.exit_code == 2
    assert "Errno" not in result.output


async def test_the_command_plays_the_script(tmp_path: Path) -> None:
    (tmp_path / "script.yaml").write_text(SCRIPT)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "warmline.cli.main", "emulate", "llm", str(tmp_path / "script.yaml")),
        *("--port", str(port)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(40):
        while b"Control plane" not in await process.stdout.readline():
            assert process.returncode is None
    body = {"model": "m", "messages": [{"role": "user", "content": "opening hours"}]}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as response:
            assert (await response.json())["choices"][0]["message"]["content"] == "We are open from 8 to 18."
    process.terminate()
    assert await process.wait() == 0
