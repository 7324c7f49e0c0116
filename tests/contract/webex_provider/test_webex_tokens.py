"""OAuth (webex-byoc.md §5)."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qs

import aiohttp
import pytest

from support.scripted_http import Reply, ScriptedServer
from support.stores import opened
from support.webex import TASK
from warmline.domain.errors import StoreUnavailable
from warmline.handoff.contract import (
    ProviderAuthFailed,
    ProviderEnvironment,
    ProviderNotAsked,
    ProviderUnavailable,
    send_guard,
)
from warmline.handoff.providers.webex.client import WebexClient
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.providers.webex.mapping import append_message
from warmline.handoff.providers.webex.tokens import Tokens
from warmline.handoff.registry import Registry
from warmline.system import SystemClock, SystemIds
from warmline.testing.clock import ManualClock
from warmline.testing.messaging_client import PATIENCE_S

from .conftest import Outside, connection_to, grant, with_clock

TOKEN = "POST /v1/access_token"
APPEND = f"POST /v2/tasks/{TASK}/messages"
DAY_S = 24 * 3600


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def tokens_of(scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock, **secrets: str) -> Tokens:
    connection = connection_to(scripted.url, {"access_token": "", "access_renew_at": "", **secrets})
    return Tokens(WebexConfig.read(connection.values), connection.secrets, with_clock(environment, clock))


def client_of(scripted: ScriptedServer, environment: ProviderEnvironment) -> WebexClient:
    connection = connection_to(scripted.url, rate_per_minute="100000")
    config = WebexConfig.read(connection.values)
    return WebexClient(config, Tokens(config, connection.secrets, environment), environment)


async def test_the_refresh_request_is_the_documented_form(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock
) -> None:
    await tokens_of(scripted, environment, clock).token()
    (asked,) = scripted.requests(TOKEN)
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["refresh_token"],
        "client_id": ["C" + "0" * 64],
        "client_secret": ["client secret"],
        "refresh_token": ["refresh-0"],
    }


async def test_A6_fifty_callers_at_expiry_cause_one_refresh(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock
) -> None:
    scripted.line_up(TOKEN, Reply(body=grant("fresh").body, delay_s=0.05))
    tokens = tokens_of(scripted, environment, clock)
    assert set(await asyncio.gather(*(tokens.token() for _ in range(50)))) == {"fresh"}
    assert len(scripted.requests(TOKEN)) == 1


async def test_A6_fifty_calls_refused_at_once_cause_one_refresh(
    scripted: ScriptedServer, environment: ProviderEnvironment
) -> None:
    def answer(asked):
        return Reply(status=401 if asked.headers["authorization"] == "Bearer access" else 201)

    scripted.always(APPEND, answer)
    client = client_of(scripted, environment)
    await asyncio.gather(*(client.append(TASK, append_message(f"a{n}", "x", 1)) for n in range(50)))
    assert len(scripted.requests(TOKEN)) == 1
    taken = [asked for asked in scripted.requests(APPEND) if asked.headers["authorization"] != "Bearer access"]
    assert len({asked.body for asked in taken}) == len(taken) == 50


async def test_A7_a_rotated_pair_is_saved_before_its_first_use(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock, outside: Outside
) -> None:
    order: list[str] = []

    async def save(secrets):
        order.append("saving")
        await asyncio.sleep(0.02)
        order.append("saved")

    tokens = tokens_of(scripted, replace(environment, save_secrets=save), clock)

    async def use():
        await tokens.token()
        order.append("used")

    await asyncio.gather(use(), use())
    assert order == ["saving", "saved", "used", "used"]


async def test_A7_after_a_crash_right_behind_the_save_the_stored_pair_works(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock, outside: Outside
) -> None:
    await tokens_of(scripted, environment, clock).token()
    (saved,) = outside.saved
    assert saved["refresh_token"] == "refresh-1"
    restarted = tokens_of(scripted, environment, clock, **saved)
    assert await restarted.token() == saved["access_token"]
    await restarted.refreshed()
    assert parse_qs(scripted.requests(TOKEN)[1].body.decode())["refresh_token"] == ["refresh-1"]


async def test_A7_a_pair_that_cannot_be_saved_is_kept_and_not_used_until_it_is(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock, outside: Outside
) -> None:
    tokens = tokens_of(scripted, environment, clock)
    outside.broken = StoreUnavailable("disk full")
    with pytest.raises(ProviderUnavailable):
        await tokens.token()
    outside.broken = None
    await clock.advance(2)
    assert await tokens.token() == grant().body["access_token"]
    assert len(scripted.requests(TOKEN)) == 1, "the rotated refresh token was asked for once only"
    assert outside.saved[0]["refresh_token"] == "refresh-1"


async def test_two_processes_share_one_refresh(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock
) -> None:
    shared = {"access_token": "", "refresh_token": "refresh-0"}

    async def load() -> dict[str, str]:
        return dict(shared)

    async def save(secrets: Mapping[str, str]) -> None:
        shared.update(secrets)

    environment = replace(environment, load_secrets=load, save_secrets=save)
    first, second = (tokens_of(scripted, environment, clock) for _ in range(2))
    renewed = grant().body["access_token"]
    await first.refreshed()
    assert await second.token() == renewed
    assert len(scripted.requests(TOKEN)) == 1


async def test_A6_two_nodes_at_once_cause_one_refresh(
    postgres_url: str, scripted: ScriptedServer, http: aiohttp.ClientSession
) -> None:
    """The second one's refresh token would be dead, and with it the connection."""
    scripted.always(TOKEN, Reply(status=400, body={"message": "rotated"}))
    scripted.line_up(TOKEN, replace(grant(), delay_s=0.3))
    connection = connection_to(scripted.url, {"access_token": "", "access_renew_at": ""})
    async with opened(postgres_url) as first, opened(postgres_url) as second:
        await first.save_connection(connection)
        nodes = [
            Registry(store, http, SystemClock(), SystemIds(), public_url="http://localhost", install_secret=b"i")
            for store in (first, second)
        ]
        config = WebexConfig.read(connection.values)
        tokens = [Tokens(config, connection.secrets, node.environment(connection.id)) for node in nodes]
        given = await asyncio.gather(*(node.token() for node in tokens))
    assert given == [grant().body["access_token"]] * 2
    assert len(scripted.requests(TOKEN)) == 1


