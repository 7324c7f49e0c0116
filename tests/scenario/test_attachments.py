"""Files both ways between the customer's wire and the agent's desktop (webex-byoc.md §13, §14)."""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from support.desk import Desk
from support.installation import DISPUTE, ServerProcess, customer, emulator, installation
from warmline.testing.messaging_client import MessagingClient

PDF = b"%PDF-1.7\n" + bytes(range(256)) * 8
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


class Uploader:
    """The customer's way to send files."""

    def __init__(self, server: ServerProcess, visitor: MessagingClient, http: aiohttp.ClientSession) -> None:
        self._base = f"{server.url}/api/v1/sessions"
        self._visitor = visitor
        self._http = http

    async def send(
        self, name: str, content: bytes, *, text: str = "", ref: str = "", token: str = "", session: str = ""
    ) -> tuple[int, dict[str, Any]]:
        url = f"{self._base}/{session or self._visitor.session_id}/files?name={quote(name)}&text={quote(text)}"
        headers = {"Authorization": f"Bearer {token or self._visitor.access_token}"}
        async with self._http.post(f"{url}&local_id={ref}" if ref else url, data=content, headers=headers) as answer:
            return answer.status, await answer.json()

    async def get(self, url: str) -> tuple[int, str, bytes]:
        async with self._http.get(url, allow_redirects=False) as answer:
            return answer.status, answer.content_type, await answer.read()


async def live(visitor: MessagingClient, desk: Desk) -> str:
    """The customer is with a live agent; returns the task's id."""
    await desk.ready()
    await visitor.start()
    await visitor.say_and_wait(DISPUTE)
    task_id = await desk.take()
    await visitor.expect("LIVE_AGENT_JOINED")
    return task_id


async def attach(desk: Desk, task_id: str, name: str, kind: str, content: bytes, text: str = "") -> None:
    body = base64.b64encode(content).decode()
    await desk.act("attach", taskId=task_id, fileName=name, mimeType=kind, contentBase64=body, text=text)


async def test_customers_files_reach_the_agent_and_agents_files_the_customer(store_url: str) -> None:
    async with (
        emulator() as sim,
        installation(store_url, sim) as server,
        Desk(sim.url) as desk,
        customer(server) as visitor,
        aiohttp.ClientSession() as http,
    ):
        up = Uploader(server, visitor, http)
        task_id = await live(visitor, desk)
        offered = visitor.all("HANDOFF_ACCEPTED")[0].payload["capabilities"]["attachments"]
        assert offered["max_size_bytes"] == 10_485_760
        assert "image/*" in offered["types"]

        status, answer = await up.send("May bill.pdf", PDF, text="Here it is", ref="ref-1")
        assert status == 201
        assert await up.send("May bill.pdf", PDF, text="Here it is", ref="ref-1") == (201, answer)
        echo = await visitor.expect("USER_MESSAGE", 2)
        assert (echo.payload["text"], echo.payload["message_id"]) == ("Here it is", answer["message_id"])
        assert echo.custom == {"local_id": "ref-1"}
        (card,) = echo.payload["attachments"]
        assert (card["title"], card["content_type"]) == ("May bill.pdf", "ATTACHMENT_CONTENT_TYPE_URL")
        await visitor.expect("LIVE_AGENT_RECEIVED_MESSAGE")
        await desk.until_heard(task_id, ["Here it is"])
        (seen,) = (await desk.task(task_id))["transcript"][-1]["attachments"]
        assert (seen["fileName"], seen["mimeType"]) == ("May bill.pdf", "application/pdf")
        assert (await up.get(seen["url"]))[2] == PDF

        await attach(desk, task_id, "meter.png", "image/png", PNG, "Is this yours?")
        words = await visitor.expect("LIVE_AGENT_MESSAGE")
        shown = await visitor.expect("LIVE_AGENT_MESSAGE", 2)
        assert (words.payload["text"], words.payload["attachments"]) == ("Is this yours?", [])
        (picture,) = shown.payload["attachments"]
        assert shown.payload["agent_id"] == words.payload["agent_id"]
        assert (picture["title"], picture["content_type"]) == ("meter.png", "ATTACHMENT_CONTENT_TYPE_IMAGE")
        assert picture["content_url"].startswith(f"{server.url}/files/"), "A-28: ours, never Webex's own"
        assert await up.get(picture["content_url"]) == (200, "image/png", PNG)
        assert visitor.violations == []


