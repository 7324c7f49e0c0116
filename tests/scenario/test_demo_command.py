"""`warmline demo`: what is in its way is named in one line, with exit code 1; projects can be changed."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from support.agent_projects import topic_file, write_project
from support.demo import Demo
from support.installation import LUMEN, TOKEN
from warmline.cli.installation import chosen_settings
from warmline.testing.messaging_client import MessagingClient


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """A demo that is there already."""
    demo = Demo(tmp_path_factory.mktemp("demo") / "data")
    await demo.start()
    yield demo
    code = await demo.interrupt()
    assert code == 0, "".join(demo.output)


async def refusal(demo: Demo) -> str:
    """Start a demo that cannot run; its only line."""
    await demo.launch()
    assert await demo.ended() == 1, "".join(demo.output)
    [line] = demo.output
    return line.strip()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("option", "attribute"), [("--port", "port"), ("--webex-port", "webex_port"), ("--sms-port", "sms_port")]
)
async def test_a_taken_port_is_named(running: Demo, tmp_path: Path, option: str, attribute: str) -> None:
    second = Demo(tmp_path / "data")
    taken = getattr(running, attribute)
    setattr(second, attribute, taken)
    line = await refusal(second)
    assert line == (
        f"Error {option}: port {taken} is taken, perhaps by a demo that is running already; choose another one"
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_a_folder_in_use_is_named(running: Demo) -> None:
    line = await refusal(Demo(running.data))
    assert line.startswith("Error --data: another process has this database open.")


async def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    assert await refusal(Demo(tmp_path / "data")) == "Error --data: the folder cannot be used: File exists"


async def test_traces_that_cannot_be_sent_are_named(tmp_path: Path) -> None:
    collector = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert "OTEL_EXPORTER_OTLP_PROTOCOL" in await refusal(Demo(tmp_path / "data", environment=collector))


async def test_a_folder_without_a_project_is_named(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "data", "--project", str(tmp_path))
    assert await refusal(demo) == "Error --project: no project.yaml there or one folder below"


async def test_another_project_in_the_same_folder_is_the_one_that_answers_and_settings_stay(tmp_path: Path) -> None:
    first = Demo(tmp_path / "data")
    await first.start()
    assert await first.interrupt() == 0
    switched_on = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "warmline.cli.main", "connector", "context", TOKEN, "--demo", str(tmp_path / "data")),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await switched_on.wait() == 0
    shop = write_project(
        tmp_path / "shop", {"topics/hours.yaml": topic_file("Hours", "When are you open?", content="8 to 6")}
    )
    second = Demo(tmp_path / "data", "--project", str(shop))
    await second.start()
    try:
        async with MessagingClient(f"http://127.0.0.1:{second.port}", token=TOKEN) as visitor:
            await visitor.start()
            assert (await visitor.expect("SESSION_START")).payload["context_id"]
            await visitor.say_and_wait("When are you open?")
            answer = await visitor.expect("POLY_AGENT_MESSAGE", 2)
            assert answer.payload["text"] == "8 to 6"
    finally:
        assert await second.interrupt() == 0
    assert "error" not in "".join(second.output)


@pytest.mark.asyncio(loop_scope="module")
async def test_commands_find_the_demo_wherever_it_was_started(running: Demo) -> None:
    """They would take its webhooks for lost otherwise, and its server for dead."""
    settings = chosen_settings(running.data)
    assert f"{settings.public_url}/" == running.page_url
    assert settings.port == running.port
    assert settings.projects.resolve() == LUMEN


@pytest.mark.asyncio(loop_scope="module")
async def test_the_studio_is_one_click_away(running: Demo) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{running.page_url}demo.json") as answer:
            studio = (await answer.json())["studioUrl"]
        assert any(studio in line for line in running.output)
        async with http.get(studio) as answer:
            assert answer.status == 200
            assert "Create the account" in await answer.text()
