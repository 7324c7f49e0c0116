"""Creating, appending and ending tasks in the emulated Webex (webex-byoc.md §21.1, E-10 to E-25)."""

import asyncio
import copy
import uuid
from typing import Any

import pytest
from aiohttp import web

from support.webex_lab import NOW_MS, Lab, webex_lab


async def test_E10_a_minimal_create_is_accepted(lab: Lab) -> None:
    status, answer = await lab.api("POST", "/v2/tasks", lab.task())
    assert status == 201
    assert uuid.UUID(answer["data"]["id"]).version == 4
    assert answer["meta"]["orgId"] == lab.values["org_id"]
    await lab.arrived("task:new", answer["data"]["id"])


REQUIRED = [
    ("origin",), ("origin", "id"), ("destination",), ("destination", "id"), ("destination", "type"), ("channelType",),
    ("channel",), ("channelParams",), ("channelParams", "type"), ("channelParams", "message"),
    ("channelParams", "message", "aliasId"), ("channelParams", "message", "text"),
    ("channelParams", "message", "timestamp"),
]  # fmt: skip


def without(body: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    changed = copy.deepcopy(body)
    at = changed
    for name in path[:-1]:
        at = at[name]
    del at[path[-1]]
    return changed


@pytest.mark.parametrize("path", REQUIRED, ids=".".join)
async def test_E11_each_required_field_is_demanded(lab: Lab, path: tuple[str, ...]) -> None:
    body = without(lab.task(), path)
    status, answer = await lab.api("POST", "/v2/tasks", body)
    assert status == 400
    words = " ".join(item["description"] for item in answer["error"]["message"])
    assert ".".join(path) in words
    assert (await lab.control("GET", "/tasks"))["tasks"] == []
    await lab.config(sync_validation=False)
    status, answer = await lab.api("POST", "/v2/tasks", body)
    assert status == 201
    [failed] = await lab.arrived("task:failed", answer["data"]["id"])
    assert failed.data["reason"] in ("INVALID_CONTENT", "CHANNEL_ASSET_UNDEFINED")


@pytest.mark.parametrize("stamp", ["1779785508649", 1779785508, 1.5, True, None])
async def test_E11_the_timestamp_is_integer_milliseconds(lab: Lab, stamp: Any) -> None:
    body = lab.task()
    body["channelParams"]["message"]["timestamp"] = stamp
    assert (await lab.api("POST", "/v2/tasks", body))[0] == 400


async def test_E12_attachments_go_with_their_type_only(lab: Lab) -> None:
    url = lab.receiver.put_file("/a.txt", b"hello")
    files = [{"fileName": "a.txt", "mimeType": "text/plain", "fileUrl": url}]
    wrong = lab.message("x", attachments=files)
    wrong["type"] = "text"
    assert (await lab.api("POST", "/v2/tasks", lab.task(channelParams=wrong)))[0] == 400
    empty = lab.message("", attachments=files)
    empty["message"].pop("attachments")
    assert (await lab.api("POST", "/v2/tasks", lab.task(channelParams=empty)))[0] == 400
    assert (await lab.api("POST", "/v2/tasks", lab.task(channelParams=lab.message(""))))[0] == 400
    task_id = await lab.create(channelParams=lab.message("", attachments=files))
    await lab.arrived("task:new", task_id)
    for name in ("fileName", "mimeType", "fileUrl"):
        partial = [{key: value for key, value in files[0].items() if key != name}]
        status, _ = await lab.api("POST", "/v2/tasks", lab.task(channelParams=lab.message("x", attachments=partial)))
        assert status == 400


async def test_E13_the_telephony_endpoint_teaches_the_mistake(lab: Lab) -> None:
    status, answer = await lab.api("POST", "/v1/tasks", lab.task())
    words = " ".join(item["description"] for item in answer["error"]["message"])
    assert status == 400
    assert all(name in words for name in ("entryPointId", "mediaType", "origin", "destination"))


async def test_E14_E15_every_reason_to_fail_comes_after_a_201(lab: Lab) -> None:
    async def failing(text: str = "hello", **more: Any) -> dict[str, Any]:
        status, answer = await lab.api("POST", "/v2/tasks", lab.task(text, **more))
        assert status == 201
        [failed] = await lab.arrived("task:failed", answer["data"]["id"])
        assert failed.data["failureType"] == "failed"
        assert failed.data["mediaMgr"] == "digitalmm"
        assert failed.data["errorMessage"]
        assert (await lab.truth(answer["data"]["id"]))["status"] == "failed"
        return failed.data

    await lab.config(feature_enabled=False)
    assert (await failing())["reason"] == "FEATURE_FLAG_DISABLED"
    await lab.config(feature_enabled=True)
    unknown = {"id": "nobody@lumen.example", "type": "businessAddress"}
    assert (await failing(destination=unknown))["reason"] == "CHANNEL_ASSET_UNDEFINED"
    assert (await failing(channel="Warmline-Webchat"))["reason"] == "CHANNEL_ASSET_UNDEFINED"
    await lab.config(entry_points=[{"id": "main", "active": False}])
    assert (await failing())["reason"] == "ENTRY_POINT_NOT_FOUND"
    await lab.config(entry_points=[{"id": "main", "active": True}], org_contact_limit=0)
    assert (await failing())["reason"] == "ORG_DIGITAL_CONTACT_LIMIT_EXCEEDED"
    await lab.config(org_contact_limit=100)
    assert (await failing("x" * 4097))["reason"] == "INVALID_CONTENT"
    await lab.fault({"reason": "CONVERSATION_CREATION_FAILED", "times": 1}, endpoint="create")
    assert (await failing())["reason"] == "CONVERSATION_CREATION_FAILED"
    await lab.fault({"reason": "SOMETHING_NEW", "times": 1}, endpoint="create")
    assert (await failing())["reason"] == "SOMETHING_NEW"
    await lab.arrived("task:new", await lab.create())


async def test_E16_one_open_conversation_per_customer_and_address(lab: Lab) -> None:
    first = await lab.create(origin="ann")
    await lab.arrived("task:new", first)
    second = await lab.create(origin="ann")
    [failed] = await lab.arrived("task:failed", second)
    assert failed.data["reason"] == "CONVERSATION_ALREADY_OPEN"
    assert first in failed.data["errorMessage"]
    await lab.arrived("task:new", await lab.create(origin="tom"))
    await lab.config(assets=[{"businessAddress": "other", "channel": lab.values["channel_name"], "entryPoint": "main"}])
    other = await lab.create(origin="ann", destination={"id": "other", "type": "businessAddress"})
    await lab.arrived("task:new", other)
    assert await lab.end(first) == 202
    await lab.arrived("task:ended", first)
    await lab.arrived("task:new", await lab.create(origin="ann"))


async def test_E16_a_failed_task_is_never_open(lab: Lab) -> None:
    await lab.arrived("task:failed", await lab.create("x" * 5000, origin="ann"))
    await lab.arrived("task:new", await lab.create(origin="ann"))


@pytest.mark.parametrize(("enabled", "event"), [(True, "task:new"), (False, "task:failed")])
async def test_E17_with_a_negative_delay_the_verdict_comes_before_the_201(enabled: bool, event: str) -> None:
    async with webex_lab(create_delay_ms=-1, feature_enabled=enabled) as lab:

        async def slow(_: web.Request) -> web.Response:
            await asyncio.sleep(0.05)
            return web.json_response({})

        lab.receiver.answer["/events"] = slow
        task_id = await lab.create()
        assert [hook.data["taskId"] for hook in lab.receiver.of(event)] == [task_id]


async def test_E18_global_variables_have_limits(lab: Lab) -> None:
    async def status_of(**variables: str) -> int:
        return (await lab.api("POST", "/v2/tasks", lab.task(globalVariables=variables)))[0]

    assert await status_of(**{f"v{number}": "x" for number in range(30)}) == 201
    assert await status_of(**{f"v{number}": "x" for number in range(31)}) == 400
    assert await status_of(**{"k" * 200: "x"}) == 201
    assert await status_of(**{"k" * 201: "x"}) == 400
    assert await status_of(reason="é" * 512) == 201
    assert await status_of(reason="é" * 512 + "x") == 400
    assert (await lab.api("POST", "/v2/tasks", lab.task(globalVariables={"a": 1})))[0] == 400
    await lab.config(unknown_variables="reject")
    assert await status_of(reason="billing") == 201
    assert await status_of(colour="red") == 400


async def test_E19_an_append_to_no_open_task_is_not_found(lab: Lab) -> None:
    unknown = str(uuid.uuid4())
    assert (await lab.append(unknown, "hello"))[0] == 201
    [failed] = await lab.arrived("task-message:append-failed", unknown)
    assert failed.data["reason"] == "NOT_FOUND"
    task_id = await lab.create()
    await lab.arrived("task:new", task_id)
    await lab.end(task_id)
    await lab.arrived("task:ended", task_id)
    assert (await lab.append(task_id, "hello"))[0] == 201
    [failed] = await lab.arrived("task-message:append-failed", task_id)
    assert failed.data["reason"] == "NOT_FOUND"
    await lab.config(sync_not_found=True)
    assert (await lab.append(task_id, "hello"))[0] == 404


async def test_E20_a_uuid_alias_is_the_id_of_the_answer_and_of_the_event(lab: Lab) -> None:
    task_id = await lab.create()
    await lab.arrived("task-message:appended", task_id)
    alias = str(uuid.uuid4())
    status, answer = await lab.append(task_id, lab.message("more", alias=alias))
    assert (status, answer["data"]["id"]) == (201, alias)
    hooks = await lab.arrived("task-message:appended", task_id, 2)
    assert hooks[1].body["id"] == alias
    _, answer = await lab.append(task_id, lab.message("more", alias="not a uuid"))
    hooks = await lab.arrived("task-message:appended", task_id, 3)
    assert hooks[2].body["id"] == answer["data"]["id"] == str(uuid.UUID(answer["data"]["id"]))
    await lab.config(append_empty_response=True)
    assert await lab.append(task_id, "more") == (202, {})


async def test_E21_an_append_is_echoed(lab: Lab) -> None:
    task_id = await lab.create("first")
    params = lab.message("second")
    await lab.append(task_id, params)
    first, second = await lab.arrived("task-message:appended", task_id, 2)
    assert first.data["eventDetails"] == "Chat Created Successfully"
    assert first.data["channelParams"]["message"]["text"] == "first"
    assert second.data["channelParams"] == params
    assert second.data["eventDetails"] == "Appended Message to chat successfully."
    assert (second.data["messageDirection"], second.data["reason"], second.data["errorMessage"]) == (
        "INBOUND",
        None,
        None,
    )
    texts = [item["text"] for item in (await lab.truth(task_id))["transcript"]]
    assert texts == ["first", "second"]


async def test_E21_the_first_message_is_acknowledged_only_if_wanted(lab: Lab) -> None:
    await lab.config(ack_first_message=False)
    task_id = await lab.create("first")
    await lab.arrived("task:parked", task_id)
    await lab.quiet(0.05)
    assert lab.receiver.of("task-message:appended") == []


@pytest.mark.parametrize("reason", ["INVALID_CONTENT", "INTERNAL_ERROR"])
async def test_E22_a_failed_append_names_no_alias(lab: Lab, reason: str) -> None:
    task_id = await lab.create()
    await lab.arrived("task:parked", task_id)
    if reason == "INTERNAL_ERROR":
        await lab.fault({"reason": reason, "times": 1}, endpoint="append")
    await lab.append(task_id, "x" * (5000 if reason == "INVALID_CONTENT" else 5))
    [failed] = await lab.arrived("task-message:append-failed", task_id)
    assert failed.data["reason"] == reason
    assert failed.data["channelParams"] is None
    assert failed.data["eventDetails"] is None
    assert "aliasId" not in failed.data
    assert len((await lab.truth(task_id))["transcript"]) == 1


async def test_E23_an_append_needs_its_media_type(lab: Lab) -> None:
    task_id = await lab.create()
    path = f"/v2/tasks/{task_id}/messages"
    assert (await lab.api("POST", path, {"channelParams": lab.message()}))[0] == 400
    assert (await lab.api("POST", path, {"mediaType": "chat", "channelParams": lab.message()}))[0] == 400


async def test_E24_end_is_accepted_and_proved_by_task_ended(lab: Lab) -> None:
    task_id = await lab.create()
    await lab.arrived("task:parked", task_id)
    assert await lab.end(task_id) == 202
    [ended] = await lab.arrived("task:ended", task_id)
    assert (ended.data["terminatingParty"], ended.data["reason"]) == ("Customer", "Customer Left")
    assert await lab.end(task_id) == 404
    assert await lab.end("unknown") == 404
    second = await lab.create()
    assert (await lab.api("POST", f"/v2/tasks/{second}/end", {}))[0] == 202
    await lab.config(v2_end=False)
    third = await lab.create()
    assert (await lab.api("POST", f"/v2/tasks/{third}/end", {}))[0] == 404
    assert await lab.end(third) == 202


async def test_E24_an_end_before_the_verdict_ends_the_new_task() -> None:
    async with webex_lab(create_delay_ms=80, virtual_clock_start_ms=NOW_MS) as lab:
        task_id = await lab.create()
        assert await lab.end(task_id) == 202
        await lab.control("POST", "/clock/advance", {"ms": 80})
        await lab.arrived("task:ended", task_id)
        assert lab.receiver.types("/events")[0] == "task:new"
        assert "task:parked" not in lab.receiver.types()


async def test_E25_serial_appends_keep_their_order_even_behind_slow_files(lab: Lab) -> None:
    content = b"slow"

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.05)
        return web.Response(body=content)

    lab.receiver.files["/f/slow.txt"] = slow
    files = [{"fileName": "slow.txt", "mimeType": "text/plain", "fileUrl": f"{lab.receiver.url}/f/slow.txt"}]
    await lab.config(shuffle_parallel_appends=True)
    task_id = await lab.create("0")
    await lab.append(task_id, lab.message("1", attachments=files))
    for number in range(2, 10):
        await lab.append(task_id, str(number))
    hooks = await lab.arrived("task-message:appended", task_id, 10)
    assert [hook.data["channelParams"]["message"]["text"] for hook in hooks] == [str(number) for number in range(10)]


