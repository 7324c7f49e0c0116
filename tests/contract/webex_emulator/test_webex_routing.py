"""Queues, agents and flows of the emulated Webex (webex-byoc.md §21.1, E-51 to E-57)."""

import asyncio
import base64
from typing import Any

import pytest

from support.webex_lab import Lab, until

CONSULT_EVENTS = ["task:consulting", "task:consult-done", "task:conferencing", "task:conference-done",
                  "task:conference-transferred"]  # fmt: skip


async def status(lab: Lab, task_id: str) -> tuple[str, str | None]:
    task = await lab.truth(task_id)
    return task["status"], task["agentId"]


async def agent_of(lab: Lab, agent_id: str) -> dict[str, Any]:
    agents = (await lab.control("GET", "/agents"))["agents"]
    found: dict[str, Any] = next(agent for agent in agents if agent["id"] == agent_id)
    return found


async def refused(lab: Lab, agent_id: str, action: str, code: int, **body: Any) -> None:
    answer_status, answer = await lab.call("POST", f"/__sim/v1/agents/{agent_id}/{action}", body)
    assert answer_status == code, answer
    assert set(answer) == {"error", "message"}


def lifecycle(lab: Lab, task_id: str) -> list[str]:
    return [
        hook.type.removeprefix("task:")
        for hook in lab.receiver.hooks
        if hook.type.startswith("task:") and hook.data["taskId"] == task_id
    ]


async def test_E51_without_agents_a_task_stays_parked(lab: Lab) -> None:
    task_id = await lab.create()
    await lab.arrived("task:parked", task_id)
    await lab.agent("agent-1", "login")
    await lab.quiet()
    assert lifecycle(lab, task_id) == ["new", "parked"]
    assert await status(lab, task_id) == ("parked", None)
    await lab.agent("agent-1", "state", state="Available")
    await lab.arrived("task:connect", task_id)


async def test_E52_an_offer_is_no_connection(lab: Lab) -> None:
    await lab.available("agent-1")
    task_id = await lab.create()
    await lab.arrived("task:connect", task_id)
    await lab.quiet()
    assert await status(lab, task_id) == ("offered", "agent-1")
    await refused(lab, "agent-1", "say", 409, taskId=task_id, text="too early")
    await refused(lab, "agent-2", "accept", 409, taskId=task_id)
    await lab.agent("agent-1", "accept", taskId=task_id)
    await lab.arrived("task:connected", task_id)
    assert await status(lab, task_id) == ("connected", "agent-1")
    await refused(lab, "agent-1", "accept", 409, taskId=task_id)


@pytest.mark.parametrize("how", ["ring out", "decline"])
@pytest.mark.parametrize("emits_ended", [False, True])
async def test_E53_an_unanswered_offer_goes_to_another_agent(lab: Lab, how: str, emits_ended: bool) -> None:
    await lab.config(rona_emits_ended=emits_ended)
    await lab.available("agent-1")
    task_id = await lab.create()
    await lab.arrived("task:connect", task_id)
    await lab.available("agent-2")
    if how == "decline":
        await lab.agent("agent-1", "decline", taskId=task_id)
    else:
        await lab.control("POST", "/clock/advance", {"ms": 15_000})
        assert await status(lab, task_id) == ("offered", "agent-1")
        await lab.control("POST", "/clock/advance", {"ms": 15_001})
    await lab.arrived("task:connect", task_id, 2)
    ended = ["ended"] if emits_ended else []
    assert lifecycle(lab, task_id) == ["new", "parked", "connect", *ended, "parked", "connect"]
    assert (await agent_of(lab, "agent-1"))["state"] == "RONA"
    assert await status(lab, task_id) == ("offered", "agent-2")
    if emits_ended:
        [hook] = lab.receiver.of("task:ended")
        assert (hook.data["terminatingParty"], hook.data["reason"]) == ("System", "RONA Timer Expired")
    await lab.agent("agent-2", "accept", taskId=task_id)
    await lab.control("POST", "/clock/advance", {"ms": 60_000})
    assert await status(lab, task_id) == ("connected", "agent-2")


