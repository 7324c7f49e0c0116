"""`warmline connect add webex`: the test's verdicts in their order, with cause and remedy (webex-byoc.md §4)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from warmline.emulators.webex import RunningSim
from warmline.emulators.webex.settings import changed

from .conftest import Command

STEPS = ["token", "organization", "event_types", "subscriptions", "reachability"]


NEW_PAIR = "Generate a new token pair"
SECRET_AGAIN = "Copy both again"
SCOPE = "let a full administrator authorize the app again"


@pytest.mark.parametrize(
    ("fails", "given", "webex", "cause", "remedy"),
    [
        ("token", {"client_secret": "0" * 64}, {}, "client_secret: Webex does not accept", SECRET_AGAIN),
        ("token", {"refresh_token": "0" * 40}, {}, "refresh_token: Webex does not accept", NEW_PAIR),
        ("token", {"oauth_token_url": "http://127.0.0.1:1/"}, {}, "ClientConnectorError", "Check the token URL"),
        (
            "organization",
            {"org_id": "11111111-1111-4111-8111-111111111111"},
            {},
            "org_id: ",
            "Correct the organization",
        ),
        ("event_types", {}, {"scopes": ["cjp:task_write", "cjp:config_write"]}, "cjp:config_read", SCOPE),
        ("event_types", {"api_base_url": "http://127.0.0.1:1"}, {}, "ClientConnectorError", "Check the data center"),
        ("subscriptions", {}, {"scopes": ["cjp:task_write", "cjp:config_read"]}, "cjp:config_write", SCOPE),
        ("subscriptions", {}, {"subscriptionLimit": 0}, "maximum of 0", "delete subscriptions that nobody needs"),
        ("subscriptions", {}, {"relaxed": False}, "destinationUrl", "set WARMLINE_PUBLIC_URL"),
    ],
)
async def test_the_first_wrong_step_ends_the_test_and_says_what_to_do(
    warmline: Command,
    sim: RunningSim,
    values: Callable[..., Path],
    fails: str,
    given: dict[str, str],
    webex: dict[str, Any],
    cause: str,
    remedy: str,
) -> None:
    sim.sim.configure(changed(sim.sim.settings, webex))
    result = await warmline("connect", "add", "webex", "--values", str(values(**given)))
    assert result.exit_code == 1
    lines = [line for line in result.output.splitlines() if line.startswith(("ok ", "warn ", "fail "))]
    at = STEPS.index(fails)
    assert [line.split()[1].rstrip(":") for line in lines] == STEPS[: at + 1]
    assert [line.split()[0] for line in lines] == ["ok"] * at + ["fail"]
    told = result.output[result.output.index("fail ") :]
    assert cause in told
    assert remedy in told
    assert "Nothing was saved." in result.output


async def test_a_good_connection_passes_every_step_in_order(warmline: Command, values: Callable[..., Path]) -> None:
    result = await warmline("connect", "add", "webex", "--values", str(values()))
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if line.startswith(("ok ", "warn ", "fail "))]
    assert [line.split()[1].rstrip(":") for line in lines] == STEPS
    assert [line.split()[0] for line in lines] == ["ok"] * 4 + ["warn"], "nobody serves the webhooks yet"