async def test_A20_A21_what_webex_masked_and_dropped(tmp_path: Path) -> None:
    async with (
        emulator() as sim,
        installation(f"sqlite:///{tmp_path}/warmline.db", sim) as server,
        Desk(sim.url) as desk,
        customer(server) as visitor,
        aiohttp.ClientSession() as http,
    ):
        up = Uploader(server, visitor, http)
        task_id = await live(visitor, desk)
        assert (await up.send("virus.txt", EICAR, text="see attached"))[0] == 201
        notice = await visitor.expect("SYSTEM_MESSAGE")
        assert notice.payload == {
            "level": "SYSTEM_MESSAGE_LEVEL_WARNING",
            "message": "virus.txt was not delivered: it did not pass the security check.",
        }
        await visitor.say_and_wait("my card is 4111 1111 1111 1111")
        await visitor.expect("LIVE_AGENT_RECEIVED_MESSAGE", 2)
        await desk.until_heard(task_id, ["see attached", "my card is XXXX XXXX XXXX XXXX"])
        async with customer(server, auto_join=False) as again:
            again.access_token, again.session_id = visitor.access_token, visitor.session_id
            await again.connect()
            await again.expect("LIVE_AGENT_RECEIVED_MESSAGE", 2)
            assert again.all("USER_MESSAGE")[-1].payload["text"] == "my card is XXXX XXXX XXXX XXXX"


async def test_A29_encrypted_and_unreachable_files_of_the_agent(tmp_path: Path) -> None:
    async with (
        emulator(encrypt_files=True) as sim,
        installation(f"sqlite:///{tmp_path}/warmline.db", sim) as server,
        Desk(sim.url) as desk,
        customer(server) as visitor,
        aiohttp.ClientSession() as http,
    ):
        up = Uploader(server, visitor, http)
        task_id = await live(visitor, desk)
        await attach(desk, task_id, "bill.pdf", "application/pdf", PDF)
        opened = await visitor.expect("LIVE_AGENT_MESSAGE")
        (file,) = opened.payload["attachments"]
        assert (file["title"], file["content_type"]) == ("bill.pdf", "ATTACHMENT_CONTENT_TYPE_URL")
        assert await up.get(file["content_url"]) == (200, "application/pdf", PDF)

        await desk.call("POST", "/faults", {"match": {"endpoint": "kms"}, "effect": {"status": 404, "times": 1}})
        await attach(desk, task_id, "secret.pdf", "application/pdf", PDF, "and this")
        refused = await visitor.expect("LIVE_AGENT_MESSAGE", 3)
        assert visitor.all("LIVE_AGENT_MESSAGE")[1].payload["text"] == "and this"
        assert refused.payload["text"] == "The agent sent a file that can't be shown here: secret.pdf"
        assert "agent_id" not in refused.payload

        await desk.call("POST", "/faults", {"match": {"endpoint": "files"}, "effect": {"status": 500}})
        await attach(desk, task_id, "lost.png", "image/png", PNG)
        lost = await visitor.expect("LIVE_AGENT_MESSAGE", 4)
        assert lost.payload["text"] == "An attachment couldn't be delivered."


async def test_uploads_that_cannot_be_taken_are_refused_with_a_sentence(tmp_path: Path) -> None:
    async with (
        emulator() as sim,
        installation(f"sqlite:///{tmp_path}/warmline.db", sim) as server,
        Desk(sim.url) as desk,
        customer(server) as visitor,
        aiohttp.ClientSession() as http,
    ):
        up = Uploader(server, visitor, http)
        await visitor.start()
        status, answer = await up.send("a.png", PNG)
        assert (status, answer["message"]) == (409, "Files can be sent only while you are connected to our team.")
        await desk.ready()
        await visitor.say_and_wait(DISPUTE)
        task_id = await desk.take()
        await visitor.expect("LIVE_AGENT_JOINED")
        for name, content, wanted in (
            ("a.png", b"", 400),
            ("a.exe", b"MZ\0\0", 415),
            ("a.pdf", PNG, 415),
            ("a.png", PNG + bytes(10_485_760), 413),
        ):
            status, answer = await up.send(name, content)
            assert status == wanted
            assert answer["message"].endswith(".")
        assert (await up.send("a.png", PNG, token="x.y.z"))[0] == 401
        assert (await up.send("a.png", PNG, session="11111111-2222-4333-8444-555555555555"))[0] == 404
        async with customer(server) as other:
            await other.start()
            assert (await up.send("a.png", PNG, token=other.access_token))[0] == 401
        assert len(visitor.all("USER_MESSAGE")) == 1
        await desk.end(task_id)
        await visitor.expect("SESSION_END")
        assert (await up.send("a.png", PNG))[0] == 404
