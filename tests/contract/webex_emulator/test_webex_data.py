"""Search, transcripts and the control plane of the emulated Webex (webex-byoc.md §21.1, E-58, E-59; §20.7)."""

import asyncio
from typing import Any

import aiohttp
import pytest

from support.webex_lab import Lab, until, webex_lab

DAY_MS = 86_400_000


async def search(lab: Lab, arguments: str, fields: str = "id status isActive", **variables: Any) -> tuple[int, Any]:
    query = f"{{ taskDetails({arguments}) {{ tasks {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    if variables:
        query = "query Q($id: String!) " + query
    return await lab.api("POST", f"/search?orgId={lab.values['org_id']}", {"query": query, "variables": variables})


def span(lab: Lab, since_ms: int = -60_000, until_ms: int = 60_000) -> str:
    now = lab.sim.sim.world.clock.now_ms()
    return f"from: {now + since_ms}, to: {now + until_ms}"


async def found(lab: Lab, more: str = "", fields: str = "id status isActive") -> list[dict[str, Any]]:
    status, answer = await search(lab, span(lab) + more, fields)
    assert status == 200, answer
    tasks: list[dict[str, Any]] = answer["data"]["taskDetails"]["tasks"]
    return tasks


async def test_E58_search_follows_the_task(lab: Lab) -> None:
    task_id = await lab.connected(origin="ann")
    fields = "id status isActive origin destination direction endedTime terminatingEnd terminationReason"
    [row] = await found(lab, fields=fields + " lastQueue { id name } lastAgent { name }")
    assert row == {
        "id": task_id,
        "status": "connected",
        "isActive": True,
        "origin": "ann",
        "destination": lab.values["business_address"],
        "direction": "inbound",
        "endedTime": None,
        "terminatingEnd": None,
        "terminationReason": None,
        "lastQueue": {"id": lab.receiver.of("task:parked")[0].data["queueId"], "name": "support"},
        "lastAgent": {"name": "Maya Okafor"},
    }
    await lab.agent("agent-1", "end", taskId=task_id)
    [row] = await found(lab, fields=fields)
    assert (row["status"], row["isActive"]) == ("ended", False)
    assert (row["terminatingEnd"], row["terminationReason"]) == ("Agent", "Agent Left")
    assert row["endedTime"]


async def test_E58_filters_variables_and_aliases(lab: Lab) -> None:
    first, second = await lab.create(origin="ann"), await lab.create(origin="tom")
    await lab.arrived("task:parked", second)
    for more, ids in [
        (f', filter: {{or: [{{id: {{equals: "{first}"}}}}, {{id: {{equals: "x"}}}}]}}', [first]),
        (', filter: {and: [{origin: {contains: "o"}}, {isActive: {equals: true}}]}', [second]),
        (', filter: {status: {notequals: "parked"}}', []),
        (f", filter: {{createdTime: {{gte: {10**12}, lt: {10**14}}}}}", [first, second]),
        (", timeComparator: endedTime", []),
    ]:
        assert [row["id"] for row in await found(lab, more)] == ids, more
    status, answer = await search(lab, span(lab) + ", filter: {id: {equals: $id}}", "key: id", id=second)
    assert (status, answer["data"]["taskDetails"]["tasks"]) == (200, [{"key": second}])
    _, answer = await lab.api("POST", "/search", {"query": f"{{ task({span(lab)}) {{ tasks {{ id }} }} }}"})
    assert len(answer["data"]["task"]["tasks"]) == 2


@pytest.mark.parametrize(
    ("more", "fields"),
    [
        (", filter: {id: {is: 1}}", "id"),
        (', filter: {colour: {equals: "red"}}', "id"),
        (", filter: {or: {}}", "id"),
        (", timeComparator: startTime", "id"),
        (", filter: {id: {equals: $missing}}", "id"),
        ("", "id colour"),
        ("", "...Fragment"),
        ("", ""),
    ],
)
async def test_E58_bad_queries_are_400(lab: Lab, more: str, fields: str) -> None:
    status, answer = await search(lab, span(lab) + more, fields)
    assert status == 400, answer
    assert answer["error"]["message"][0]["description"].startswith("Invalid query")


