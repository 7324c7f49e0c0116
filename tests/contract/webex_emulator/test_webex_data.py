"""Search, transcripts and the task list of the emulated Webex (webex-byoc.md §21.1, E-58, E-59)."""

from typing import Any

import pytest

from support.webex_lab import Lab, until

DAY_MS = 86_400_000


async def search(lab: Lab, arguments: str, fields: str = "id status isActive", **variables: Any) -> tuple[int, Any]:
    query = f"{{ taskDetails({arguments}) {{ tasks {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    if variables:
        query = "query Q($id: String!) " + query
    return await lab.api("POST", f"/search?orgId={lab.values['org_id']}", {"query": query, "variables": variables})


async def span(lab: Lab, since_ms: int = -60_000, until_ms: int = 60_000) -> str:
    now = (await lab.control("GET", "/clock"))["now"]
    return f"from: {now + since_ms}, to: {now + until_ms}"


async def found(lab: Lab, more: str = "", fields: str = "id status isActive") -> list[dict[str, Any]]:
    status, answer = await search(lab, await span(lab) + more, fields)
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
    status, answer = await search(lab, await span(lab) + ", filter: {id: {equals: $id}}", "key: id", id=second)
    assert (status, answer["data"]["taskDetails"]["tasks"]) == (200, [{"key": second}])
    _, answer = await lab.api("POST", "/search", {"query": f"{{ task({await span(lab)}) {{ tasks {{ id }} }} }}"})
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
    status, answer = await search(lab, await span(lab) + more, fields)
    assert status == 400, answer
    assert answer["error"]["message"][0]["description"].startswith("Invalid query")


async def test_E58_a_query_needs_its_times_and_a_known_type(lab: Lab) -> None:
    assert (await search(lab, "timeComparator: createdTime"))[0] == 400
    for query in ("", "{", "mutation { x }", f"{{ agentThing({await span(lab)}) {{ tasks {{ id }} }} }}", None):
        assert (await lab.api("POST", "/search", {"query": query}))[0] == 400


async def test_E58_spans_are_limited(lab: Lab) -> None:
    assert (await search(lab, await span(lab, -364 * DAY_MS), "id"))[0] == 200
    assert (await search(lab, await span(lab, -366 * DAY_MS), "id"))[0] == 400
    assert (await search(lab, await span(lab, -31 * DAY_MS), "id activities { id }"))[0] == 400
    assert (await search(lab, await span(lab, -29 * DAY_MS), "id activities { id }"))[0] == 200


async def test_E58_the_index_lags(lab: Lab) -> None:
    await lab.config(search_lag_ms=20_000)
    task_id = await lab.create()
    await lab.arrived("task:parked", task_id)
    assert await found(lab) == []
    await lab.control("POST", "/clock/advance", {"ms": 20_001})
    assert [row["status"] for row in await found(lab)] == ["parked"]
    await lab.end(task_id)
    await lab.arrived("task:ended", task_id)
    assert [row["status"] for row in await found(lab)] == ["parked"]
    await lab.control("POST", "/clock/advance", {"ms": 20_001})
    assert [row["status"] for row in await found(lab)] == ["ended"]


async def test_E58_pages_hold_250_rows(lab: Lab) -> None:
    for _ in range(251):
        await lab.create()
    await until(lambda: len(lab.receiver.of("task:parked")) == 251, "all parked")
    _, answer = await search(lab, await span(lab), "id")
    page = answer["data"]["taskDetails"]
    assert (len(page["tasks"]), page["pageInfo"]["hasNextPage"]) == (250, True)
    _, answer = await search(
        lab, await span(lab) + f', pagination: {{cursor: "{page["pageInfo"]["endCursor"]}"}}', "id"
    )
    rest = answer["data"]["taskDetails"]
    assert (len(rest["tasks"]), rest["pageInfo"]) == (1, {"hasNextPage": False, "endCursor": "NA"})
    assert (await search(lab, await span(lab) + ', pagination: {cursor: "?"}', "id"))[0] == 400


async def captured(lab: Lab, *task_ids: str, **more: Any) -> tuple[int, Any]:
    query = {"orgId": lab.values["org_id"], "taskIds": list(task_ids), "urlExpiration": 30, **more}
    return await lab.api("POST", "/v1/captures/query", {"query": query})


async def test_E58_a_large_answer_is_packed_for_whom_it_may_concern(lab: Lab) -> None:
    origin = "x" * 60_000
    for number in range(20):
        await lab.create(origin=f"{number}{origin}")
    await lab.quiet(0.05)
    query = {"query": f"{{ taskDetails({await span(lab)}) {{ tasks {{ id origin }} }} }}"}
    for accepted, packed in (("gzip", "gzip"), ("identity", None)):
        headers = {"Authorization": f"Bearer {lab.token}", "Accept-Encoding": accepted}
        async with lab.http.post(f"{lab.sim.url}/search", json=query, headers=headers) as response:
            assert response.headers.get("Content-Encoding") == packed
            assert len((await response.json())["data"]["taskDetails"]["tasks"]) == 20


async def test_E58_the_older_list_has_no_word_for_custom_messaging(lab: Lab) -> None:
    await lab.create()
    for query, count in (("from=0", 1), ("from=0&channelTypes=telephony,email", 0)):
        assert len((await lab.api("GET", f"/v1/tasks?{query}"))[1]["data"]) == count
    assert (await lab.api("GET", "/v1/tasks?from=0&channelTypes=customMessaging"))[0] == 400


async def test_E59_a_transcript_is_there_some_time_after_the_end(lab: Lab) -> None:
    await lab.subscribe("captures", ["capture:available"], "capture:1.0.0")
    await lab.config(transcript_delay_ms=60_000)
    task_id = await lab.connected(text="my card 4111111111111111")
    await lab.agent("agent-1", "end", taskId=task_id)
    assert (await captured(lab, task_id))[1]["data"] == [{"taskId": task_id, "recording": [], "transcription": []}]
    await lab.control("POST", "/clock/advance", {"ms": 60_001})
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