async def test_a_refresh_that_another_process_was_quicker_with_is_taken_over(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock, outside: Outside
) -> None:
    shared = {"access_token": "", "refresh_token": "refresh-0"}

    async def load() -> dict[str, str]:
        return dict(shared)

    scripted.always(TOKEN, Reply(status=400, body={"message": "rotated"}))
    tokens = tokens_of(scripted, replace(environment, load_secrets=load), clock)
    refreshing = asyncio.create_task(tokens.refreshed())
    await scripted.until(lambda: len(scripted.requests(TOKEN)) == 1)
    await scripted.until(lambda: clock.sleepers > 0)
    shared.update({"access_token": "of the other", "refresh_token": "refresh-1"})
    await clock.advance(3)
    await refreshing
    assert await tokens.token() == "of the other"
    assert outside.states == []


async def test_A8_after_a_401_one_refresh_and_one_retry(
    scripted: ScriptedServer, environment: ProviderEnvironment
) -> None:
    scripted.line_up(APPEND, Reply(status=401), Reply(status=201))
    await client_of(scripted, environment).append(TASK, append_message("a", "x", 1))
    assert [asked.headers["authorization"] for asked in scripted.requests(APPEND)] == [
        "Bearer access",
        f"Bearer {grant().body['access_token']}",
    ]
    assert len(scripted.requests(TOKEN)) == 1


async def test_A8_a_second_401_stops_the_connection(
    scripted: ScriptedServer, environment: ProviderEnvironment, outside: Outside
) -> None:
    scripted.always(APPEND, Reply(status=401))
    client = client_of(scripted, environment)
    for _ in range(2):
        with pytest.raises(ProviderAuthFailed):
            await client.append(TASK, append_message("a", "x", 1))
    assert len(scripted.requests(APPEND)) == 2, "the second call was not even tried"
    assert len(scripted.requests(TOKEN)) == 1
    assert [state for state, _ in outside.states] == ["auth_failed"]


@pytest.mark.parametrize(("status", "named"), [(400, "refresh token"), (401, "client ID or client secret")])
async def test_A8_a_refused_refresh_is_final_and_not_repeated(
    scripted: ScriptedServer,
    environment: ProviderEnvironment,
    clock: ManualClock,
    outside: Outside,
    status: int,
    named: str,
) -> None:
    scripted.always(TOKEN, Reply(status=status, body={"message": "no", "errors": [{"description": "expired"}]}))
    tokens = tokens_of(scripted, environment, clock)
    for _ in range(3):
        with pytest.raises(ProviderAuthFailed, match=named):
            await tokens.token()
        await clock.advance(3600)
    assert len(scripted.requests(TOKEN)) == 1
    ((state, reason),) = outside.states
    assert state == "auth_failed"
    assert "expired" in reason
    assert "refresh-0" not in reason