async def test_E54_capacity_is_respected(lab: Lab) -> None:
    await lab.config(agents=[{"id": "agent-1", "capacity": 2}])
    await lab.available("agent-1")
    tasks = []
    for _ in range(3):
        tasks.append(await lab.create())
        await lab.arrived("task:parked", tasks[-1])
    for task_id in tasks[:2]:
        await lab.arrived("task:connect", task_id)
    assert [(await status(lab, task_id))[0] for task_id in tasks] == ["offered", "offered", "parked"]
    await lab.agent("agent-1", "accept", taskId=tasks[0])
    await lab.end(tasks[0])
    await lab.arrived("task:ended", tasks[0])
    assert (await status(lab, tasks[2]))[0] == "parked", "wrap-up still takes a place"
    await lab.agent("agent-1", "wrapup", taskId=tasks[0])
    await lab.arrived("task:connect", tasks[2])


async def test_E54_offers_are_spread_and_oldest_first(lab: Lab) -> None:
    tasks = []
    for _ in range(4):
        tasks.append(await lab.create())
        await lab.arrived("task:parked", tasks[-1])
    await lab.available("agent-1", "agent-2")
    assert [(await status(lab, task_id))[1] for task_id in tasks] == ["agent-1"] * 4
    more = [await lab.create() for _ in range(2)]
    for task_id in more:
        await lab.arrived("task:connect", task_id)
    assert [(await status(lab, task_id))[1] for task_id in more] == ["agent-2", "agent-2"]


async def test_E55_transfer_to_a_queue_and_to_an_agent(lab: Lab) -> None:
    task_id = await lab.connected("agent-1")
    await refused(lab, "agent-1", "transfer", 404, taskId=task_id, to="queue:nowhere")
    await refused(lab, "agent-1", "transfer", 404, taskId=task_id, to="agent:nobody")
    await refused(lab, "agent-1", "transfer", 400, taskId=task_id, to="billing")
    await refused(lab, "agent-1", "transfer", 409, taskId=task_id, to="agent:agent-2")
    assert await status(lab, task_id) == ("connected", "agent-1")
    await lab.agent("agent-1", "transfer", taskId=task_id, to="queue:billing")
    await lab.arrived("task:parked", task_id, 2)
    task = await lab.truth(task_id)
    assert (task["status"], task["queue"], task["agentId"]) == ("parked", "billing", None)
    await lab.available("agent-2")
    await lab.arrived("task:connect", task_id, 2)
    await lab.agent("agent-2", "accept", taskId=task_id)
    await lab.agent("agent-2", "transfer", taskId=task_id, to="agent:agent-1")
    await lab.arrived("task:connect", task_id, 3)
    assert await status(lab, task_id) == ("offered", "agent-1")
    await lab.agent("agent-1", "accept", taskId=task_id)
    await lab.arrived("task:connected", task_id, 3)
    once = ["connect", "connected"]
    assert lifecycle(lab, task_id) == ["new", "parked", *once, "parked", *once, *once]
    agents = [hook.data["agentId"] for hook in lab.receiver.of("task:connected")]
    assert agents[0] == agents[2] != agents[1]


async def test_E56_wrap_up_holds_the_agent_not_the_customer(lab: Lab) -> None:
    await lab.config(agents=[{"id": "agent-1", "capacity": 1}])
    task_id = await lab.connected("agent-1", origin="ann")
    await refused(lab, "agent-1", "wrapup", 409, taskId=task_id)
    await lab.agent("agent-1", "end", taskId=task_id)
    await lab.arrived("task:ended", task_id)
    again = await lab.create(origin="ann")
    await lab.arrived("task:parked", again)
    await lab.quiet(0.05)
    assert await status(lab, again) == ("parked", None)
    await refused(lab, "agent-1", "say", 409, taskId=task_id, text="late")
    await refused(lab, "agent-1", "logout", 409)
    await lab.agent("agent-1", "wrapup", taskId=task_id)
    await lab.arrived("task:connect", again)


async def test_E56_a_customer_who_ends_an_offered_task_frees_the_agent(lab: Lab) -> None:
    await lab.available("agent-1")
    task_id = await lab.create()
    await lab.arrived("task:connect", task_id)
    await lab.end(task_id)
    await lab.arrived("task:ended", task_id)
    agent = await agent_of(lab, "agent-1")
    assert (agent["state"], agent["tasks"]) == ("Available", {})


