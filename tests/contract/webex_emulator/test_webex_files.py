"""Attachments, policy, masking and scans in the emulated Webex (webex-byoc.md §21.1, E-26 to E-33)."""

import base64
import html
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from support.webex_lab import ASSET_SECRET, Lab, until
from warmline.testing.messaging_client import PATIENCE_S

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
CARD = "4111 1111 1111 1111"


def file_of(url: str, name: str = "a.txt", mime_type: str = "text/plain") -> dict[str, str]:
    return {"fileName": name, "mimeType": mime_type, "fileUrl": url}


async def verdict(lab: Lab, *files: dict[str, str], text: str = "see file") -> dict[str, Any]:
    """Append a message with files to a new task and return the `data` of what came of it."""
    task_id = await lab.create()
    await lab.arrived("task-message:appended", task_id)
    status, answer = await lab.append(task_id, lab.message(text, attachments=list(files)))
    assert status == 201, answer

    def verdicts() -> list[dict[str, Any]]:
        ours = [hook for hook in lab.receiver.hooks if hook.data.get("taskId") == task_id]
        return [hook.data for hook in ours if hook.body["id"] == answer["data"]["id"]]

    await until(lambda: bool(verdicts()), "a verdict")
    return verdicts()[-1]


async def test_E26_a_file_of_unknown_size_is_rejected(lab: Lab) -> None:
    async def chunked(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        if request.method == "GET":
            await response.write(b"hello")
        return response

    lab.receiver.files["/f/a.txt"] = chunked
    data = await verdict(lab, file_of(f"{lab.receiver.url}/f/a.txt"))
    assert data["reason"] == "INVALID_CONTENT"
    assert "size" in data["errorMessage"]


async def test_E26_the_size_may_come_from_a_get_when_head_is_refused(lab: Lab) -> None:
    async def only_get(request: web.Request) -> web.Response:
        return web.Response(status=405) if request.method == "HEAD" else web.Response(body=b"hello")

    lab.receiver.files["/f/a.txt"] = only_get
    data = await verdict(lab, file_of(f"{lab.receiver.url}/f/a.txt"))
    assert data["eventDetails"] == "Appended Message to chat successfully."


async def test_E27_redirects_are_not_followed(lab: Lab) -> None:
    target = lab.receiver.put_file("/real.txt", b"hello")

    async def redirect(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    lab.receiver.files["/f/a.txt"] = redirect
    data = await verdict(lab, file_of(f"{lab.receiver.url}/f/a.txt"))
    assert data["reason"] == "INVALID_CONTENT"
    assert ("GET", "/f/real.txt") not in lab.receiver.file_requests


@pytest.mark.parametrize(
    ("path", "name", "accepted"),
    [
        ("/photo.png", "photo.exe", True),
        ("/photo.exe", "photo.png", False),
        ("/photo", "photo.png", True),
        ("/photo", "photo.exe", False),
        ("/photo", "photo", False),
    ],
)
async def test_E28_the_type_is_that_of_the_path_else_of_the_name(
    lab: Lab, path: str, name: str, accepted: bool
) -> None:
    url = lab.receiver.put_file(path, b"\x89PNG")
    data = await verdict(lab, file_of(url, name, "image/png"))
    assert data["reason"] == (None if accepted else "INVALID_CONTENT")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"maxAttachments": 1}, "The maximum number of attachments allowed is 1."),
        ({"maxSingleBytes": 4}, "size of an attachment"),
        ({"maxTotalBytes": 9}, "total size"),
        ({"allowedTypes": ["image/*"]}, "text/plain"),
        ({"attachmentsAllowed": False}, "not allowed"),
        ({"maxChars": 7}, "characters allowed is 7"),
    ],
)
async def test_E29_each_limit_rejects_the_whole_message(lab: Lab, policy: dict[str, Any], words: str) -> None:
    files = [file_of(lab.receiver.put_file(f"/{name}.txt", b"hello"), f"{name}.txt") for name in "ab"]
    await lab.config(channels=[{"name": lab.values["channel_name"], "policy": policy}])
    data = await verdict(lab, *files)
    assert data["reason"] == "INVALID_CONTENT"
    assert words in data["errorMessage"]
    assert [len(task["transcript"]) for task in (await lab.control("GET", "/tasks"))["tasks"]] == [1]


async def test_E30_a_policy_holds_at_once_for_customers_and_after_a_reload_for_agents(lab: Lab) -> None:
    task_id = await lab.connected()
    await lab.config(channels=[{"name": lab.values["channel_name"], "policy": {"maxChars": 10}}])
    await lab.append(task_id, "longer than ten")
    await lab.arrived("task-message:append-failed", task_id)
    await lab.agent("agent-1", "say", taskId=task_id, text="longer than ten")
    async with lab.http.ws_connect(lab.sim.url + "/desktop/ws?agent=agent-1") as socket:
        await socket.receive_json(timeout=PATIENCE_S)
    status, answer = await lab.call(
        "POST", "/__sim/v1/agents/agent-1/say", {"taskId": task_id, "text": "longer than ten"}
    )
    assert status == 400
    assert "10" in answer["message"]