@pytest.mark.parametrize("trouble", [Reply(status=503), Reply(status=429), Reply(cut=True), Reply(body={})])
async def test_A9_trouble_at_the_token_endpoint_keeps_the_old_token_until_it_expires(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock, outside: Outside, trouble: Reply
) -> None:
    tokens = tokens_of(scripted, environment, clock)
    first = await tokens.token()
    scripted.always(TOKEN, trouble)
    await clock.advance(12 * DAY_S)
    assert await tokens.token() == first
    await scripted.until(lambda: len(scripted.requests(TOKEN)) == 2)
    assert await tokens.token() == first
    await clock.advance(3 * DAY_S)
    with pytest.raises(ProviderUnavailable):
        await tokens.token()
    assert outside.states == []
    scripted.always(TOKEN, grant("third"))
    await clock.advance(61)
    assert await tokens.token() == "third"


async def test_A9_a_refresh_that_fails_is_one_failure_however_many_calls_it_fails(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock
) -> None:
    scripted.always(TOKEN, Reply(status=503))
    tokens = tokens_of(scripted, environment, clock)
    at_once = await asyncio.gather(*(tokens.token() for _ in range(20)), return_exceptions=True)
    assert [type(error) for error in at_once] == [ProviderUnavailable] + [ProviderNotAsked] * 19
    with pytest.raises(ProviderNotAsked):
        await tokens.token()
    assert len(scripted.requests(TOKEN)) == 1


async def test_A9_retries_back_off(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock
) -> None:
    scripted.always(TOKEN, Reply(status=503))
    tokens = tokens_of(scripted, environment, clock)
    asked_at = []
    for second in range(130):
        before = len(scripted.requests(TOKEN))
        with pytest.raises(ProviderUnavailable):
            await tokens.token()
        if len(scripted.requests(TOKEN)) > before:
            asked_at.append(second)
        await clock.advance(1)
    assert asked_at == [0, 1, 3, 7, 15, 31, 63, 123]


async def test_a_token_is_renewed_in_the_background_in_the_last_quarter_of_its_life(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock
) -> None:
    tokens = tokens_of(scripted, environment, clock)
    first = await tokens.token()
    scripted.always(TOKEN, grant("second"))
    await clock.advance(10.4 * DAY_S)
    assert await tokens.token() == first
    assert len(scripted.requests(TOKEN)) == 1
    await clock.advance(0.2 * DAY_S)
    assert await tokens.token() == first, "nobody waits for it"
    await scripted.until(lambda: len(scripted.requests(TOKEN)) == 2)
    async with asyncio.timeout(PATIENCE_S):
        while await tokens.token() == first:  # noqa: ASYNC110  (what is waited for tells nobody)
            await asyncio.sleep(0.02)
    assert await tokens.token() == "second"


async def test_a_short_lived_token_is_not_renewed_at_every_call(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock
) -> None:
    scripted.always(TOKEN, grant("short", life=60))
    tokens = tokens_of(scripted, environment, clock)
    for _ in range(10):
        assert await tokens.token() == "short"
    assert len(scripted.requests(TOKEN)) == 1
    await clock.advance(61)
    await tokens.token()
    assert len(scripted.requests(TOKEN)) == 2


async def test_a_pasted_access_token_of_unknown_age_is_renewed_at_once_but_serves_meanwhile(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock
) -> None:
    tokens = tokens_of(scripted, environment, clock, access_token="pasted")
    assert await tokens.token() == "pasted"
    await scripted.until(lambda: len(scripted.requests(TOKEN)) == 1)


async def test_a_lost_lease_of_one_caller_does_not_sink_the_refresh_of_all(
    scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock
) -> None:
    def lost() -> None:
        raise AssertionError("the guard of one caller was asked about a refresh for all")

    guard = send_guard.set(lost)
    try:
        assert await tokens_of(scripted, environment, clock).token() == grant().body["access_token"]
    finally:
        send_guard.reset(guard)


async def test_nothing_of_a_secret_shows_in_errors(
    http: aiohttp.ClientSession, scripted: ScriptedServer, environment: ProviderEnvironment, clock: ManualClock
) -> None:
    scripted.always(TOKEN, Reply(status=400, body={"message": "invalid"}))
    tokens = tokens_of(scripted, environment, clock)
    with pytest.raises(ProviderAuthFailed) as caught:
        await tokens.token()
    told = f"{caught.value} {caught.value.hint} {tokens!r}"
    assert "client secret" not in told.replace("client ID or client secret", "")
    assert "refresh-0" not in told
