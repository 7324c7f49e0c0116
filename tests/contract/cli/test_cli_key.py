"""`warmline key …`."""

import re

from warmline.cli.installation import opened
from warmline.config import Settings
from warmline.domain.errors import ConfigError
from warmline.web.keys import ApiKeys

from .conftest import Command


async def test_a_key_is_shown_once_listed_by_name_and_revoked(warmline: Command, settings: Settings) -> None:
    assert "no API key" in (await warmline("key", "list")).output
    made = await warmline("key", "add", "--name", "crm", "--project", "lumen-energy")
    assert made.exit_code == 0, made.output
    (secret,) = re.findall(r"wlk_[A-Za-z0-9_-]{43}", made.output)
    async with opened(settings, reading=True) as installation:
        keys = ApiKeys(installation.store, installation.clock, installation.ids)
        (stored,) = await installation.store.api_keys()
        assert await keys.find(secret) == stored
        assert await keys.find(secret[:-1]) is None
        assert await keys.find("") is None
        assert (stored.name, stored.project_id) == ("crm", "lumen-energy")
        assert secret not in repr(stored)
        assert secret.removeprefix("wlk_") not in stored.id
    listed = (await warmline("key", "list")).output
    assert "crm  project lumen-energy" in listed
    assert secret not in listed
    assert (await warmline("key", "revoke", "crm", given="n\n")).exit_code == 1
    assert (await warmline("key", "revoke", "crm", "--yes")).exit_code == 0
    async with opened(settings, reading=True) as installation:
        assert await ApiKeys(installation.store, installation.clock, installation.ids).find(secret) is None


async def test_wrong_input_names_the_option(warmline: Command, settings: Settings) -> None:
    await warmline("key", "add", "--name", "crm")
    for arguments, named in (
        (("add", "--name", " "), "--name"),
        (("add", "--name", "crm"), "--name"),
        (("add", "--name", "x", "--project", "nothing"), "--project"),
        (("revoke", "nothing", "--yes"), "NAME"),
    ):
        result = await warmline("key", *arguments)
        assert isinstance(result.exception, ConfigError)
        assert str(result.exception).startswith(named)
    async with opened(settings, reading=True) as installation:
        assert [key.name for key in await installation.store.api_keys()] == ["crm"]