async def test_E57_a_flow_greets_and_waits_for_an_answer(lab: Lab) -> None:
    await lab.config(entry_points=[{"id": "main", "flow": "greet-and-ask"}])
    task_id = await lab.create()
    await until(lambda: len(lab.receiver.types("/asset")) == 1, "greeting")
    [greeting] = [hook for hook in lab.receiver.hooks if hook.path == "/asset"]
    assert greeting.data["senderType"] == "system"
    assert greeting.data["channelParams"]["message"]["text"].startswith("Thanks for waiting")
    await lab.quiet(0.05)
    assert lifecycle(lab, task_id) == ["new"]
    await lab.append(task_id, "12345")
    await lab.arrived("task:parked", task_id)
    silent = await lab.create()
    await until(lambda: len(lab.receiver.types("/asset")) == 2, "greeting")
    await lab.control("POST", "/clock/advance", {"ms": 15_000})
    await lab.quiet(0.05)
    assert lifecycle(lab, silent) == ["new"]
    await lab.control("POST", "/clock/advance", {"ms": 15_100})
    await lab.arrived("task:parked", silent)


async def test_E57_a_flow_can_wait_choose_a_queue_and_end(lab: Lab) -> None:
    steps = [{"step": "wait", "seconds": 0.05}, {"step": "send", "text": "Closed."}, {"step": "end"}]
    chosen = await lab.create(globalVariables={"queue": "billing"})
    await lab.arrived("task:parked", chosen)
    assert (await lab.truth(chosen))["queue"] == "billing"
    unknown = await lab.create(globalVariables={"queue": "nowhere"})
    await lab.arrived("task:parked", unknown)
    assert (await lab.truth(unknown))["queue"] == "support"
    await lab.config(flows=[{"name": "short", "steps": steps}], entry_points=[{"id": "main", "flow": "short"}])
    task_id = await lab.create()
    [ended] = await lab.arrived("task:ended", task_id)
    assert ended.data["terminatingParty"] == "System"
    assert [item["text"] for item in (await lab.truth(task_id))["transcript"]] == ["hello", "Closed."]


async def test_E55_a_consultation_a_conference_and_the_handing_over(lab: Lab) -> None:
    await lab.subscribe("lab-consult", CONSULT_EVENTS, "task:1.0.0")
    task_id = await lab.connected("agent-1")
    await refused(lab, "agent-1", "consult", 409, taskId=task_id, to="agent:agent-2")
    await refused(lab, "agent-1", "consult", 400, taskId=task_id, to="queue:billing")
    await refused(lab, "agent-1", "confer", 409, taskId=task_id)
    await lab.available("agent-2")
    await lab.agent("agent-1", "consult", taskId=task_id, to="agent:agent-2")
    assert (await agent_of(lab, "agent-2"))["tasks"] == {task_id: "consulted"}
    await refused(lab, "agent-2", "say", 409, taskId=task_id, text="too early")
    await refused(lab, "agent-2", "consult", 409, taskId=task_id, to="agent:agent-1")
    await lab.agent("agent-2", "leave", taskId=task_id)
    await lab.agent("agent-1", "consult", taskId=task_id, to="agent:agent-2")
    await lab.agent("agent-1", "confer", taskId=task_id)
    assert (await lab.truth(task_id))["inConference"] is True
    await lab.agent("agent-2", "say", taskId=task_id, text="I am here too")
    await lab.agent("agent-1", "leave", taskId=task_id)
    assert await status(lab, task_id) == ("connected", "agent-1")
    await lab.agent("agent-1", "consult", taskId=task_id, to="agent:agent-2")
    await lab.agent("agent-1", "confer", taskId=task_id)
    await lab.agent("agent-1", "transfer", taskId=task_id, to="agent:agent-2")
    assert await status(lab, task_id) == ("connected", "agent-2")
    assert (await agent_of(lab, "agent-1"))["tasks"] == {}
    await lab.agent("agent-2", "consult", taskId=task_id, to="agent:agent-1")
    await lab.agent("agent-2", "transfer", taskId=task_id, to="queue:billing")
    await lab.arrived("task:parked", task_id, 2)
    await until(lambda: lifecycle(lab, task_id).count("consult-done") == 2, "the last one is over")
    await lab.quiet(0.05)
    asked = ["consulting", "conferencing"]
    seen = [name for name in lifecycle(lab, task_id) if f"task:{name}" in CONSULT_EVENTS]
    assert seen == ["consulting", "consult-done", *asked, "conference-done", *asked, "conference-transferred",
                    "consulting", "consult-done"]  # fmt: skip
    assert (await agent_of(lab, "agent-1"))["tasks"] == {}
    [said] = lab.receiver.of("task-message:appended", "/asset")
    connected = lab.receiver.of("task:connected")
    assert said.data["senderId"] == connected[1].data["agentId"] != connected[0].data["agentId"]


