"""What the emulated Webex keeps in its file between two starts (webex-byoc.md §20)."""

import base64
import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from support.webex_lab import Lab, until, webex_lab
from warmline.emulators.webex import SimSettings, StorageError, start


async def first_start(data: Path, **settings: Any) -> tuple[dict[str, str], str]:
    """Leave one task of each kind in the file; returns the tasks by what they are, and the token."""
    async with webex_lab(data=data, **settings) as lab:
        tasks = {"connected": await lab.connected("agent-1", "hello", origin="ann")}
        file = {"fileName": "a.txt", "mimeType": "text/plain", "contentBase64": base64.b64encode(b"hello").decode()}
        await lab.agent("agent-1", "attach", taskId=tasks["connected"], text="for you", **file)
        await lab.available("agent-2")
        tasks["offered"] = await lab.create()
        tasks["parked"] = ""
        await lab.arrived("task:connect", tasks["offered"])
        await lab.config(agents=[{"id": "agent-1", "capacity": 1}, {"id": "agent-2", "capacity": 1}])
        tasks["parked"] = await lab.create()
        await lab.arrived("task:parked", tasks["parked"])
        tasks["ended"] = await lab.create()
        await lab.end(tasks["ended"])
        await lab.arrived("task:ended", tasks["ended"])
        await lab.config(entry_points=[{"id": "main", "flow": "greet-and-ask"}])
        tasks["asked"] = await lab.create()
        await until(lambda: len(lab.receiver.types("/asset")) == 2, "greeting")
        return tasks, lab.token


async def go_on(lab: Lab, token: str) -> None:
    """Use the second start: its receiver listens elsewhere, so the webhooks are led there."""
    lab.token = token
    _, listed = await lab.api("GET", "/v2/subscriptions")
    for item in listed["data"]:
        change = {"resourceVersion": item["resourceVersion"], "destinationUrl": f"{lab.receiver.url}/events"}
        assert (await lab.api("PATCH", f"/v2/subscriptions/{item['id']}", change))[0] == 200
    address = lab.values["business_address"]
    await lab.config(assets=[{"businessAddress": address, "webhookUrl": f"{lab.receiver.url}/asset"}])


async def test_a_restart_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    data = tmp_path / "webex.db"
    tasks, token = await first_start(data)
    async with webex_lab(connected=False, data=data) as lab:
        await go_on(lab, token)
        for status in ("connected", "offered", "parked", "ended"):
            assert (await lab.truth(tasks[status]))["status"] == status
        transcript = (await lab.truth(tasks["connected"]))["transcript"]
        assert [item["text"] for item in transcript] == ["hello", "for you"]
        url = transcript[1]["attachments"][0]["url"]
        async with lab.http.get(url) as response:
            assert (response.status, await response.read()) == (200, b"hello")
        [failed] = await lab.arrived("task:failed", await lab.create(origin="ann"))
        assert tasks["connected"] in failed.data["errorMessage"], "it is still the open conversation of that customer"
        await lab.agent("agent-1", "say", taskId=tasks["connected"], text="back again")
        await until(lambda: len(lab.receiver.types("/asset")) == 1, "outbound")
        await lab.append(tasks["asked"], "12345")
        await lab.arrived("task:parked", tasks["asked"])
        await lab.control("POST", "/clock/advance", {"ms": 31_000})
        await lab.arrived("task:parked", tasks["offered"])
        await lab.agent("agent-2", "state", state="Available")
        await lab.arrived("task:connect", tasks["parked"])
        new = await lab.create()
        assert new not in tasks.values()


async def test_a_waiting_step_goes_on_when_nobody_answers(tmp_path: Path) -> None:
    data = tmp_path / "webex.db"
    tasks, token = await first_start(data)
    async with webex_lab(connected=False, data=data) as lab:
        await go_on(lab, token)
        await lab.control("POST", "/clock/advance", {"ms": 30_100})
        await lab.arrived("task:parked", tasks["asked"])


async def test_a_verdict_that_was_due_is_given_after_the_restart(tmp_path: Path) -> None:
    data = tmp_path / "webex.db"
    async with webex_lab(data=data, create_delay_ms=3_600_000) as lab:
        token, task_id = lab.token, await lab.create()
    async with webex_lab(connected=False, data=data) as lab:
        lab.token = token
        await lab.until_status(task_id, "parked")


@pytest.mark.parametrize("start_ms", [None, 1_700_000_000_000])
async def test_time_that_was_skipped_stays_skipped(tmp_path: Path, start_ms: int | None) -> None:
    settings = {"data": tmp_path / "webex.db", "virtual_clock_start_ms": start_ms}
    async with webex_lab(connected=False, **settings) as lab:
        before = (await lab.control("POST", "/clock/advance", {"ms": 3_600_000}))["now"]
    async with webex_lab(connected=False, **settings) as lab:
        after = (await lab.control("GET", "/clock"))["now"]
    assert 0 <= after - before < 600_000


async def test_a_seed_gives_no_id_twice_over_restarts(tmp_path: Path) -> None:
    seen: list[str] = []
    for _ in range(3):
        async with webex_lab(connected=False, data=tmp_path / "webex.db", seed=7) as lab:
            await lab.log_in()
            seen.append(await lab.create())
    assert len(set(seen)) == 3
    async with webex_lab(connected=False, data=tmp_path / "webex.db", seed=7) as lab:
        assert [task["id"] for task in (await lab.control("GET", "/tasks"))["tasks"]] == seen


async def test_a_crash_loses_nothing_that_is_older_than_half_a_second(tmp_path: Path) -> None:
    data, found = tmp_path / "webex.db", tmp_path / "found.db"
    async with webex_lab(data=data) as lab:
        task_id = await lab.connected("agent-1")
        await lab.agent("agent-1", "say", taskId=task_id, text="just before")
        await lab.quiet(0.6)
        for suffix in ("", "-wal"):
            shutil.copy(f"{data}{suffix}", f"{found}{suffix}")
    async with webex_lab(connected=False, data=found) as lab:
        task = await lab.truth(task_id)
        assert (task["status"], task["transcript"][-1]["text"]) == ("connected", "just before")
        [agent, _] = (await lab.control("GET", "/agents"))["agents"]
        assert agent["tasks"] == {task_id: "connected"}


async def test_a_reset_empties_the_file(tmp_path: Path) -> None:
    data = tmp_path / "webex.db"
    _, token = await first_start(data)
    async with webex_lab(connected=False, data=data) as lab:
        await lab.control("POST", "/reset")
    async with webex_lab(connected=False, data=data) as lab:
        lab.token = token
        assert (await lab.control("GET", "/tasks"))["tasks"] == []
        assert (await lab.api("GET", "/v2/subscriptions"))[1]["meta"]["subscriptionCount"] == 2
        assert (await lab.control("GET", "/config"))["entryPoints"][0]["flow"] == "to-support"


async def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    no_database = tmp_path / "letter.txt"
    no_database.write_text("Dear Ann, " * 100)
    with pytest.raises(StorageError, match="letter"):
        await start(SimSettings(), data=no_database)
    data = tmp_path / "webex.db"
    async with webex_lab(connected=False, data=data):
        with pytest.raises(StorageError, match="locked"):
            await start(SimSettings(), data=data)
    with contextlib.closing(sqlite3.connect(data)) as database, database:
        database.execute("UPDATE objects SET body = x'80' WHERE kind = 'rest'")
    with pytest.raises(StorageError, match="another version"):
        await start(SimSettings(), data=data)
