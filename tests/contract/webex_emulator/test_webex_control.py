"""The control plane of the emulated Webex (webex-byoc.md §20.7) and the way the desktop is served."""

import asyncio

import aiohttp
import pytest

from support.webex_lab import Lab, until, webex_lab


async def test_health_and_the_shape_of_a_task(lab: Lab) -> None:
    assert (await lab.control("GET", "/health"))["status"] == "ok"
    task_id = await lab.create("hello", origin="ann", globalVariables={"reason": "bill"})
    await lab.arrived("task:parked", task_id)
    task = await lab.truth(task_id)
    [message] = task.pop("transcript")
    assert {
        "direction": "INBOUND",
        "senderType": "customer",
        "text": "hello",
        "attachments": [],
    }.items() <= message.items()
    assert set(message) == {"direction", "senderType", "aliasId", "text", "attachments", "at"}
    created = task.pop("createdTime")
    assert created <= message["at"]
    assert task == {
        "id": task_id,
        "status": "parked",
        "origin": {"id": "ann", "name": "Ann"},
        "destination": lab.values["business_address"],
        "channel": lab.values["channel_name"],
        "queue": "support",
        "agentId": None,
        "consultedAgentId": None,
        "inConference": False,
        "reason": None,
        "terminatingParty": None,
        "wrapUpCode": None,
        "globalVariables": {"reason": "bill"},
    }
    assert [item["id"] for item in (await lab.control("GET", "/tasks"))["tasks"]] == [task_id]
    status, answer = await lab.call("GET", "/__sim/v1/tasks/unknown")
    assert (status, answer["error"]) == (404, "not_found")


async def test_config_is_merged_and_checked(lab: Lab) -> None:
    before = await lab.control("GET", "/config")
    after = await lab.control("PUT", "/config", {"createDelayMs": 7, "rona_seconds": 1.5})
    assert {**before, "createDelayMs": 7, "ronaSeconds": 1.5} == after
    for bad, word in [
        ({"colour": 1}, "colour"),
        ({"createDelayMs": "x"}, "createDelayMs"),
        ({"assets": [{}]}, "assets"),
        ({"virtualClockStartMs": 1}, "chosen at the start"),
    ]:
        status, answer = await lab.call("PUT", "/__sim/v1/config", bad)
        assert status == 400
        assert word in answer["message"]
    assert await lab.control("GET", "/config") == after


async def test_strict_mode_takes_only_a_public_webhook_url() -> None:
    async with webex_lab(connected=False, relaxed=False) as lab:
        address = lab.values["business_address"]
        for url, word in [("http://chat.lumen.io/a", "https"), ("https://chat.lumen.io:8443/a", "443")]:
            change = {"assets": [{"businessAddress": address, "webhookUrl": url}]}
            status, answer = await lab.call("PUT", "/__sim/v1/config", change)
            assert (status, word in answer["message"]) == (400, True)
        await lab.config(assets=[{"businessAddress": address, "webhookUrl": "https://chat.lumen.io/a"}])


async def test_the_clock_is_shown_and_goes_forward_only(lab: Lab) -> None:
    before = await lab.control("GET", "/clock")
    assert before["virtual"] is False
    after = await lab.control("POST", "/clock/advance", {"ms": 90_000})
    assert after["now"] - before["now"] >= 90_000
    assert (await lab.call("POST", "/__sim/v1/clock/advance", {"ms": -1}))[0] == 400


async def test_what_was_seen_can_be_searched(lab: Lab) -> None:
    first, second = await lab.create(), await lab.create()
    await lab.arrived("task:parked", second)
    await lab.fault({"status": 500, "times": 1}, event="task:ended")
    await lab.end(second)
    await lab.arrived("task:ended", second)
    seen = (await lab.control("GET", f"/deliveries?taskId={second}&status=500"))["deliveries"]
    assert [(item["event"], item["attempt"]) for item in seen] == [("task:ended", 1)]
    asked = (await lab.control("GET", "/requests?endpoint=end"))["requests"]
    assert [item["taskId"] for item in asked] == [second] != [first]
    status, answer = await lab.call("GET", "/__sim/v1/deliveries?colour=red")
    assert (status, "destination" in answer["message"]) == (400, True)


