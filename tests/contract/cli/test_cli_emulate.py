"""`warmline emulate webex`: what it reads before it starts, and what it says when it cannot."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from warmline.cli.emulate import webex_settings
from warmline.cli.main import app
from warmline.domain.errors import ConfigError


def refusal(*options: str) -> str:
    """Why it does not start."""
    result = CliRunner().invoke(app, ["emulate", "webex", *options])
    assert isinstance(result.exception, ConfigError), result.output
    return str(result.exception)


def test_a_file_changes_what_the_options_leave(tmp_path: Path) -> None:
    file = tmp_path / "webex.json"
    file.write_text('{"virtualClockStartMs": 1700000000000, "agents": [{"id": "agent-1", "capacity": 1}]}')
    settings = webex_settings(file, relaxed=False, seed=7)
    assert (settings.relaxed, settings.seed, settings.virtual_clock_start_ms) == (False, 7, 1_700_000_000_000)
    assert [agent.capacity for agent in settings.agents] == [1, 5]
    assert webex_settings(None, relaxed=True, seed=0).relaxed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"colour": 1}', "unknown field `colour`"),
        ('{"agents": [{}]}', "every item of agents needs id"),
        ('{"ronaSeconds": "long"}', "$.ronaSeconds"),
        ("[]", "Expected `object`"),
        ("{", "truncated"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "webex.json"
    file.write_text(text)
    told = refusal("--settings", str(file))
    assert told.startswith(str(file))
    assert why in told


def test_a_missing_file_a_taken_port_and_a_file_that_is_no_database(tmp_path: Path) -> None:
    assert "No such file" in refusal("--settings", str(tmp_path / "nothing.json"))
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Ann, " * 100)
    assert refusal("--port", "0", "--data", str(letter)).startswith("--data: ")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refusal("--port", str(port)).startswith(f"--port: 127.0.0.1:{port} cannot be used")
