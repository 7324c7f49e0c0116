"""The file relay over real HTTP (webex-byoc.md §13.1)."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from support.stores import opened
from warmline.domain.messages import Attachment, AttachmentKind
from warmline.files import FileRelay
from warmline.files.relay import CUSTOMER_TTL_S
from warmline.ports import Store
from warmline.system import SystemIds
from warmline.testing import ManualClock
from warmline.web.middleware import install

CONTENT = b"%PDF-1.7 " + bytes(range(256)) * 40
KEY, OLD_KEY = b"key of the tests", b"an older key"


@dataclass
class Relay:
    """A relay that listens, and a way to it without redirects or decompression."""

    relay: FileRelay
    clock: ManualClock
    store: Store
    url: str
    http: aiohttp.ClientSession

    async def keep(self, name: str = "May bill.pdf", kind: str = "application/pdf") -> Attachment:
        return await self.relay.keep("session", name, kind, CONTENT, ttl_s=CUSTOMER_TTL_S)

    async def fetch(self, method: str, url: str) -> tuple[int, dict[str, str], bytes]:
        headers = {"Accept-Encoding": "gzip, br"}
        async with self.http.request(method, url, allow_redirects=False, headers=headers) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read()


@contextlib.asynccontextmanager
async def serving(url: str, clock: ManualClock, *keys: bytes) -> AsyncIterator[Relay]:
    async with opened(url) as store:
        app = web.Application()
        install(app, SystemIds())
        relay = FileRelay(store, clock, SystemIds(), keys or (KEY,), "")
        app.add_routes(relay.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession(auto_decompress=False) as http:
            yield Relay(relay, clock, store, base, http)
        await runner.cleanup()


@pytest.fixture
async def relay(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Relay]:
    async with serving(f"sqlite:///{tmp_path / 'w.db'}", clock) as found:
        yield found


async def test_HEAD_and_GET_answer_as_webex_needs_it(relay: Relay) -> None:
    file = await relay.keep()
    for method, body in (("HEAD", b""), ("GET", CONTENT)):
        status, headers, found = await relay.fetch(method, relay.url + file.content_url)
        assert (status, found) == (200, body)
        assert headers["content-length"] == str(len(CONTENT))
        assert headers["content-type"] == "application/pdf"
        assert headers["content-disposition"] == "attachment; filename*=UTF-8''May%20bill.pdf"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "private, no-store"
        assert not {"content-encoding", "transfer-encoding", "location", "set-cookie"} & headers.keys()


async def test_the_address_has_the_types_extension_and_not_the_name(relay: Relay) -> None:
    file = await relay.keep("Mrs Smith's photo", "image/jpeg")
    assert file.content_url.endswith(".jpg")
    assert "Smith" not in file.content_url
    assert "?" not in file.content_url
    assert (file.kind, file.title, file.mime_type) == (AttachmentKind.IMAGE, "Mrs Smith's photo", "image/jpeg")
    assert file.size == len(CONTENT)


async def test_a_forged_or_damaged_address_is_a_404(relay: Relay) -> None:
    url = relay.url + (await relay.keep()).content_url
    head, token, name = url.rsplit("/", 2)
    body, signature = token.rsplit(".", 1)
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    for bad in (f"{body}.{flipped}", body, f"{body[:-2]}.{signature}", "x", "é.é", f"{token}.{signature}"):
        assert (await relay.fetch("GET", f"{head}/{bad}/{name}"))[0] == 404


async def test_an_address_expires_and_its_file_is_forgotten(relay: Relay) -> None:
    url = relay.url + (await relay.keep()).content_url
    await relay.clock.advance(CUSTOMER_TTL_S - 1)
    assert (await relay.fetch("GET", url))[0] == 200
    await relay.clock.advance(1)
    assert (await relay.fetch("GET", url))[0] == 404
    assert await relay.store.forget_files(expired_by=relay.clock.now()) == 1


async def test_an_address_survives_a_restart_and_the_rotation_of_the_key(store_url: str, clock: ManualClock) -> None:
    async with serving(store_url, clock, OLD_KEY) as before:
        path = (await before.keep()).content_url
    async with serving(store_url, clock, KEY, OLD_KEY) as after:
        assert (await after.fetch("GET", after.url + path))[2] == CONTENT
    async with serving(store_url, clock, KEY) as later:
        assert (await later.fetch("GET", later.url + path))[0] == 404
