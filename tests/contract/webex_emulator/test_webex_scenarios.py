"""The named scenarios of the emulated Webex (webex-byoc.md §20.7)."""

import aiohttp
import pytest

from support.webex_lab import Lab, until

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
    await lab.arrived("task:ended", task_id)
    await lab.quiet(0.3)
    [ended] = lab.receiver.of("task:ended")
    assert ended.data["terminatingParty"] == "Agent"


async def test_scenario_already_open_stale_and_same(lab: Lab) -> None:
    await begin(lab, "already_open_stale")
    first = await lab.create(origin="ann")
    await lab.arrived("task:ended", first)
    [failed] = await lab.arrived("task:failed", await lab.create(origin="ann"))
    assert first in failed.data["errorMessage"]
    assert (await lab.truth(first))["status"] == "connected"
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


async def test_scenario_flow_greeting_asks_before_it_queues(lab: Lab) -> None:
    await begin(lab, "flow_greeting")
    task_id = await lab.create()
    await until(lambda: len(outbound_texts(lab)) == 1, "the question")
    assert lab.receiver.types("/events").count("task:parked") == 0
    await lab.append(task_id, "12345")
    await until(lambda: outbound_texts(lab)[-1] == "<p>Hello, how can I help you?</p>", "the agent")


async def test_scenario_customer_ends_and_lost_ended(lab: Lab) -> None:
    await begin(lab, "customer_ends")
    task_id = await lab.create()
    await until(lambda: len(outbound_texts(lab)) == 1, "greeting")
    await lab.quiet(0.05)
    assert (await lab.truth(task_id))["status"] == "connected"
    await lab.end(task_id)
    [ended] = await lab.arrived("task:ended", task_id)
    assert ended.data["terminatingParty"] == "Customer"
    await begin(lab, "lost_ended")
    lost = await lab.create()
    await lab.until_status(lost, "ended")
    seen = (await lab.control("GET", f"/deliveries?event=task:ended&taskId={lost}"))["deliveries"]
    assert [item["outcome"] for item in seen] == ["dropped"]
    assert len(lab.receiver.of("task:ended")) == 1


async def test_scenarios_of_tokens_and_limits(lab: Lab) -> None:
    await begin(lab, "token_expiry")
    await lab.log_in()
    assert (await lab.api("GET", "/v2/event-types"))[0] == 200
    await lab.control("POST", "/clock/advance", {"ms": 5001})
    assert (await lab.api("GET", "/v2/event-types"))[0] == 401
    await begin(lab, "rate_limit")
    await lab.log_in()
    statuses = [(await lab.api("GET", "/v2/event-types"))[0] for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    await begin(lab, "rotate_refresh")
    renewed = (await lab.refresh())[1]
    assert (await lab.refresh())[0] == 400
    assert (await lab.refresh(refresh_token=renewed["refresh_token"]))[0] == 200


async def test_scenario_outage_and_clock_skew(lab: Lab) -> None:
    await begin(lab, "outage_60s")
    assert (await lab.api("POST", "/v2/tasks", lab.task()))[0] == 503
    assert (await lab.refresh())[0] == 503
    await lab.control("POST", "/clock/advance", {"ms": 60_001})
    await lab.create()
    await begin(lab, "clock_skew")
    [hook] = await lab.arrived("task:new", await lab.create())
    assert hook.body["comciscotimestamp"] - (await lab.control("GET", "/clock"))["now"] > 590_000