async def test_E25_parallel_appends_can_change_places(lab: Lab) -> None:
    await lab.config(shuffle_parallel_appends=True)
    task_id = await lab.create("0")
    await lab.arrived("task:parked", task_id)
    sent = [str(number) for number in range(1, 21)]
    await asyncio.gather(*(lab.append(task_id, text) for text in sent))
    hooks = await lab.arrived("task-message:appended", task_id, 21)
    texts = [hook.data["channelParams"]["message"]["text"] for hook in hooks[1:]]
    assert sorted(texts, key=int) == sent
    assert texts != sent


async def test_a_repeated_alias_is_appended_again_or_not(lab: Lab) -> None:
    task_id = await lab.create()
    params = lab.message("twice")
    await lab.append(task_id, params)
    await lab.append(task_id, params)
    await lab.arrived("task-message:appended", task_id, 3)
    await lab.config(duplicate_alias="dedupe")
    await lab.append(task_id, params)
    await lab.append(task_id, "marker")
    hooks = await lab.arrived("task-message:appended", task_id, 4)
    assert hooks[3].data["channelParams"]["message"]["text"] == "marker"


async def test_the_create_delay_lies_between_201_and_verdict() -> None:
    async with webex_lab(create_delay_ms=100, virtual_clock_start_ms=NOW_MS) as lab:
        task_id = await lab.create()
        await lab.control("POST", "/clock/advance", {"ms": 99})
        await lab.quiet(0.05)
        assert lab.receiver.types() == []
        await lab.control("POST", "/clock/advance", {"ms": 1})
        await lab.arrived("task:new", task_id)
        await lab.arrived("task:parked", task_id)
