"""Tokens, authorization, limits and error bodies of the emulated Webex (webex-byoc.md §21.1, E-1 to E-9)."""

import asyncio
from typing import Any

import aiohttp
import pytest

from support.webex_lab import NOW_MS, Lab, webex_lab


async def test_E01_a_valid_refresh_gives_both_tokens_and_their_lives(lab: Lab) -> None:
    status, grant = await lab.refresh()
    assert status == 200
    assert grant["expires_in"] == 1_209_600
    assert grant["refresh_token_expires_in"] == pytest.approx(7_776_000, abs=5)
    assert grant["access_token"]
    assert grant["refresh_token"] == lab.values["refresh_token"]


async def test_E02_a_json_body_is_refused(lab: Lab) -> None:
    status, answer = await lab.call(
        "POST",
        "/v1/access_token",
        {
            "grant_type": "refresh_token",
            "client_id": lab.values["client_id"],
            "client_secret": lab.values["client_secret"],
            "refresh_token": lab.values["refresh_token"],
        },
    )
    assert status == 400
    assert answer["errors"][0]["description"] == answer["message"]
    assert answer["trackingId"]


async def test_E03_wrong_secret_401_wrong_or_expired_refresh_token_400() -> None:
    async with webex_lab(connected=False, virtual_clock_start_ms=NOW_MS) as lab:
        assert (await lab.refresh(client_secret="x"))[0] == 401
        assert (await lab.refresh(client_id="x"))[0] == 401
        assert (await lab.refresh(refresh_token="x"))[0] == 400
        assert (await lab.refresh(grant_type="password"))[0] == 400
        assert (await lab.refresh())[0] == 200
        await lab.control("POST", "/clock/advance", {"ms": 7_776_000_000})
        assert (await lab.refresh())[0] == 400


async def test_E04_rotation_makes_a_used_refresh_token_invalid(lab: Lab) -> None:
    await lab.config(rotate_refresh_token=True)
    _, grant = await lab.refresh()
    assert grant["refresh_token"] != lab.values["refresh_token"]
    assert (await lab.refresh())[0] == 400
    assert (await lab.refresh(refresh_token=grant["refresh_token"]))[0] == 200


async def test_E04_a_new_pair_can_be_minted_for_the_own_organization_only(lab: Lab) -> None:
    body = {"clientId": lab.values["client_id"], "clientSecret": lab.values["client_secret"]}
    path = "/v1/applications/app/token"
    status, grant = await lab.call("POST", path, {**body, "targetOrgId": lab.values["org_id"]})
    assert status == 200
    assert (await lab.refresh(refresh_token=grant["refresh_token"]))[0] == 200
    assert (await lab.call("POST", path, {**body, "targetOrgId": "other"}))[0] == 400
    assert (await lab.call("POST", path, {**body, "clientSecret": "x", "targetOrgId": lab.values["org_id"]}))[0] == 401


async def test_E05_the_third_segment_of_the_access_token_is_the_organization(lab: Lab) -> None:
    assert lab.token.split("_")[2] == lab.values["org_id"]
    assert len(lab.token.split("_")) == 3


async def test_E06_a_short_lived_access_token_really_expires() -> None:
    async with webex_lab(connected=False, access_token_ttl_s=60, virtual_clock_start_ms=NOW_MS) as lab:
        await lab.log_in()
        assert (await lab.api("GET", "/v2/subscriptions"))[0] == 200
        await lab.control("POST", "/clock/advance", {"ms": 59_000})
        assert (await lab.api("GET", "/v2/subscriptions"))[0] == 200
        await lab.control("POST", "/clock/advance", {"ms": 1_001})
        assert (await lab.api("GET", "/v2/subscriptions"))[0] == 401
        await lab.log_in()
        assert (await lab.api("GET", "/v2/subscriptions"))[0] == 200


CLASSES: list[tuple[str, str, str, Any]] = [
    ("POST", "/v2/tasks", "cjp:task_write", {}),
    ("POST", "/v2/tasks/t/messages", "cjp:task_write", {}),
    ("POST", "/v1/tasks/t/end", "cjp:task_write", {}),
    ("GET", "/v1/tasks?from=1", "cjp:task_read", None),
    ("POST", "/v2/subscriptions", "cjp:config_write", {}),
    ("DELETE", "/v1/subscriptions/x", "cjp:config_write", None),
    ("GET", "/v2/subscriptions", "cjp:config_read", None),
    ("GET", "/v1/event-types", "cjp:config_read", None),
    ("POST", "/search", "cjp:config_read", {}),
    ("POST", "/v1/captures/query", "cjp:config_read", {}),
    ("GET", "/organization/cb5901fb-ab66-4377-a7bc-5f0b21896952/user/u", "cjp:config_read", None),
]


@pytest.mark.parametrize(("method", "path", "scope", "body"), CLASSES)
async def test_E07_no_header_400_bad_token_401_missing_scope_403(
    lab: Lab, method: str, path: str, scope: str, body: Any
) -> None:
    assert (await lab.call(method, path, body))[0] == 400
    assert (await lab.call(method, path, body, {"Authorization": "Basic abc"}))[0] == 400
    assert (await lab.call(method, path, body, {"Authorization": "Bearer nobody"}))[0] == 401
    settings = await lab.control("GET", "/config")
    await lab.config(scopes=[item for item in settings["scopes"] if item != scope])
    assert (await lab.api(method, path, body))[0] != 403, "a token keeps the scopes it was issued with"
    await lab.log_in()
    status, answer = await lab.api(method, path, body)
    assert status == 403
    assert scope in answer["error"]["message"][0]["description"]


