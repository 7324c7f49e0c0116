"""`warmline chat` as its user sees it."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from support.agent_projects import calling, topic_file, write_project


async def test_changed_files_count_from_the_next_message_on(tmp_path: Path) -> None:
    files = {**calling(("use", 'return {"utterance": "Old."}'))}
    root = write_project(tmp_path / "project", files)
    chat = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "warmline", "chat", str(root), "--trace"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # A terminal shows each line at once; a pipe would wait for more.
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert chat.stdin is not None
    assert chat.stdout is not None
    try:
        async with asyncio.timeout(60):
            chat.stdin.write(b"please run use now\n")
            before = await chat.stdout.readuntil(b"agent  Old.")
            write_project(
                root,
                {
                    **calling(("use", 'conv.write_metric("RUN", 1)\nreturn {"utterance": "New."}')),
                    "topics/prices.yaml": topic_file("prices", "what does it cost", content="It is free."),
                },
            )
            # The files are looked at a few times a second.
            await asyncio.sleep(0.4)
            after, _ = await chat.communicate(b"please run use now\nwhat does it cost\n")
    finally:
        if chat.returncode is None:
            chat.kill()
            await chat.wait()
    assert chat.returncode == 0
    for shown in ("topic 'run use' (is: please run use now)", "retrieved", "tool", "use()", "returned"):
        assert shown in before.decode()
    for shown in ("agent  New.", "metric RUN = 1", "agent  It is free."):
        assert shown in after.decode()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--variant", "south"), b"--variant: there is no variant 'south'; use north"),
        (("--environment", "production"), b"--environment: use sandbox, pre-release, live"),
    ],
)
async def test_settings_that_mean_nothing_are_refused(tmp_path: Path, options: tuple[str, ...], told: bytes) -> None:
    variants = "variants:\n  - {name: north, is_default: true}\nattributes: []\n"
    root = write_project(tmp_path / "project", {"config/variant_attributes.yaml": variants})
    assert await _said_by("chat", str(root), *options) == (1, told)


async def test_the_next_commands_can_be_copied_whatever_the_folder_is_called(tmp_path: Path) -> None:
    status, told = await _said_by("new", str(tmp_path / "My Shop"))
    assert (status, f"warmline check '{tmp_path / 'My Shop'}'".encode() in told) == (0, True)


async def _said_by(*command: str) -> tuple[int | None, bytes]:
    """Give the status of a command and what it printed, without the word "Error"."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "warmline", *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        printed, _ = await process.communicate()
    return process.returncode, printed.removeprefix(b"Error ").strip()
