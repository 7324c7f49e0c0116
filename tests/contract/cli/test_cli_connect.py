"""`warmline connect …` against the emulator (webex-byoc.md §4, §10.1)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from support.installation import LUMEN
from support.stores import opened as store_opened
from warmline.cli.connect import _add
from warmline.cli.installation import opened
from warmline.config import Settings
from warmline.domain.errors import ConfigError, DatabaseInUse
from warmline.emulators.webex import RunningSim, SimSettings, demo_values
from warmline.emulators.webex import start as start_sim
from warmline.ports import Connection
from warmline.testing.server import SECRET_KEY

from .conftest import Command

Values = Callable[..., Path]


async def stored(settings: Settings) -> list[Connection]:
    async with opened(settings, reading=True) as installation:
        return await installation.store.connections()


async def connected(warmline: Command, settings: Settings, values: Values) -> Connection:
    result = await warmline("connect", "add", "webex", "--values", str(values()))
    assert result.exit_code == 0, result.output
    (connection,) = await stored(settings)
    return connection


def subscriptions(sim: RunningSim) -> set[str]:
    return {item["name"] for item in sim.sim.subscriptions.all("v2")["data"]}


async def test_add_prints_what_to_paste_and_every_verdict(
    warmline: Command, settings: Settings, values: Values, sim: RunningSim
) -> None:
    result = await warmline("connect", "add", "webex", "--values", str(values()), "--name", "Main")
    assert result.exit_code == 0, result.output
    (connection,) = await stored(settings)
    assert (connection.name, connection.project_id, connection.state) == ("Main", "lumen-energy", "connected")
    assert connection.values["asset_webhook_url"] in result.output
    assert connection.secrets["asset_webhook_secret"] in result.output
    steps = [line.split()[1] for line in result.output.splitlines() if line.startswith(("ok ", "warn "))]
    assert [step.rstrip(":") for step in steps if step != "fields:"] == [
        "token", "organization", "event_types", "subscriptions", "reachability",
    ]  # fmt: skip
    for hidden in ("client_secret", "refresh_token", "access_token", "subscription_secret"):
        assert connection.secrets[hidden] not in result.output
    assert len(subscriptions(sim)) == 3


async def test_A4_list_and_show_tell_everything_but_secrets(
    warmline: Command, settings: Settings, values: Values
) -> None:
    connection = await connected(warmline, settings, values)
    listed, shown = await warmline("connect", "list"), await warmline("connect", "show", connection.id[:8])
    assert listed.exit_code == shown.exit_code == 0
    for told in (connection.id, "connected", "last webhook on asset: none", "refresh token until: 20"):
        assert told in listed.output
    assert connection.values["asset_webhook_url"] in shown.output
    assert "client_secret: set" in shown.output
    for secret in connection.secrets.values():
        assert len(secret) < 20 or secret not in listed.output + shown.output


async def test_A2_a_wrong_secret_names_its_field_then_the_right_one_works_in_strict_mode(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sim = await start_sim(SimSettings(relaxed=False, seed=7))
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/warmline.db",
        public_url="https://warmline.lumen-energy.com",
        secret_key=SECRET_KEY,
        projects=LUMEN,
        relaxed=True,
    )
    given = {"region": "custom", **demo_values(sim.sim.settings, sim.url)}
    file = tmp_path / "values.toml"
    try:
        for changed, remark in (
            ({"client_secret": "wrong-secret-0123456789"}, "fail token: client_secret: "),
            ({"org_id": "11111111-1111-4111-8111-111111111111"}, "fail organization: org_id: "),
        ):
            file.write_text("\n".join(f'{key} = "{value}"' for key, value in {**given, **changed}.items()))
            with pytest.raises(typer.Exit) as stopped:
                await _add(settings, "webex", "", "", file)
            assert stopped.value.exit_code == 1
            assert remark in capsys.readouterr().out
            assert await stored(settings) == []
            assert subscriptions(sim) == set()
        file.write_text("\n".join(f'{key} = "{value}"' for key, value in given.items()))
        await _add(settings, "webex", "", "", file)
        assert "ok   subscriptions" in capsys.readouterr().out
        assert len(subscriptions(sim)) == 3
        (connection,) = await stored(settings)
        assert connection.values["events_webhook_url"].startswith("https://warmline.lumen-energy.com/hooks/webex/")
        local = replace(settings, public_url="http://localhost:8080")
        with pytest.raises(typer.Exit) as stopped:
            await _add(local, "webex", "", "", file)
        assert stopped.value.exit_code == 1
        assert "fail subscriptions" in capsys.readouterr().out
    finally:
        await sim.stop()


async def test_missing_fields_are_asked_for_and_wrong_answers_again(
    warmline: Command, settings: Settings, values: Values, sim: RunningSim
) -> None:
    right = sim.sim.settings.org_id
    result = await warmline("connect", "add", "webex", "--values", str(values(org_id="")), given=f"nonsense\n{right}\n")
    assert result.exit_code == 0, result.output
    assert "Organization ID must be a UUID" in result.output
    assert (await stored(settings))[0].values["org_id"] == right


async def test_secrets_may_come_from_the_environment_or_from_files(
    warmline: Command,
    settings: Settings,
    values: Values,
    sim: RunningSim,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "token").write_text(f"{sim.sim.settings.refresh_token}\n")
    monkeypatch.setenv("WARMLINE_CONNECT_REFRESH_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("WARMLINE_CONNECT_CLIENT_SECRET", sim.sim.settings.client_secret)
    file = values(refresh_token="", client_secret="")
    result = await warmline("connect", "add", "webex", "--values", str(file))
    assert result.exit_code == 0, result.output
    assert len(await stored(settings)) == 1


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('org_id = "x"', "org_id: Organization ID must be a UUID"),
        ('colour = "blue"', "colour"),
        ("= 1", "values.toml"),
        ('asset_webhook_url = "https://x.org/"', "asset_webhook_url"),
    ],
)
async def test_a_wrong_file_is_refused_with_the_name_of_what_is_wrong(
    warmline: Command, tmp_path: Path, content: str, named: str
) -> None:
    file = tmp_path / "values.toml"
    file.write_text(content)
    result = await warmline("connect", "add", "webex", "--values", str(file))
    assert isinstance(result.exception, ConfigError)
    assert named in str(result.exception)


async def test_tables_and_numbers_of_the_file_reach_their_fields(
    warmline: Command, settings: Settings, values: Values
) -> None:
    file = values()
    file.write_text(
        f'{file.read_text()}\npolicy.max_chars = 2000\n[global_variables]\nreason = "{{{{handoff.reason}}}}"\n'
    )
    result = await warmline("connect", "add", "webex", "--values", str(file))
    assert result.exit_code == 0, result.output
    (connection,) = await stored(settings)
    assert connection.values["policy.max_chars"] == "2000"
    assert connection.values["global_variables"] == '{"reason": "{{handoff.reason}}"}'


async def test_test_checks_again_and_change_changes_only_what_is_given(
    warmline: Command, settings: Settings, values: Values, sim: RunningSim, tmp_path: Path
) -> None:
    before = await connected(warmline, settings, values)
    assert (await warmline("connect", "test", before.name)).exit_code == 0
    file = tmp_path / "changes.toml"
    file.write_text('queue_name = "Support"')
    assert (await warmline("connect", "change", before.id, "--values", str(file))).exit_code == 0
    file.write_text('client_secret = "wrong-secret-0123456789"')
    result = await warmline("connect", "change", before.id, "--values", str(file))
    assert result.exit_code == 1
    assert "client_secret" in result.output
    (after,) = await stored(settings)
    assert after.values == {**before.values, "queue_name": "Support"}
    assert after.secrets["client_secret"] == before.secrets["client_secret"]
    sim.sim.configure(sim.sim.settings.__class__(relaxed=True, scopes=("cjp:task_write",)))
    result = await warmline("connect", "test", before.id)
    assert result.exit_code == 1
    assert "cjp:config_read" in result.output


async def test_rotate_shows_the_new_asset_secret_and_keeps_the_old_one_valid(
    warmline: Command, settings: Settings, values: Values
) -> None:
    before = await connected(warmline, settings, values)
    result = await warmline("connect", "rotate", before.id, "asset")
    assert result.exit_code == 0, result.output
    (after,) = await stored(settings)
    assert after.secrets["asset_webhook_secret"] != before.secrets["asset_webhook_secret"]
    assert after.secrets["asset_webhook_secret"] in result.output
    assert after.secrets["asset_webhook_secret_previous"] == before.secrets["asset_webhook_secret"]
    assert "until the first webhook comes that was signed with the new one" in result.output


async def test_rotate_registers_a_new_subscription_secret_and_does_not_show_it(
    warmline: Command, settings: Settings, values: Values, sim: RunningSim
) -> None:
    before = await connected(warmline, settings, values)
    known = {item["id"]: item["description"] for item in sim.sim.subscriptions.all("v2")["data"]}
    result = await warmline("connect", "rotate", before.id, "subscription")
    assert result.exit_code == 0, result.output
    (after,) = await stored(settings)
    assert after.secrets["subscription_secret"] not in result.output
    now = {item["id"]: item["description"] for item in sim.sim.subscriptions.all("v2")["data"]}
    assert now.keys() == known.keys()
    assert not set(now.values()) & set(known.values())


async def test_rotate_client_asks_and_keeps_the_old_values_when_the_new_ones_fail(
    warmline: Command, settings: Settings, values: Values, sim: RunningSim
) -> None:
    before = await connected(warmline, settings, values)
    refresh = sim.sim.settings.refresh_token
    wrong = await warmline("connect", "rotate", before.id, "client", given=f"wrong-secret-0123456789\n{refresh}\n")
    assert wrong.exit_code == 1
    assert "client_secret" in wrong.output
    assert (await stored(settings))[0].secrets["client_secret"] == before.secrets["client_secret"]
    given = f"{sim.sim.settings.client_secret}\n{refresh}\n"
    right = await warmline("connect", "rotate", before.id, "client", given=given)
    assert right.exit_code == 0, right.output
    nothing = await warmline("connect", "rotate", before.id, "everything")
    assert isinstance(nothing.exception, ConfigError)
    assert "asset" in str(nothing.exception)


async def test_A77_remove_says_what_happens_and_deletes_only_ours(
    warmline: Command, settings: Settings, values: Values, sim: RunningSim
) -> None:
    connection = await connected(warmline, settings, values)
    foreign = {
        "name": "somebody-elses",
        "eventTypes": ["task:new"],
        "destinationUrl": "http://localhost:1/hook",
        "resourceVersion": "task:1.0.0",
    }
    sim.sim.subscriptions.create("v2", foreign)
    refused = await warmline("connect", "remove", connection.id, given="n\n")
    assert refused.exit_code == 1
    assert "no others" in refused.output
    assert await stored(settings) == [connection]
    assert len(subscriptions(sim)) == 4
    assert (await warmline("connect", "remove", connection.id, "--yes")).exit_code == 0
    assert await stored(settings) == []
    assert subscriptions(sim) == {"somebody-elses"}


async def test_remove_goes_on_when_the_contact_centre_cannot_be_reached(
    warmline: Command, settings: Settings, values: Values, sim: RunningSim
) -> None:
    connection = await connected(warmline, settings, values)
    await sim.stop()
    result = await warmline("connect", "remove", connection.id, "--yes")
    assert result.exit_code == 0, result.output
    assert "registrations were not deleted" in result.output
    assert await stored(settings) == []


async def test_changes_are_refused_beside_a_running_server_and_looks_are_not(
    store_url: str, settings: Settings, warmline: Command
) -> None:
    running = replace(settings, database_url=store_url)
    async with store_opened(store_url, key=SECRET_KEY) as store:
        now = 10**15
        await store.claim("host:8080", now, now)
        async with opened(running, reading=True) as beside:
            assert await beside.store.connections() == []
        with pytest.raises(DatabaseInUse, match="stop the server"):
            async with opened(running):
                pass
        await store.release("host:8080")
    async with opened(running) as alone:
        assert await alone.store.connections() == []