async def test_E58_a_query_needs_its_times_and_a_known_type(lab: Lab) -> None:
    assert (await search(lab, "timeComparator: createdTime"))[0] == 400
    for query in ("", "{", "mutation { x }", f"{{ agentThing({span(lab)}) {{ tasks {{ id }} }} }}", None):
        assert (await lab.api("POST", "/search", {"query": query}))[0] == 400


async def test_E58_spans_are_limited(lab: Lab) -> None:
    assert (await search(lab, span(lab, -364 * DAY_MS), "id"))[0] == 200
    assert (await search(lab, span(lab, -366 * DAY_MS), "id"))[0] == 400
    assert (await search(lab, span(lab, -31 * DAY_MS), "id activities { id }"))[0] == 400
    assert (await search(lab, span(lab, -29 * DAY_MS), "id activities { id }"))[0] == 200


async def test_E58_the_index_lags(lab: Lab) -> None:
    await lab.config(search_lag_ms=10_000)
    task_id = await lab.create()
    await lab.arrived("task:parked", task_id)
    assert await found(lab) == []
    await lab.control("POST", "/clock/advance", {"ms": 10_001})
    assert [row["status"] for row in await found(lab)] == ["parked"]
    await lab.end(task_id)
    await lab.arrived("task:ended", task_id)
    assert [row["status"] for row in await found(lab)] == ["parked"]
    await lab.control("POST", "/clock/advance", {"ms": 10_001})
    assert [row["status"] for row in await found(lab)] == ["ended"]


async def test_E58_pages_hold_250_rows(lab: Lab) -> None:
    for _ in range(251):
        await lab.create()
    await until(lambda: len(lab.receiver.of("task:parked")) == 251, "all parked")
    _, answer = await search(lab, span(lab), "id")
    page = answer["data"]["taskDetails"]
    assert (len(page["tasks"]), page["pageInfo"]["hasNextPage"]) == (250, True)
    _, answer = await search(lab, span(lab) + f', pagination: {{cursor: "{page["pageInfo"]["endCursor"]}"}}', "id")
    rest = answer["data"]["taskDetails"]
    assert (len(rest["tasks"]), rest["pageInfo"]) == (1, {"hasNextPage": False, "endCursor": "NA"})
    assert (await search(lab, span(lab) + ', pagination: {cursor: "?"}', "id"))[0] == 400


async def captured(lab: Lab, *task_ids: str, **more: Any) -> tuple[int, Any]:
    query = {"orgId": lab.values["org_id"], "taskIds": list(task_ids), "urlExpiration": 30, **more}
    return await lab.api("POST", "/v1/captures/query", {"query": query})


async def test_E59_a_transcript_is_there_some_time_after_the_end(lab: Lab) -> None:
    await lab.subscribe("captures", ["capture:available"], "capture:1.0.0")
    await lab.config(transcript_delay_ms=5000)
    task_id = await lab.connected(text="my card 4111111111111111")
    await lab.agent("agent-1", "end", taskId=task_id)
    assert (await captured(lab, task_id))[1]["data"] == [{"taskId": task_id, "recording": [], "transcription": []}]
    await lab.control("POST", "/clock/advance", {"ms": 5001})
    [hook] = await lab.arrived("capture:available", task_id)
    assert hook.headers["X-WebexCC-Webhook-Version"] == "capture:1.0.0"
    status, answer = await captured(lab, task_id, "unknown")
    assert (status, answer["data"][1]) == (200, {"taskId": "unknown", "recording": [], "transcription": []})
    [entry] = answer["data"][0]["transcription"]
    async with lab.http.get(entry["filePath"]) as response:
        transcript = await response.json()
    assert [message["text"] for message in transcript["messages"]] == ["my card XXXXXXXXXXXXXXXX"]
    await lab.control("POST", "/clock/advance", {"ms": 30 * 60_000})
    async with lab.http.get(entry["filePath"]) as response:
        assert response.status == 403


async def test_E59_limits_of_the_query(lab: Lab) -> None:
    assert (await captured(lab, *(str(number) for number in range(10))))[0] == 200
    assert (await captured(lab, *(str(number) for number in range(11))))[0] == 400
    assert (await captured(lab, "a", "a"))[0] == 400
    assert (await captured(lab))[0] == 400
    assert (await captured(lab, "a", urlExpiration=0))[0] == 400
    assert (await captured(lab, "a", urlExpiration=61))[0] == 400
    assert (await captured(lab, "a", orgId="other"))[0] == 403


