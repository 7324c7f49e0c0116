"""`warmline connector …`."""

import re

from warmline.cli.installation import opened
from warmline.config import Settings
from warmline.domain.errors import ConfigError
from warmline.ports import Connector

from .conftest import Command


async def stored(settings: Settings) -> list[Connector]:
    async with opened(settings, reading=True) as installation:
        return await installation.store.connectors()


async def test_a_connector_is_made_shown_and_removed(warmline: Command, settings: Settings) -> None:
    empty = await warmline("connector", "list")
    assert "no connector" in empty.output
    made = await warmline("connector", "add", "--host", "https://WWW.Lumen-Energy.com/", "--agent-name", "Lumi")
    assert made.exit_code == 0, made.output
    (connector,) = await stored(settings)
    assert (connector.host, connector.agent_name, connector.environment) == ("www.lumen-energy.com", "Lumi", "live")
    assert connector.project_id == "lumen-energy"
    assert len(connector.token) == 32
    assert f"/widget/{connector.token}.js" in made.output
    listed = await warmline("connector", "list")
    assert connector.token in listed.output
    assert "www.lumen-energy.com" in listed.output
    kept = await warmline("connector", "remove", connector.token, given="n\n")
    assert kept.exit_code == 1
    assert await stored(settings) == [connector]
    assert (await warmline("connector", "remove", connector.token, "--yes")).exit_code == 0
    assert await stored(settings) == []


async def test_wrong_input_names_the_option(warmline: Command, settings: Settings) -> None:
    for arguments, named in (
        (("add", "--host", " "), "--host"),
        (("add", "--host", "example.com", "--project", "nothing"), "--project"),
        (("add", "--host", "example.com", "--environment", "moon"), "--environment"),
        (("remove", "nothing", "--yes"), "TOKEN"),
    ):
        result = await warmline("connector", *arguments)
        assert isinstance(result.exception, ConfigError)
        assert str(result.exception).startswith(named)
    assert await stored(settings) == []


async def test_verified_context_is_switched_on_rotated_and_off(warmline: Command, settings: Settings) -> None:
    await warmline("connector", "add", "--host", "example.com")
    (connector,) = await stored(settings)
    shown = [
        (await warmline("connector", "context", connector.token, *more)).output for more in ((), (), ("--rotate",))
    ]
    keys = [re.findall(r"Signing key:  ([0-9a-f]{64})", output)[0] for output in shown]
    assert keys[0] == keys[1] != keys[2]
    assert f"Key id (kid): {connector.id}" in shown[0]
    (on,) = await stored(settings)
    assert on.settings == {"verified_context": 2}
    assert "off" in (await warmline("connector", "context", connector.token, "--off")).output
    assert await stored(settings) == [connector]
    refused = await warmline("connector", "context", "nothing")
    assert str(refused.exception).startswith("TOKEN")