async def test_E56_an_end_releases_the_second_agent_and_wrap_up_takes_a_code(lab: Lab) -> None:
    task_id = await lab.connected("agent-1")
    await lab.available("agent-2")
    await lab.agent("agent-1", "consult", taskId=task_id, to="agent:agent-2")
    await lab.end(task_id)
    await lab.arrived("task:ended", task_id)
    assert (await agent_of(lab, "agent-2"))["tasks"] == {}
    answer_status, answer = await lab.call(
        "POST", "/__sim/v1/agents/agent-1/wrapup", {"taskId": task_id, "code": "nonsense"}
    )
    assert (answer_status, "follow-up" in answer["message"]) == (400, True)
    await lab.agent("agent-1", "wrapup", taskId=task_id, code="follow-up")
    assert (await lab.truth(task_id))["wrapUpCode"] == "follow-up"
    await lab.agent("agent-2", "state", state="Idle")
    silent = await lab.connected("agent-1")
    await lab.agent("agent-1", "end", taskId=silent)
    await lab.agent("agent-1", "wrapup", taskId=silent)
    assert (await lab.truth(silent))["wrapUpCode"] == "resolved"


async def test_E40_events_of_agents_reach_whom_they_are_for(lab: Lab) -> None:
    body = lab.subscription("lab-agents-v1", ["agent:login", "agent:state_change"], "")
    body["destinationUrl"] = f"{lab.receiver.url}/v1"
    del body["resourceVersion"]
    assert (await lab.api("POST", "/v1/subscriptions", body))[0] == 201
    names = ["agent:login", "agent:logout", "agent:channel_state_change", "agent:channelType_state_change"]
    await lab.subscribe("lab-agents-v2", names, "agent:2.0.0", destinationUrl=f"{lab.receiver.url}/v2")
    assert (
        await lab.api("POST", "/v2/subscriptions", lab.subscription("mixed", ["agent:state_change"], "agent:2.0.0"))
    )[0] == 400
    await lab.connected("agent-1")
    [task] = (await lab.control("GET", "/tasks"))["tasks"]
    await lab.agent("agent-1", "end", taskId=task["id"])
    await lab.agent("agent-1", "wrapup", taskId=task["id"])
    await lab.agent("agent-1", "logout")
    await until(lambda: "agent:logout" in lab.receiver.types("/v2"), "log out")
    await lab.settled()
    told = [(hook.type, hook.data.get("currentState")) for hook in lab.receiver.hooks if hook.path == "/v2"]
    assert [state for kind, state in told if kind == "agent:channel_state_change"] == [
        "ringing", "connected", "wrapup", "wrapup-done",
    ]  # fmt: skip
    assert [state for kind, state in told if kind == "agent:channelType_state_change"] == [
        "Idle", "Available", "Reserved", "Engaged", "WrapUp", "Available", "LoggedOut",
    ]  # fmt: skip
    assert (told[0][0], told[-1][0]) == ("agent:login", "agent:logout")
    first = next(hook for hook in lab.receiver.hooks if hook.path == "/v1")
    assert (first.type, "comciscotimestamp" in first.body) == ("agent:login", False)
    assert {hook.type for hook in lab.receiver.hooks if hook.path == "/v1"} == {"agent:login", "agent:state_change"}