async def test_the_old_task_list_speaks_its_own_words(lab: Lab) -> None:
    task_id = await lab.create()
    await lab.arrived("task:parked", task_id)
    status, answer = await lab.api("GET", "/v1/tasks?from=0&pageSize=10")
    assert (status, [(item["id"], item["status"]) for item in answer["data"]]) == (200, [(task_id, "queued")])
    for query in ("", "?from=x", "?from=1&pageSize=1001"):
        assert (await lab.api("GET", "/v1/tasks" + query))[0] == 400


# -- control plane


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
        "reason": None,
        "terminatingParty": None,
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
    ]:
        status, answer = await lab.call("PUT", "/__sim/v1/config", bad)
        assert status == 400
        assert word in answer["message"]
    assert await lab.control("GET", "/config") == after


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
    await lab.fault({"status": 500, "for_ms": 1000}, endpoint="search")
    listed = (await lab.control("GET", "/faults"))["faults"]
    assert (listed[0]["id"], listed[0]["applied"]) == (first, 0)
    assert (await search(lab, span(lab)))[0] == 500
    await lab.control("POST", "/clock/advance", {"ms": 1001})
    assert (await search(lab, span(lab)))[0] == 200
    await lab.control("DELETE", f"/faults/{first}")
    assert (await lab.call("DELETE", f"/__sim/v1/faults/{first}"))[0] == 404
    await lab.control("DELETE", "/faults")
    assert (await lab.control("GET", "/faults"))["faults"] == []


# -- scenarios

SCENARIOS = [
    "happy_path", "flow_greeting", "rona_then_accept", "transfer_queue", "transfer_agent", "agent_ends",
    "customer_ends", "both_end", "fast_fail_before_201", "already_open_same", "already_open_stale",
    "already_open_unknown", "limit_exceeded", "policy_reject", "malware_drop", "pci_mask", "duplicate_storm",
    "reorder", "lost_ended", "token_expiry", "rotate_refresh", "rate_limit", "outage_60s", "subscription_inactive",
    "encrypted_file", "asset_secret_mismatch", "clock_skew",
]  # fmt: skip


async def begin(lab: Lab, name: str) -> None:
    await lab.control("POST", f"/scenario/{name}")


def outbound_texts(lab: Lab) -> list[str]:
    hooks = lab.receiver.of("task-message:appended", "/asset")
    return [hook.data["channelParams"]["message"]["text"] for hook in hooks]


async def test_every_scenario_begins_and_unknown_ones_are_named(lab: Lab) -> None:
    assert set((await lab.control("GET", "/scenarios"))["scenarios"]) == set(SCENARIOS)
    for name in SCENARIOS:
        await begin(lab, name)
    status, answer = await lab.call("POST", "/__sim/v1/scenario/nonsense")
    assert status == 404
    assert "happy_path" in answer["message"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("happy_path", ["new", "parked", "connect", "connected", "ended"]),
        ("rona_then_accept", ["new", "parked", "connect", "parked", "connect", "connected"]),
        ("transfer_queue", ["new", "parked", "connect", "connected", "parked", "connect", "connected"]),
        ("transfer_agent", ["new", "parked", "connect", "connected", "connect", "connected"]),
        ("agent_ends", ["new", "parked", "connect", "connected", "ended"]),
        ("reorder", ["parked", "new", "connected", "connect"]),
        ("fast_fail_before_201", ["failed"]),
        ("limit_exceeded", ["failed"]),
        ("already_open_unknown", ["failed"]),
    ],
)
async def test_scenarios_play_their_lifecycle(lab: Lab, name: str, expected: list[str]) -> None:
    await begin(lab, name)
    await lab.create()
    seen = lambda: [hook.type[5:] for hook in lab.receiver.hooks if hook.type.startswith("task:")]  # noqa: E731
    await until(lambda: len(seen()) >= len(expected), name)
    await lab.quiet(0.05)
    assert seen() == expected