async def test_E31_malware_and_card_files_are_dropped_and_the_message_goes_on(lab: Lab) -> None:
    good = file_of(lab.receiver.put_file("/good.txt", b"hello"), "good.txt")
    bad = file_of(lab.receiver.put_file("/bad.txt", EICAR), "bad.txt")
    card = file_of(lab.receiver.put_file("/card.txt", f"my card {CARD}".encode()), "card.txt")
    data = await verdict(lab, bad, good, card)
    assert data["eventDetails"] == (
        "Appended Message to chat successfully. PCI or malware scan failed for some attachments. "
        "Affected attachments were dropped."
    )
    assert data["channelParams"]["message"]["attachments"] == [good]
    assert data["channelParams"]["message"]["text"] == "see file"
    transcript = (await lab.truth(data["taskId"]))["transcript"]
    assert [item["fileName"] for item in transcript[1]["attachments"]] == ["good.txt"]


async def test_E31_files_of_agents_are_dropped_silently(lab: Lab) -> None:
    task_id = await lab.connected()
    content = base64.b64encode(EICAR).decode()
    await lab.agent(
        "agent-1", "attach", taskId=task_id, fileName="x.txt", mimeType="text/plain", contentBase64=content, text="Here"
    )
    [outbound] = await asset_hooks(lab, task_id)
    assert "attachments" not in outbound.data["channelParams"]["message"]


async def asset_hooks(lab: Lab, task_id: str, count: int = 1) -> list[Any]:
    def hooks() -> list[Any]:
        return [hook for hook in lab.receiver.of("task-message:appended", "/asset") if hook.data["taskId"] == task_id]

    await until(lambda: len(hooks()) >= count, "an outbound message")
    return hooks()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"card {CARD}!", "card XXXX XXXX XXXX XXXX!"),
        ("4111-1111-1111-1111", "XXXX-XXXX-XXXX-XXXX"),
        ("4111111111111111", "X" * 16),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("order 123456789012", "order 123456789012"),
    ],
)
async def test_E32_card_numbers_are_masked_everywhere(lab: Lab, text: str, shown: str) -> None:
    task_id = await lab.connected(text=text)
    [echo] = await lab.arrived("task-message:appended", task_id)
    assert echo.data["channelParams"]["message"]["text"] == shown
    await lab.agent("agent-1", "say", taskId=task_id, text=text)
    [outbound] = await asset_hooks(lab, task_id)
    assert shown in html.unescape(outbound.data["channelParams"]["message"]["text"])
    assert [item["text"] for item in (await lab.truth(task_id))["transcript"]] == [shown, shown]


async def test_E33_a_file_of_the_agent_comes_as_a_signed_url_that_expires(lab: Lab) -> None:
    task_id = await lab.connected()
    content = base64.b64encode(b"the bill").decode()
    await lab.agent(
        "agent-1", "attach", taskId=task_id, fileName="bill.pdf", mimeType="application/pdf", contentBase64=content
    )
    [outbound] = await asset_hooks(lab, task_id)
    assert outbound.is_signed_with(ASSET_SECRET)
    assert outbound.data["channelParams"]["type"] == "text-with-attachments"
    [file] = outbound.data["channelParams"]["message"]["attachments"]
    assert (file["fileName"], file["mimeType"]) == ("bill.pdf", "application/pdf")
    async with lab.http.get(file["url"]) as response:
        assert (response.status, await response.read()) == (200, b"the bill")
        assert response.headers["Content-Length"] == "8"
    async with lab.http.get(file["url"] + "0") as response:
        assert response.status == 403
    await lab.control("POST", "/clock/advance", {"ms": 3_600_001})
    async with lab.http.get(file["url"]) as response:
        assert response.status == 403


def b64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_E33_an_encrypted_file_decrypts_to_the_original(lab: Lab) -> None:
    await lab.config(encrypt_files=True)
    task_id = await lab.connected()
    content = base64.b64encode(b"the bill").decode()
    await lab.agent(
        "agent-1", "attach", taskId=task_id, fileName="bill.pdf", mimeType="application/pdf", contentBase64=content
    )
    [outbound] = await asset_hooks(lab, task_id)
    [file] = outbound.data["channelParams"]["message"]["attachments"]
    query = parse_qs(urlsplit(file["url"]).query)
    assert query["keyUri"][0].startswith("kms://")
    key_id = query["keyUri"][0].rpartition("/")[2]
    _, answer = await lab.api("GET", f"/kms/keys/{key_id}")
    header, _, iv, sealed, tag = query["JWE"][0].split(".")
    assert json.loads(b64(header)) == {"enc": "A256GCM", "alg": "dir"}
    scr = json.loads(AESGCM(b64(answer["data"]["k"])).decrypt(b64(iv), b64(sealed) + b64(tag), header.encode()))
    async with lab.http.get(file["url"]) as response:
        ciphertext = await response.read()
    assert ciphertext != b"the bill"
    plain = AESGCM(b64(scr["key"])).decrypt(b64(scr["iv"]), ciphertext + b64(scr["tag"]), scr["aad"].encode())
    assert plain == b"the bill"


async def test_strict_mode_wants_https_and_reaches_it_by_the_host_map(lab: Lab) -> None:
    lab.receiver.put_file("/a.txt", b"hello")
    await lab.config(relaxed=False, host_map={"https://wl.lumen.io": lab.receiver.url})
    plain = [file_of(f"{lab.receiver.url}/f/a.txt")]
    assert (await lab.api("POST", "/v2/tasks", lab.task(channelParams=lab.message("x", attachments=plain))))[0] == 400
    data = await verdict(lab, file_of("https://wl.lumen.io/f/a.txt"))
    assert data["reason"] is None