async def test_requests_are_remembered_without_secrets(lab: Lab) -> None:
    task = lab.task("hello")
    await lab.api("POST", "/v2/tasks", task)
    raw = str(requests := (await lab.control("GET", "/requests"))["requests"])
    assert requests[-1]["body"] == task
    assert (requests[-1]["endpoint"], requests[-1]["status"]) == ("create", 201)
    assert lab.token not in raw
    assert lab.values["client_secret"] not in raw


async def test_a_reset_forgets_traffic_and_keeps_the_connection(lab: Lab) -> None:
    await lab.config(create_delay_ms=50, noise_events=True)
    await lab.fault({"drop": True}, event="task:new")
    await lab.available("agent-1")
    await lab.create()
    await lab.control("POST", "/reset")
    assert (await lab.control("GET", "/tasks"))["tasks"] == []
    assert (await lab.control("GET", "/faults"))["faults"] == []
    assert (await lab.control("GET", "/deliveries"))["deliveries"] == []
    config = await lab.control("GET", "/config")
    assert (config["createDelayMs"], config["noiseEvents"]) == (0, False)
    assert {agent["state"] for agent in (await lab.control("GET", "/agents"))["agents"]} == {"LoggedOut"}
    task_id = await lab.connected()
    await lab.agent("agent-1", "say", taskId=task_id, text="hello")
    await until(lambda: lab.receiver.types("/asset") == ["task-message:appended"], "outbound")
    await lab.control("POST", "/reset", {"everything": True})
    assert (await lab.api("GET", "/v2/subscriptions"))[0] == 401
    await lab.log_in()
    assert (await lab.api("GET", "/v2/subscriptions"))[1]["data"] == []
    assert (await lab.control("GET", "/config"))["assets"][0]["webhookUrl"] == ""


async def test_bad_faults_are_refused_and_faults_are_listed(lab: Lab) -> None:
    for bad in (
        {"match": {"endpoint": "nowhere"}, "effect": {}},
        {"match": {"event": "task:new", "endpoint": "create"}, "effect": {"drop": True}},
        {"match": {"endpoint": "create"}, "effect": {"duplicate": True}},
        {"effect": {"explode": True}},
        {"match": {}},
    ):
        assert (await lab.call("POST", "/__sim/v1/faults", bad))[0] == 400, bad
    first = await lab.fault({"drop": True}, event="task:new")
    await lab.fault({"status": 500, "for_ms": 60_000}, endpoint="event-types")
    listed = (await lab.control("GET", "/faults"))["faults"]
    assert (listed[0]["id"], listed[0]["applied"]) == (first, 0)
    assert (await lab.api("GET", "/v2/event-types"))[0] == 500
    await lab.control("POST", "/clock/advance", {"ms": 60_001})
    assert (await lab.api("GET", "/v2/event-types"))[0] == 200
    await lab.control("DELETE", f"/faults/{first}")
    assert (await lab.call("DELETE", f"/__sim/v1/faults/{first}"))[0] == 404
    await lab.control("DELETE", "/faults")
    assert (await lab.control("GET", "/faults"))["faults"] == []


async def test_the_desktop_is_served_with_a_strict_policy(lab: Lab) -> None:
    for name, kind in [("", "text/html"), ("desktop.js", "text/javascript"), ("desktop.css", "text/css")]:
        async with lab.http.get(f"{lab.sim.url}/desktop/{name}") as response:
            assert (response.status, response.content_type) == (200, kind)
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
    for name in ("nothing.js", "..", "settings.py"):
        async with lab.http.get(f"{lab.sim.url}/desktop/{name}") as response:
            assert response.status == 404


async def test_pages_of_other_sites_can_neither_drive_nor_watch(lab: Lab) -> None:
    foreign = {"Origin": "https://elsewhere.lumen.io"}
    status, answer = await lab.call("POST", "/__sim/v1/reset", {}, foreign)
    assert (status, answer["error"]) == (403, "forbidden")
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await lab.http.ws_connect(lab.sim.url + "/desktop/ws", headers=foreign)
    assert (await lab.call("GET", "/__sim/v1/health", None, {"Origin": lab.sim.url}))[0] == 200


async def test_two_emulators_run_side_by_side() -> None:
    async with webex_lab() as one, webex_lab() as two:
        first, second = await asyncio.gather(one.create(origin="ann"), two.create(origin="ann"))
        await asyncio.gather(one.arrived("task:parked", first), two.arrived("task:parked", second))
        assert one.receiver.of("task:new")[0].data["taskId"] == first
        assert [hook.data["taskId"] for hook in two.receiver.of("task:new")] == [second]
