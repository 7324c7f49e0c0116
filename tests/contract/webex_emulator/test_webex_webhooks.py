"""The webhooks of the emulated Webex (webex-byoc.md §21.1, E-41 to E-50)."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from support.webex_lab import ASSET_SECRET, NOW_MS, SUBSCRIPTION_SECRET, TASK_EVENTS, Hook, Lab, until, webex_lab


async def outbound(lab: Lab, count: int = 1) -> list[Hook]:
    await until(lambda: len(lab.receiver.of("task-message:appended", "/asset")) >= count, "outbound")
    return lab.receiver.of("task-message:appended", "/asset")


async def attempts(lab: Lab, event: str, count: int) -> list[dict[str, Any]]:
    """What became of each attempt, once `count` are over: that is noted after the receiver has answered."""

    def noted() -> list[dict[str, Any]]:
        return [item for item in lab.sim.sim.webhooks.attempts if item["event"] == event]

    await until(lambda: len(noted()) >= count, f"{count} attempts")
    return [item for item in (await lab.control("GET", "/deliveries"))["deliveries"] if item["event"] == event]


async def test_E41_signatures_are_those_of_the_exact_bytes(lab: Lab) -> None:
    task_id = await lab.connected()
    await lab.agent("agent-1", "say", taskId=task_id, text="héllo")
    [message] = await outbound(lab)
    assert message.is_signed_with(ASSET_SECRET)
    [new] = lab.receiver.of("task:new")
    assert new.is_signed_with(SUBSCRIPTION_SECRET)
    assert not new.is_signed_with(ASSET_SECRET)


async def test_E41_no_secret_no_signature(lab: Lab) -> None:
    await lab.subscribe("no-secret", ["task:new"], "task:1.0.0", secret=None, destinationUrl=f"{lab.receiver.url}/open")
    await lab.create()
    await lab.arrived("task:new", count=2)
    [hook] = lab.receiver.of("task:new", "/open")
    assert "X-WebexCC-Signature" not in hook.headers


async def test_E42_E43_timestamp_and_version_headers_match_the_body(lab: Lab) -> None:
    task_id = await lab.connected()
    await lab.agent("agent-1", "say", taskId=task_id, text="hello")
    [message] = await outbound(lab)
    for hook in lab.receiver.hooks:
        assert hook.headers["X-WebexCC-Timestamp"] == str(hook.body["comciscotimestamp"])
        resource = hook.type.partition(":")[0]
        assert hook.headers["X-WebexCC-Webhook-Version"] == f"{resource}:1.0.0"
        assert hook.body["specversion"] == "1.0"
        assert hook.body["datacontenttype"] == "application/json"
        assert hook.body["comciscoorgid"] == lab.values["org_id"]
    assert message.headers["X-WebexCC-Webhook-Version"] == "task-message:1.0.0"
    await lab.config(asset_timestamp_header=False)
    await lab.agent("agent-1", "say", taskId=task_id, text="again")
    assert "X-WebexCC-Timestamp" not in (await outbound(lab, 2))[1].headers


async def test_E43_version_1_subscriptions_get_neither_timestamp_nor_version(lab: Lab) -> None:
    body = lab.subscription("old-one", ["task:new"], "task:1.0.0", destinationUrl=f"{lab.receiver.url}/v1")
    del body["resourceVersion"]
    await lab.api("POST", "/v1/subscriptions", body)
    await lab.create()
    await lab.arrived("task:new", count=2)
    [hook] = lab.receiver.of("task:new", "/v1")
    assert "comciscotimestamp" not in hook.body
    assert not {"X-WebexCC-Timestamp", "X-WebexCC-Webhook-Version"} & set(hook.headers)
    assert hook.is_signed_with(SUBSCRIPTION_SECRET)


async def test_E44_outbound_goes_to_the_asset_all_else_to_subscriptions(lab: Lab) -> None:
    task_id = await lab.connected()
    await lab.agent("agent-1", "say", taskId=task_id, text="hello")
    await outbound(lab)
    await lab.agent("agent-1", "end", taskId=task_id)
    await lab.arrived("task:ended", task_id)
    assert [hook.data["messageDirection"] for hook in lab.receiver.hooks if hook.path == "/asset"] == ["OUTBOUND"]
    inbound = [hook.data.get("messageDirection") for hook in lab.receiver.hooks if hook.path == "/events"]
    assert "OUTBOUND" not in inbound
    await lab.config(outbound_to_subscriptions=True)
    task_id = await lab.connected()
    await lab.agent("agent-1", "say", taskId=task_id, text="hello")
    await outbound(lab, 2)
    await until(
        lambda: any(h.data.get("messageDirection") == "OUTBOUND" for h in lab.receiver.hooks if h.path == "/events"),
        "both",
    )


async def test_E45_system_messages_have_no_sender_agents_have_a_uuid(lab: Lab) -> None:
    await lab.config(entry_points=[{"id": "main", "flow": "greet-and-ask"}])
    task_id = await lab.create()
    [system] = await outbound(lab)
    assert (system.data["senderType"], "senderId" in system.data) == ("system", False)
    await lab.append(task_id, "12345")
    await lab.available("agent-1")
    await lab.arrived("task:connect", task_id)
    await lab.agent("agent-1", "accept", taskId=task_id)
    await lab.agent("agent-1", "say", taskId=task_id, text="hello")
    agent = (await outbound(lab, 2))[1]
    [_, second] = (await lab.control("GET", "/agents"))["agents"]
    assert agent.data["senderType"] == "agent"
    assert agent.data["senderId"] not in (second["userId"], second["ciUserId"])
    _, user = await lab.api("GET", f"/organization/{lab.values['org_id']}/user/{agent.data['senderId']}")
    assert (user["firstName"], user["lastName"]) == ("Maya", "Okafor")
    _, user = await lab.api("GET", f"/organization/{lab.values['org_id']}/user/by-ci-user-id/{user['ciUserId']}")
    assert user["firstName"] == "Maya"


async def failing_then_fine(lab: Lab, path: str, *answers: Any) -> None:
    """Let the receiver give `answers` (status, "slow", "reset") one after the other, then 200."""
    waiting = list(answers)

    async def answer(request: web.Request) -> web.Response:
        what = waiting.pop(0) if waiting else 200
        if what == "slow":
            await asyncio.sleep(1.5)
            return web.Response()
        if what == "reset":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=what, headers={"Location": f"{lab.receiver.url}/elsewhere"} if what == 302 else None)

    lab.receiver.answer[path] = answer


@pytest.mark.parametrize("what", ["slow", "reset", 302, 404, 500, 429])
async def test_E46_everything_but_a_2xx_in_time_is_a_failure_and_is_retried(lab: Lab, what: Any) -> None:
    await lab.config(webhook_retries_ms=[30, 60], webhook_timeout_ms=1000 if what == "slow" else 60_000)
    await failing_then_fine(lab, "/events", what)
    await lab.subscribe("lonely", ["task:ended"], "task:1.0.0", destinationUrl=f"{lab.receiver.url}/lonely")
    await failing_then_fine(lab, "/lonely", what, what)
    task_id = await lab.create()
    await lab.end(task_id)
    await until(lambda: len(lab.receiver.of("task:ended", "/lonely")) == 3, "two retries")
    bodies = {hook.raw for hook in lab.receiver.of("task:ended", "/lonely")}
    assert len(bodies) == 1, "retries send the same bytes"
    tried = [item for item in await attempts(lab, "task:ended", 4) if "lonely" in item["url"]]
    assert [(item["attempt"], item["outcome"]) for item in tried] == [(1, "failed"), (2, "failed"), (3, "delivered")]
    await lab.quiet(0.1)
    assert "/elsewhere" not in [hook.path for hook in lab.receiver.hooks]


async def test_E46_no_retries_when_set_so(lab: Lab) -> None:
    await lab.config(webhook_retries_ms=[])
    await failing_then_fine(lab, "/events", 500)
    await lab.create()
    await lab.arrived("task:parked")
    await lab.quiet()
    assert len(lab.receiver.of("task:new")) == 1


async def test_E46_a_subscription_becomes_inactive_after_the_threshold_the_asset_never(lab: Lab) -> None:
    await lab.config(webhook_retries_ms=[], inactive_after=3)

    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=500)

    lab.receiver.answer["/events"] = lab.receiver.answer["/asset"] = broken
    await lab.available("agent-1")
    task_id = await lab.create()
    await lab.arrived("task:connect", task_id)
    await lab.agent("agent-1", "accept", taskId=task_id)
    await lab.quiet(0.05)
    assert lab.receiver.of("task:connected") == []
    _, listed = await lab.api("GET", "/v2/subscriptions")
    assert {item["name"]: item["status"] for item in listed["data"]} == {"lab-task": "inactive", "lab-msg": "active"}
    for number in range(5):
        await lab.agent("agent-1", "say", taskId=task_id, text=str(number))
    await outbound(lab, 5)
    await lab.agent("agent-1", "end", taskId=task_id)
    await lab.quiet()
    assert lab.receiver.of("task:ended") == []
    del lab.receiver.answer["/events"]
    subscription = next(item for item in listed["data"] if item["name"] == "lab-task")
    change = {"resourceVersion": "task:1.0.0", "status": "active"}
    await lab.api("PATCH", f"/v2/subscriptions/{subscription['id']}", change)
    await lab.arrived("task:new", await lab.create())


async def test_E46_a_success_in_between_starts_the_count_again(lab: Lab) -> None:
    await lab.config(webhook_retries_ms=[], inactive_after=3)
    await failing_then_fine(lab, "/events", 500, 500, 200, 500, 500)
    for number in range(3):
        await lab.create()
        await lab.arrived("task:parked", count=number + 1)
        await lab.settled()
    _, listed = await lab.api("GET", "/v2/subscriptions")
    assert {item["status"] for item in listed["data"]} == {"active"}


async def test_a_slow_receiver_holds_up_no_other_destination_and_no_other_task(lab: Lab) -> None:
    stuck = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await stuck.wait()
        return web.Response()

    lab.receiver.answer["/slow"] = hang
    await lab.config(webhook_timeout_ms=60_000)
    await lab.subscribe("slow-one", TASK_EVENTS, "task:1.0.0", destinationUrl=f"{lab.receiver.url}/slow")
    for _ in range(5):
        task_id = await lab.create()
        await until(
            lambda task=task_id: (
                len([h for h in lab.receiver.of("task:parked", "/events") if h.data["taskId"] == task]) == 1
            ),
            "fast",
        )  # type: ignore[misc]
    await until(lambda: lab.receiver.types("/slow") == ["task:new"] * 5, "the first of each task")
    stuck.set()
    await until(lambda: len(lab.receiver.types("/slow")) == 10, "the rest")


async def test_E47_drop(lab: Lab) -> None:
    await lab.fault({"drop": True, "times": 1}, event="task:parked")
    first, second = await lab.create(), await lab.create()
    await lab.arrived("task:parked", second)
    assert [hook.data["taskId"] for hook in lab.receiver.of("task:parked")] == [second]
    assert [item["outcome"] for item in await attempts(lab, "task:parked", 2)] == ["dropped", "delivered"]
    assert (await lab.truth(first))["status"] == "parked"


async def test_E47_faults_can_be_for_one_task(lab: Lab) -> None:
    first, second = await lab.create(), await lab.create()
    await lab.arrived("task:parked", second)
    await lab.fault({"drop": True}, event="task:ended", taskId=first)
    await lab.end(first)
    await lab.end(second)
    await lab.arrived("task:ended", second)
    await lab.quiet(0.05)
    assert [hook.data["taskId"] for hook in lab.receiver.of("task:ended")] == [second]


async def test_E47_duplicate_with_the_same_bytes_or_a_new_timestamp(lab: Lab) -> None:
    same = await lab.fault({"duplicate": True}, event="task:new")
    await lab.create()
    first, second = await lab.arrived("task:new", count=2)
    assert first.raw == second.raw
    assert (await lab.call("DELETE", f"/__sim/v1/faults/{same}"))[0] == 200
    await lab.fault({"duplicate": 2, "new_timestamp": True}, event="task:new")
    await lab.create()
    await lab.arrived("task:new", count=5)
    hooks = lab.receiver.of("task:new")[2:]
    assert len({hook.body["comciscotimestamp"] for hook in hooks}) == 3
    assert len({hook.data["createdTime"] for hook in hooks}) == 1
    assert all(hook.is_signed_with(SUBSCRIPTION_SECRET) for hook in hooks)
    assert all(hook.headers["X-WebexCC-Timestamp"] == str(hook.body["comciscotimestamp"]) for hook in hooks)


async def test_E47_reorder_with_a_partner_and_by_a_number(lab: Lab) -> None:
    await lab.fault({"reorder_with": "task:parked", "times": 1}, event="task:new")
    task_id = await lab.create()
    await lab.arrived("task:new", task_id)
    order = [kind for kind in lab.receiver.types("/events") if kind.startswith("task:")]
    assert order == ["task:parked", "task:new"]
    await lab.available("agent-1")
    await lab.agent("agent-1", "accept", taskId=task_id)
    await lab.fault({"reorder": 2, "times": 1}, endpoint="asset")
    for text in ("one", "two", "three", "four"):
        await lab.agent("agent-1", "say", taskId=task_id, text=text)
    texts = [hook.data["channelParams"]["message"]["text"] for hook in await outbound(lab, 4)]
    assert texts == ["<p>two</p>", "<p>three</p>", "<p>one</p>", "<p>four</p>"]


async def test_E47_a_held_event_without_partner_comes_late_but_comes(lab: Lab) -> None:
    await lab.config(reorder_hold_ms=50)
    await lab.fault({"reorder_with": "task:failed"}, event="task:new")
    await lab.arrived("task:new", await lab.create())


async def test_E47_delay_and_status() -> None:
    async with webex_lab(virtual_clock_start_ms=NOW_MS, webhook_retries_ms=[50]) as lab:
        await lab.fault({"delay_ms": 100}, event="task:new")
        await lab.fault({"status": 503, "times": 1}, event="task:parked")
        task_id = await lab.create()
        await lab.settled()
        for late, seconds in (("task:parked", 50), ("task:new", 50)):
            assert late not in lab.receiver.types()
            await lab.control("POST", "/clock/advance", {"ms": seconds})
            await lab.arrived(late, task_id)
        assert [item["status"] for item in await attempts(lab, "task:parked", 2)] == [503, 200]


async def test_E48_subscriptions_hear_of_other_channels(lab: Lab) -> None:
    await lab.config(noise_events=True)
    await lab.create()
    await lab.arrived("task:ended", count=2)
    noise = [hook for hook in lab.receiver.hooks if hook.data.get("channelType") == "telephony"]
    assert [hook.type for hook in noise] == ["task:new", "task:connected", "task:ended"]


async def test_E49_flow_messages_carry_skewed_times(lab: Lab) -> None:
    await lab.config(entry_points=[{"id": "main", "flow": "greet-and-ask"}])
    await lab.create()
    [message] = await outbound(lab)
    envelope = message.body["comciscotimestamp"]
    assert message.data["createdTime"] - envelope == -25_200_000
    assert message.data["channelParams"]["message"]["timestamp"] - envelope == -25_200_000
    await lab.config(flow_timestamp_skew_ms=0)
    await lab.create()
    message = (await outbound(lab, 2))[1]
    assert message.data["createdTime"] == message.body["comciscotimestamp"]


STANDARD = {"aliasId", "text", "timestamp"}


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"outbound_shape": "standard"}, lambda data: data["channelParams"]["message"]),
        ({"outbound_shape": "flatChannelParams"}, lambda data: data["channelParams"]),
        ({"outbound_shape": "dataMessage"}, lambda data: data["message"]),
        ({"outbound_shape": "dataFlat"}, lambda data: data),
        ({"outbound_shape": "payload"}, lambda data: data["payload"]["channelParams"]["message"]),
        ({"outbound_shape": "content"}, lambda data: data["content"]["channelParams"]["message"]),
        ({"outbound_shape": "body"}, lambda data: data["body"]["channelParams"]["message"]),
        ({"outbound_shape": "eventData"}, lambda data: data["eventData"]["channelParams"]["message"]),
        ({"outbound_shape": "messageData"}, lambda data: data["messageData"]["channelParams"]["message"]),
        ({"outbound_shape": "nested"}, lambda data: data["eventDetails"]["delivery"]["item"]),
        ({"string_channel_params": True}, lambda data: json.loads(data["channelParams"])["message"]),
        ({"string_message": True}, lambda data: json.loads(data["channelParams"]["message"])),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_E50_the_content_comes_in_every_shape(lab: Lab, config: dict[str, Any], found: Any) -> None:
    await lab.config(**config)
    task_id = await lab.connected()
    await lab.agent("agent-1", "say", taskId=task_id, text="a < b & c\nnext")
    [message] = await outbound(lab)
    content = found(message.data)
    assert content["text"] == "<p>a &lt; b &amp; c<br>next</p>"
    assert set(content) >= STANDARD


async def test_E50_directions_times_ids_and_plain_text_vary(lab: Lab) -> None:
    await lab.config(
        lower_case_direction=True, timestamp_as_string=True, lifecycle_id_is_task_id=False, html_agent_text=False
    )
    task_id = await lab.connected()
    await lab.agent("agent-1", "say", taskId=task_id, text="a < b")
    [message] = await outbound(lab)
    assert message.data["messageDirection"] == "outbound"
    assert message.data["channelParams"]["message"]["text"] == "a < b"
    assert isinstance(message.body["comciscotimestamp"], str)
    assert message.headers["X-WebexCC-Timestamp"] == message.body["comciscotimestamp"]
    assert lab.receiver.of("task:new")[0].body["id"] != task_id
    await lab.config(omit_message_direction=True, bare_lifecycle=True, lifecycle_id_is_task_id=True)
    await lab.agent("agent-1", "say", taskId=task_id, text="again")
    assert "messageDirection" not in (await outbound(lab, 2))[1].data
    await lab.agent("agent-1", "end", taskId=task_id)
    [ended] = await lab.arrived("task:ended", task_id)
    assert set(ended.data) == {"taskId", "createdTime"}
    assert ended.body["id"] == task_id


async def test_lifecycle_events_carry_their_fields_and_growing_times(lab: Lab) -> None:
    task_id = await lab.connected()
    await lab.agent("agent-1", "end", taskId=task_id)
    [ended] = await lab.arrived("task:ended", task_id)
    lifecycle = [hook for hook in lab.receiver.hooks if hook.type.startswith("task:")]
    assert [hook.type for hook in lifecycle] == [
        "task:new",
        "task:parked",
        "task:connect",
        "task:connected",
        "task:ended",
    ]
    times = [hook.data["createdTime"] for hook in lifecycle]
    assert times == sorted(set(times))
    assert "queueId" not in lifecycle[0].data
    assert "agentId" not in lifecycle[1].data
    assert lifecycle[1].data["queueId"]
    assert lifecycle[2].data["agentId"] == lifecycle[3].data["agentId"]
    assert (ended.data["reason"], ended.data["terminatingParty"]) == ("Agent Left", "Agent")
    assert {hook.body["id"] for hook in lifecycle} == {task_id}