async def test_E55_both_agents_of_a_conference_are_told_of(lab: Lab) -> None:
    await lab.subscribe(
        "lab-agents-v2", ["agent:channel_state_change"], "agent:2.0.0", destinationUrl=f"{lab.receiver.url}/v2"
    )
    task_id = await lab.connected("agent-1")
    await lab.available("agent-2")
    for handing_over in (False, True):
        await lab.agent("agent-1", "consult", taskId=task_id, to="agent:agent-2")
        await lab.agent("agent-1", "confer", taskId=task_id)
        action = {"to": "agent:agent-2"} if handing_over else {}
        await lab.agent("agent-1", "transfer" if handing_over else "leave", taskId=task_id, **action)
    await until(lambda: len(lab.receiver.types("/v2")) == 14, "all of it")
    told: dict[str, list[str]] = {}
    for hook in lab.receiver.hooks:
        if hook.path == "/v2":
            told.setdefault(hook.data["agentName"], []).append(hook.data["currentState"])
    assert told == {
        "Maya Okafor": ["ringing", "connected", "consulting", "conferencing", "conference-done",
                        "consulting", "conferencing", "conference-done"],
        "Jonas Lindqvist": ["consulting", "conferencing", "conference-done", "consulting", "conferencing", "connected"],
    }  # fmt: skip


async def test_E53_a_missed_offer_is_told_of_its_agent(lab: Lab) -> None:
    names = ["agent:channel_state_change"]
    await lab.subscribe("lab-agents-v2", names, "agent:2.0.0", destinationUrl=f"{lab.receiver.url}/v2")
    await lab.available("agent-1")
    await lab.arrived("task:connect", await lab.create())
    await lab.control("POST", "/clock/advance", {"ms": 30_001})
    await until(lambda: len(lab.receiver.types("/v2")) == 2, "two changes")
    told = [hook.data["currentState"] for hook in lab.receiver.hooks if hook.path == "/v2"]
    assert told == ["ringing", "not-responding"]


async def test_an_agent_sends_text_and_files_in_one_message(lab: Lab) -> None:
    task_id = await lab.connected("agent-1")
    files = [
        {"fileName": name, "mimeType": "text/plain", "contentBase64": base64.b64encode(name.encode()).decode()}
        for name in ("a.txt", "b.txt")
    ]
    await lab.agent("agent-1", "say", taskId=task_id, text="Both of them.", attachments=files)
    await until(lambda: len(lab.receiver.types("/asset")) == 1, "outbound")
    [hook] = [hook for hook in lab.receiver.hooks if hook.path == "/asset"]
    params = hook.data["channelParams"]
    assert params["type"] == "text-with-attachments"
    assert [item["fileName"] for item in params["message"]["attachments"]] == ["a.txt", "b.txt"]
    await refused(lab, "agent-1", "say", 400, taskId=task_id, text="too many", attachments=files * 3)


async def test_agents_are_logged_out_after_a_reset_and_actions_need_a_log_in(lab: Lab) -> None:
    agents = (await lab.control("GET", "/agents"))["agents"]
    assert [(agent["id"], agent["state"], agent["queues"]) for agent in agents] == [
        ("agent-1", "LoggedOut", ["support"]),
        ("agent-2", "LoggedOut", ["support", "billing"]),
    ]
    await refused(lab, "agent-1", "state", 409, state="Available")
    await lab.agent("agent-1", "login")
    await lab.agent("agent-1", "login")
    assert (await agent_of(lab, "agent-1"))["state"] == "Idle"
    await refused(lab, "agent-1", "state", 400, state="Busy")
    await refused(lab, "agent-3", "login", 404)
    await refused(lab, "agent-1", "dance", 404)
    await refused(lab, "agent-1", "accept", 404, taskId="unknown")
    await refused(lab, "agent-1", "accept", 400, task="unknown")
    await refused(lab, "agent-1", "say", 400, taskId="unknown", text="  ")
    await refused(lab, "agent-1", "attach", 400, taskId="x", fileName="a", mimeType="text/plain", contentBase64="%")
    await lab.agent("agent-1", "logout")


async def test_echoing_agents_answer_every_message(lab: Lab) -> None:
    await lab.config(auto_accept=True, echo_replies=True)
    await lab.available("agent-1")
    task_id = await lab.create()
    await lab.arrived("task:connected", task_id)
    await asyncio.gather(*(lab.append(task_id, f"message {number}") for number in range(5)))
    await until(lambda: len(lab.receiver.types("/asset")) == 5, "echoes")
    texts = [hook.data["channelParams"]["message"]["text"] for hook in lab.receiver.hooks if hook.path == "/asset"]
    assert sorted(texts) == [f"<p>message {number}</p>" for number in range(5)]
