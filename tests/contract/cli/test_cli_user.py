"""`warmline user …`."""

from warmline.cli.installation import opened
from warmline.config import Settings
from warmline.domain.errors import ConfigError
from warmline.ports import Role, SignIn, User
from warmline.studio.access.passwords import password_fits

from .conftest import Command

WORDS = "correct horse staple"


async def stored(settings: Settings) -> list[User]:
    async with opened(settings, reading=True) as installation:
        return await installation.store.users()


async def test_a_user_is_added_shown_and_removed(warmline: Command, settings: Settings) -> None:
    assert "nobody" in (await warmline("user", "list")).output
    made = await warmline("user", "add", "Ada@example.org", "--role", "editor", given=f"{WORDS}\n{WORDS}\n")
    assert made.exit_code == 0, made.output
    assert WORDS not in made.output
    (user,) = await stored(settings)
    assert (user.name, user.role) == ("ada@example.org", Role.EDITOR)
    assert await password_fits(user.password, WORDS)
    assert "ada@example.org  editor  all projects" in (await warmline("user", "list")).output
    again = await warmline("user", "add", "ada@example.org", given=f"{WORDS}\n{WORDS}\n")
    assert "already" in str(again.exception)
    assert (await warmline("user", "remove", "ada@example.org")).exit_code == 0
    assert await stored(settings) == []


async def test_a_new_password_signs_out_everywhere(warmline: Command, settings: Settings) -> None:
    await warmline("user", "add", "ada@example.org", given=f"{WORDS}\n{WORDS}\n")
    async with opened(settings) as installation:
        (user,) = await installation.store.users()
        await installation.store.save_sign_in(SignIn(id="s", user_id=user.id, created_at=1, seen_at=1))
    fresh = "another good passphrase"
    changed = await warmline("user", "password", "ada@example.org", given=f"{fresh}\n{fresh}\n")
    assert changed.exit_code == 0, changed.output
    (user,) = await stored(settings)
    assert await password_fits(user.password, fresh)
    async with opened(settings, reading=True) as installation:
        assert await installation.store.signed_in("s") is None


async def test_wrong_input_is_named(warmline: Command, settings: Settings) -> None:
    for arguments, given, named in (
        (("add", "-"), "", "-"),
        (("add", "ada@example.org"), "short\nshort\n", "password"),
        (("password", "nobody@example.org"), f"{WORDS}\n{WORDS}\n", "nobody@example.org"),
        (("remove", "nobody@example.org"), "", "nobody@example.org"),
    ):
        result = await warmline("user", *arguments, given=given)
        assert isinstance(result.exception, ConfigError), result.output
        assert str(result.exception).startswith(named)
    assert await stored(settings) == []