async def test_scenario_both_end_ends_once(lab: Lab) -> None:
    await begin(lab, "both_end")
    task_id = await lab.create()
    await until(lambda: len(outbound_texts(lab)) == 1, "greeting")
    assert await lab.end(task_id) == 202
    await lab.quiet(0.3)
    [ended] = lab.receiver.of("task:ended")
    assert ended.data["terminatingParty"] == "Agent"


async def test_scenario_already_open_stale_and_same(lab: Lab) -> None:
    await begin(lab, "already_open_stale")
    first = await lab.create(origin="ann")
    await lab.arrived("task:ended", first)
    [failed] = await lab.arrived("task:failed", await lab.create(origin="ann"))
    assert first in failed.data["errorMessage"]
    assert [row["isActive"] for row in await found(lab, f', filter: {{id: {{equals: "{first}"}}}}')] == [True]
    await begin(lab, "already_open_same")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await lab.create(origin="tom")
    _, first_hook = await lab.arrived("task:new", count=2)
    [failed] = await lab.arrived("task:failed", await lab.create(origin="tom"))
    assert first_hook.data["taskId"] in failed.data["errorMessage"]


async def test_scenario_duplicates_secrets_and_lost_subscriptions(lab: Lab) -> None:
    await begin(lab, "duplicate_storm")
    await lab.create()
    await lab.arrived("task:new", count=3)
    await until(lambda: len(outbound_texts(lab)) == 3, "three times")
    await begin(lab, "asset_secret_mismatch")
    await lab.create()
    await until(lambda: len(outbound_texts(lab)) == 4, "greeting")
    assert not lab.receiver.of("task-message:appended", "/asset")[-1].is_signed_with(
        "asset-secret-0123456789-0123456789"
    )
    await begin(lab, "subscription_inactive")
    await lab.create()
    await until(lambda: outbound_texts(lab)[-1] == "<p>Are you still there?</p>", "last words")
    _, listed = await lab.api("GET", "/v2/subscriptions")
    assert {item["status"] for item in listed["data"]} == {"inactive"}


async def test_scenario_files_and_policy(lab: Lab) -> None:
    url = lab.receiver.put_file("/a.txt", b"hello")
    file = {"fileName": "a.txt", "mimeType": "text/plain", "fileUrl": url}
    await begin(lab, "malware_drop")
    await lab.create(channelParams=lab.message("see", attachments=[file]))
    [echo] = await lab.arrived("task-message:appended")
    assert "dropped" in echo.data["eventDetails"]
    await begin(lab, "policy_reject")
    [failed] = await lab.arrived("task:failed", await lab.create("more than ten"))
    assert failed.data["reason"] == "INVALID_CONTENT"
    await begin(lab, "encrypted_file")
    await lab.create()
    await until(lambda: "<p>Here you are.</p>" in outbound_texts(lab), "file")
    last = lab.receiver.of("task-message:appended", "/asset")[-1]
    assert "keyUri=kms" in last.data["channelParams"]["message"]["attachments"][0]["url"]
    await begin(lab, "pci_mask")
    await lab.create()
    await until(lambda: "XXXX XXXX" in outbound_texts(lab)[-1], "masked")


async def test_scenario_outage_and_clock_skew(lab: Lab) -> None:
    await begin(lab, "outage_60s")
    assert (await lab.api("POST", "/v2/tasks", lab.task()))[0] == 503
    assert (await lab.refresh())[0] == 503
    await lab.control("POST", "/clock/advance", {"ms": 60_001})
    await lab.create()
    await begin(lab, "clock_skew")
    [hook] = await lab.arrived("task:new", await lab.create())
    assert hook.body["comciscotimestamp"] - lab.sim.sim.world.clock.now_ms() > 590_000


async def test_two_emulators_run_side_by_side() -> None:
    async with webex_lab() as one, webex_lab() as two:
        first, second = await asyncio.gather(one.create(origin="ann"), two.create(origin="ann"))
        await asyncio.gather(one.arrived("task:parked", first), two.arrived("task:parked", second))
        assert one.receiver.of("task:new")[0].data["taskId"] == first
        assert [hook.data["taskId"] for hook in two.receiver.of("task:new")] == [second]