async def test_E07_another_organization_is_403(lab: Lab) -> None:
    other = "00000000-0000-4000-8000-000000000000"
    assert (await lab.api("GET", f"/v2/subscriptions?orgId={other}"))[0] == 403
    assert (await lab.api("GET", f"/organization/{other}/user/u"))[0] == 403
    own = lab.values["org_id"]
    assert (await lab.api("GET", f"/v2/subscriptions?orgId={own}"))[0] == 200


async def test_E08_the_request_beyond_the_limit_is_429_and_leaves_no_trace(lab: Lab) -> None:
    await lab.config(rate_limit_per_minute=5)
    for _ in range(5):
        await lab.create()
    async with lab.http.post(
        lab.sim.url + "/v2/tasks", json=lab.task(), headers={"Authorization": f"Bearer {lab.token}"}
    ) as response:
        assert response.status == 429
        wait_s = int(response.headers["Retry-After"])
        assert 1 <= wait_s <= 60
        assert (await response.json())["error"]["key"] == "429"
    await lab.quiet(0.05)
    assert len((await lab.control("GET", "/tasks"))["tasks"]) == 5
    await lab.control("POST", "/clock/advance", {"ms": wait_s * 1000})
    await lab.create()


async def test_E08_the_default_limit_is_300_a_minute() -> None:
    async with webex_lab(rate_limit_per_minute=300, connected=False, virtual_clock_start_ms=NOW_MS) as lab:
        await lab.log_in()
        statuses = [(await lab.api("GET", "/v2/subscriptions"))[0] for _ in range(301)]
        assert statuses == [200] * 300 + [429]


async def test_E09_error_bodies_carry_the_tracking_id_and_the_key_in_its_form(lab: Lab) -> None:
    headers = {"Authorization": "Bearer nobody", "TrackingId": "WARMLINE_7"}
    status, answer = await lab.call("POST", "/v2/tasks", {}, headers)
    assert (status, answer["trackingId"], answer["error"]["key"]) == (401, "WARMLINE_7", "401")
    assert answer["error"]["message"][0]["description"]
    status, answer = await lab.call("GET", "/v2/subscriptions", None, headers)
    assert (status, answer["trackingId"], answer["error"]["key"]) == (401, "WARMLINE_7", 401)
    status, answer = await lab.api("POST", "/v2/tasks", {})
    assert status == 400
    assert answer["trackingId"].startswith("SIM_")


async def test_invalid_json_and_other_json_are_refused(lab: Lab) -> None:
    headers = {"Authorization": f"Bearer {lab.token}", "Content-Type": "application/json"}
    for raw in (b"{", b"[]", b'"text"', b"\xff"):
        async with lab.http.post(lab.sim.url + "/v2/tasks", data=raw, headers=headers) as response:
            assert response.status == 400


async def test_faults_answer_delay_and_cut_requests_before_or_after_they_are_carried_out(lab: Lab) -> None:
    await lab.fault({"status": 503, "times": 2}, endpoint="create")
    assert (await lab.api("POST", "/v2/tasks", lab.task()))[0] == 503
    assert (await lab.api("POST", "/v2/tasks", lab.task()))[0] == 503
    assert (await lab.control("GET", "/tasks"))["tasks"] == []
    task_id = await lab.create()

    await lab.fault({"drop": True, "times": 1}, endpoint="create")
    with pytest.raises(aiohttp.ClientError):
        await lab.create()
    assert len((await lab.control("GET", "/tasks"))["tasks"]) == 1

    await lab.fault({"drop": True, "when": "after", "times": 1}, endpoint="create")
    with pytest.raises(aiohttp.ClientError):
        await lab.create()
    assert len((await lab.control("GET", "/tasks"))["tasks"]) == 2

    await lab.fault({"delay_ms": 120, "times": 1}, endpoint="/v2/tasks/*", taskId=task_id)
    started = asyncio.get_running_loop().time()
    assert (await lab.append(task_id, "late"))[0] == 201
    assert asyncio.get_running_loop().time() - started >= 0.12

    await lab.fault({"status": 429, "retry_after": 7, "times": 1}, endpoint="append")
    async with lab.http.post(
        f"{lab.sim.url}/v2/tasks/{task_id}/messages", headers={"Authorization": f"Bearer {lab.token}"}
    ) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")


async def test_a_fault_may_answer_nonsense_to_a_request_that_it_carries_out(lab: Lab) -> None:
    await lab.fault({"nonsense": True, "times": 1}, endpoint="create")
    headers = {"Authorization": f"Bearer {lab.token}"}
    async with lab.http.post(f"{lab.sim.url}/v2/tasks", json=lab.task(), headers=headers) as response:
        assert response.status == 201
        with pytest.raises(aiohttp.ContentTypeError):
            await response.json()
    assert len((await lab.control("GET", "/tasks"))["tasks"]) == 1
