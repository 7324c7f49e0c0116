"""`warmline sms …`."""

from pathlib import Path

from support.phones import Phones, carrier, sms_fields
from warmline.channels.sms.connections import webhook_url
from warmline.cli.installation import opened
from warmline.config import Settings
from warmline.domain.errors import ConfigError
from warmline.ports import Connection

from .conftest import Command


async def stored(settings: Settings) -> list[Connection]:
    async with opened(settings, reading=True) as installation:
        return await installation.store.text_connections()


def values(folder: Path, **fields: str) -> str:
    file = folder / "sms.toml"
    file.write_text("".join(f'{key} = "{value}"\n' for key, value in fields.items()), encoding="utf-8")
    return str(file)


async def test_numbers_are_added_listed_tested_and_removed(
    warmline: Command, settings: Settings, tmp_path: Path
) -> None:
    assert "no SMS connection" in (await warmline("sms", "list")).output
    async with carrier() as sim, Phones(sim) as phones:
        fields = sms_fields(sim)
        made = await warmline("sms", "add", "--name", "Line", "--values", values(tmp_path, **fields))
        assert made.exit_code == 0, made.output
        (connection,) = await stored(settings)
        assert connection.secrets == {"auth_token": fields["auth_token"]}
        assert connection.values["numbers"] == fields["numbers"]
        hook = webhook_url(settings.public_url, connection.id)
        assert hook in made.output
        assert "announces its texts nowhere" in made.output
        assert fields["auth_token"] not in made.output

        tested = await warmline("sms", "test", "Line")
        assert tested.exit_code == 1
        phones.announce_to(hook)
        tested = await warmline("sms", "test", "+14155550199")
        assert tested.exit_code == 0, tested.output
        assert tested.output.count("announces its texts to this server") == 2

        listed = await warmline("sms", "list")
        for shown in ("Line", fields["numbers"], hook, "connected"):
            assert shown in listed.output
        assert fields["auth_token"] not in listed.output

        again = await warmline("sms", "add", "--values", values(tmp_path, **fields))
        assert isinstance(again.exception, ConfigError)
        assert "belongs to the connection Line" in str(again.exception)

    gone = await warmline("sms", "test", connection.id[:8])
    assert gone.exit_code == 1
    assert "cannot be asked" in gone.output
    kept = await warmline("sms", "remove", "Line", given="n\n")
    assert kept.exit_code == 1
    assert (await warmline("sms", "remove", "Line", "--yes")).exit_code == 0
    assert await stored(settings) == []


async def test_wrong_credentials_and_numbers_are_named(warmline: Command, settings: Settings, tmp_path: Path) -> None:
    async with carrier() as sim:
        fields = sms_fields(sim)
        made = await warmline("sms", "add", "--values", values(tmp_path, **{**fields, "auth_token": "wrong-token"}))
        assert "refuses the account's credentials" in made.output
        await warmline("sms", "remove", "SMS", "--yes")
        made = await warmline("sms", "add", "--values", values(tmp_path, **{**fields, "numbers": "+14155550177"}))
        assert "is not a number of this account" in made.output
    for key, wrong in (("numbers", "0800"), ("account_sid", "AC1"), ("mms", "maybe")):
        refused = await warmline("sms", "add", "--values", values(tmp_path, **{**fields, key: wrong}))
        assert isinstance(refused.exception, ConfigError)
        assert key in str(refused.exception)
    nobody = await warmline("sms", "test", "nobody")
    assert "is no SMS connection" in str(nobody.exception)
