"""The subscriptions of the emulated Webex (webex-byoc.md §21.1, E-34 to E-40)."""

from typing import Any

import pytest

from support.webex_lab import MESSAGE_EVENTS, TASK_EVENTS, Lab


async def test_E34_the_families_do_not_see_each_other_but_are_counted_together(lab: Lab) -> None:
    body = lab.subscription("old-one", ["task:new"], "task:1.0.0")
    del body["resourceVersion"]
    status, answer = await lab.api("POST", "/v1/subscriptions", body)
    assert status == 201
    old = answer["data"]
    assert "resourceVersion" not in old
    _, v1 = await lab.api("GET", "/v1/subscriptions")
    _, v2 = await lab.api("GET", "/v2/subscriptions")
    assert [item["name"] for item in v1["data"]] == ["old-one"]
    assert [item["name"] for item in v2["data"]] == ["lab-task", "lab-msg"]
    assert v1["meta"]["subscriptionCount"] == v2["meta"]["subscriptionCount"] == 3
    assert (await lab.api("GET", f"/v2/subscriptions/{old['id']}"))[0] == 404
    assert (await lab.api("GET", f"/v1/subscriptions/{old['id']}"))[0] == 200


BAD: list[dict[str, Any]] = [
    {"name": "abc"},
    {"name": "x" * 65},
    {"eventTypes": []},
    {"eventTypes": ["task:new"] * 33},
    {"eventTypes": ["task:hold"]},
    {"eventTypes": "task:new"},
    {"secret": "s" * 31},
    {"secret": "s" * 257},
    {"description": "d" * 1025},
    {"destinationUrl": "http://wl.lumen.io/hook"},
    {"destinationUrl": "https://wl.lumen.io/hook?x=1"},
    {"destinationUrl": "https://user@wl.lumen.io/hook"},
    {"destinationUrl": "https://wl.lumen.io:8443/hook"},
    {"destinationUrl": "https://wl.lumen.io/hook#x"},
    {"destinationUrl": "https://wl.local/hook"},
    {"destinationUrl": "https://127.0.0.1/hook"},
    {"destinationUrl": "https://wl/hook"},
    {"destinationUrl": "https://wl.lumen.io"},
    {"resourceVersion": None},
    {"resourceVersion": "task:9.9.9"},
    {"orgId": "not a uuid"},
]


@pytest.mark.parametrize("wrong", BAD, ids=str)
async def test_E35_bad_subscriptions_are_refused(lab: Lab, wrong: dict[str, Any]) -> None:
    await lab.config(relaxed=False)
    good = lab.subscription("good", ["task:new"], "task:1.0.0", destinationUrl="https://wl.lumen.io/hook")
    status, answer = await lab.api("POST", "/v2/subscriptions", {**good, **wrong})
    assert status == 400
    [field] = wrong
    assert any(field in item["description"] for item in answer["error"]["message"])
    assert answer["error"]["key"] == 400
    assert (await lab.api("POST", "/v2/subscriptions", good))[0] == 201


async def test_E36_version_required_name_fixed_secret_hidden(lab: Lab) -> None:
    created = await lab.subscribe("fixed-name", ["task:new"], "task:1.0.0")
    assert "secret" not in created
    path = f"/v2/subscriptions/{created['id']}"
    assert (await lab.api("PATCH", path, {"status": "inactive"}))[0] == 400
    assert (await lab.api("PATCH", path, {"resourceVersion": "task:1.0.0", "name": "other"}))[0] == 400
    assert (await lab.api("PATCH", path, {"resourceVersion": "task:1.0.0", "status": "paused"}))[0] == 400
    change = {
        "resourceVersion": "task:1.0.0",
        "status": "inactive",
        "eventTypes": ["task:ended"],
        "description": "new",
        "secret": "n" * 40,
        "destinationUrl": f"{lab.receiver.url}/elsewhere",
    }
    status, answer = await lab.api("PATCH", path, change)
    assert status == 200
    assert {
        name: answer["data"][name] for name in ("status", "eventTypes", "description", "destinationUrl", "name")
    } == {
        "status": "inactive",
        "eventTypes": ["task:ended"],
        "description": "new",
        "destinationUrl": f"{lab.receiver.url}/elsewhere",
        "name": "fixed-name",
    }
    _, listed = await lab.api("GET", "/v2/subscriptions")
    assert "n" * 40 not in str(listed)


async def test_E37_the_organization_has_a_maximum(lab: Lab) -> None:
    await lab.config(subscription_limit=3)
    await lab.subscribe("third", ["task:new"], "task:1.0.0")
    status, _ = await lab.api("POST", "/v2/subscriptions", lab.subscription("fourth", ["task:new"], "task:1.0.0"))
    assert status == 403


async def test_E38_delete_once(lab: Lab) -> None:
    created = await lab.subscribe("short-lived", ["task:new"], "task:1.0.0")
    assert await lab.api("DELETE", f"/v2/subscriptions/{created['id']}") == (204, None)
    assert (await lab.api("DELETE", f"/v2/subscriptions/{created['id']}"))[0] == 404


async def test_E39_event_types_and_versions_are_listed(lab: Lab) -> None:
    _, answer = await lab.api("GET", f"/v2/event-types?orgId={lab.values['org_id']}")
    names = {item["name"] for item in answer["data"]}
    assert names >= {*TASK_EVENTS, *MESSAGE_EVENTS, "capture:available", "agent:channel_state_change"}
    assert {"name": "task:new", "resource": "task", "action": "new"} in answer["data"]
    assert {"resource": "task", "version": "1.0.0"} in answer["meta"]["resourceVersionList"]
    _, old = await lab.api("GET", "/v1/event-types")
    assert "resourceVersionList" not in old["meta"]
    assert "agent:state_change" in {item["name"] for item in old["data"]}


async def test_E40_only_wanted_events_and_only_while_active(lab: Lab) -> None:
    hook = f"{lab.receiver.url}/only-ended"
    only = await lab.subscribe("only-ended", ["task:ended"], "task:1.0.0", destinationUrl=hook)
    task_id = await lab.create()
    await lab.arrived("task:parked", task_id)
    await lab.end(task_id)
    await lab.arrived("task:ended", task_id, 2)
    assert lab.receiver.types("/only-ended") == ["task:ended"]
    change = {"resourceVersion": "task:1.0.0", "status": "inactive"}
    await lab.api("PATCH", f"/v2/subscriptions/{only['id']}", change)
    task_id = await lab.create()
    await lab.end(task_id)
    await lab.arrived("task:ended", task_id)
    await lab.quiet()
    assert lab.receiver.types("/only-ended") == ["task:ended"]
