"""The emulated carrier, judged by the carrier's own package; and our client beside it (messaging-protocol.md §17.5)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import aiohttp
import pytest
from aiohttp import web
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from support.phones import ADA, BEN, NUMBER, PNG, Phones, carrier, sms_fields
from warmline.channels.sms.client import TwilioClient
from warmline.emulators.sms import RunningSms, SmsSettings
from warmline.ports import Connection
from warmline.testing.messaging_client import PATIENCE_S

CALLBACK = "https://warmline.example/sms/twilio/c?text=7"


class ToEmulator(TwilioHttpClient):
    """The official client's way out, led to the emulator. `sent` keeps the forms of what it posted."""

    def __init__(self, sim: RunningSms) -> None:
        super().__init__()
        self._to = urlsplit(sim.url)
        self.sent: list[dict[str, Any]] = []

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("data"):
            self.sent.append(dict(kwargs["data"]))
        there = urlunsplit(urlsplit(url)._replace(scheme=self._to.scheme, netloc=self._to.netloc))
        return super().request(method, there, *args, **kwargs)


@pytest.fixture
async def sim() -> AsyncIterator[RunningSms]:
    async with carrier() as running:
        yield running


def _connection(sim: RunningSms, **changed: str) -> Connection:
    fields = {**sms_fields(sim), **changed}
    secrets = {"auth_token": fields.pop("auth_token")}
    return Connection(id="c", provider="sms_twilio", name="SMS", project_id="p", values=fields, secrets=secrets)


async def test_the_official_client_sends_lists_and_reads_texts(sim: RunningSms) -> None:
    settings = SmsSettings()
    way = ToEmulator(sim)
    official = Client(settings.account_sid, settings.auth_token, http_client=way)

    def work() -> None:
        made = official.messages.create(to=ADA, from_=NUMBER, body="Hello", status_callback="http://127.0.0.1:9/none")
        assert made.sid.startswith("SM")
        assert (made.status, made.direction, made.num_segments) == ("queued", "outbound-api", "1")
        since = datetime.now(UTC) - timedelta(minutes=1)
        found = official.messages.list(to=ADA, from_=NUMBER, date_sent_after=since, limit=5)
        assert [m.sid for m in found] == [made.sid]
        assert official.messages(made.sid).fetch().body == "Hello"
        assert official.api.accounts(settings.account_sid).fetch().status == "active"
        assert [n.phone_number for n in official.incoming_phone_numbers.list(phone_number=NUMBER)] == [NUMBER]
        for wrong, code in (
            ({"to": "0415", "from_": NUMBER, "body": "x"}, 21211),
            ({"to": ADA, "from_": "+19995550100", "body": "x"}, 21606),
            ({"to": ADA, "from_": NUMBER, "body": "x" * 1601}, 21617),
            ({"to": ADA, "from_": NUMBER}, 21602),
        ):
            with pytest.raises(TwilioRestException) as refused:
                official.messages.create(**wrong)  # type: ignore[arg-type]
            assert refused.value.code == code
        stranger = Client(settings.account_sid, "wrong", http_client=ToEmulator(sim))
        with pytest.raises(TwilioRestException) as refused:
            stranger.api.accounts(settings.account_sid).fetch()
        assert refused.value.status == 401

    await asyncio.to_thread(work)


async def test_our_client_asks_for_texts_with_the_official_ones_words(sim: RunningSms) -> None:
    ours: list[dict[str, str]] = []

    async def catch(request: web.Request) -> web.Response:
        ours.append(dict(parse_qsl(await request.text())))
        return web.json_response({"sid": "SM1", "status": "queued"}, status=201)

    app = web.Application()
    app.router.add_post("/2010-04-01/Accounts/{account}/Messages.json", catch)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    connection = _connection(sim, api_base_url=f"http://127.0.0.1:{port}")
    way = ToEmulator(sim)
    official = Client(connection.values["account_sid"], connection.secrets["auth_token"], http_client=way)
    async with aiohttp.ClientSession() as http:
        client = TwilioClient(http, connection)
        for text, media in (("Hello €", ()), ("", ("https://files.example/1.png",))):
            await client.send(number=NUMBER, customer=BEN, text=text, media=media, status_callback=CALLBACK)
            given = {"to": BEN, "from_": NUMBER, "status_callback": CALLBACK}
            given |= {"body": text} if text else {}
            more: Any = {"media_url": list(media)} if media else {}
            await asyncio.to_thread(official.messages.create, **given, **more)
    theirs = [{k: v[0] if isinstance(v, list) else v for k, v in form.items() if v} for form in way.sent]
    assert ours == theirs
    await runner.cleanup()


async def test_the_official_client_reads_what_phones_sent_and_their_files(sim: RunningSms) -> None:
    settings = SmsSettings()
    official = Client(settings.account_sid, settings.auth_token, http_client=ToEmulator(sim))
    async with Phones(sim) as phones, aiohttp.ClientSession() as http:
        sent = [await phones.text("One"), await phones.text("Two", picture=PNG)]
        theirs = await asyncio.to_thread(lambda: official.messages.list(to=NUMBER, page_size=1))
        assert [(m.sid, m.direction, m.status) for m in theirs] == [(s, "inbound", "received") for s in sent[::-1]]
        files = await asyncio.to_thread(lambda: official.messages(sent[1]).media.list())
        assert [f.content_type for f in files] == ["image/png"]
        client = TwilioClient(http, _connection(sim))
        ours = await client.received_since(number=NUMBER, at=0)
        assert [(m.sid, m.customer, m.body, m.files) for m in ours] == [
            (sent[0], ADA, "One", 0),
            (sent[1], ADA, "Two", 1),
        ]
        (address, kind), *others = await client.media(sent[1])
        assert (address, kind, others) == (
            f"{sim.url}{urlsplit(files[0].uri).path.removesuffix('.json')}",
            "image/png",
            [],
        )
        async with http.get(address) as answer:
            assert await answer.read() == PNG


async def test_webhooks_are_signed_as_the_official_package_says(sim: RunningSms) -> None:
    seen: list[tuple[str, dict[str, str], str]] = []

    async def catch(request: web.Request) -> web.Response:
        form = dict(parse_qsl(await request.text(), keep_blank_values=True))
        seen.append((str(request.url), form, request.headers["X-Twilio-Signature"]))
        return web.Response(body="<Response/>", content_type="text/xml")

    app = web.Application()
    app.router.add_post("/hook", catch)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with Phones(sim) as phones:
        phones.announce_to(f"http://127.0.0.1:{runner.addresses[0][1]}/hook?a=1&b=ü")
        await phones.fault("inbound", duplicate=1, times=1)
        await phones.text("Grüße 😀", picture=PNG)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if len(seen) == 2:
                    break
                await asyncio.sleep(0.02)
    assert seen[0][1] == seen[1][1]
    url, form, given = seen[0]
    assert (form["Body"], form["NumMedia"], form["MediaContentType0"]) == ("Grüße 😀", "1", "image/png")
    assert RequestValidator(SmsSettings().auth_token).compute_signature(_as_configured(sim), form) == given
    async with aiohttp.ClientSession() as http, http.get(form["MediaUrl0"]) as answer:
        assert await answer.read() == PNG
    await runner.cleanup()
    assert url.startswith("http://127.0.0.1")


def _as_configured(sim: RunningSms) -> str:
    return sim.carrier.world.settings.numbers[0].sms_url


async def test_pages_of_other_sites_cannot_text(sim: RunningSms) -> None:
    async with aiohttp.ClientSession(headers={"Origin": "https://evil.example"}) as http:
        async with http.post(f"{sim.url}/__sim/v1/phones/{ADA}/text", json={"text": "x"}) as answer:
            assert answer.status == 403
    async with Phones(sim) as phones:
        assert await phones.messages() == []
        async with aiohttp.ClientSession() as http:
            for path, body in (("/faults", {"match": {"endpoint": "nowhere"}, "effect": {}}), ("/phones/1/text", {})):
                async with http.post(f"{sim.url}/__sim/v1{path}", json=body) as answer:
                    assert answer.status == 400
                    assert set(await answer.json()) == {"error", "message"}


async def test_what_is_no_number_has_no_phone(sim: RunningSms) -> None:
    async with aiohttp.ClientSession() as http:
        for path, body in (("abc/text", {"text": "x"}), ("+1/state", {"state": "off"})):
            async with http.post(f"{sim.url}/__sim/v1/phones/{path}", json=body) as answer:
                assert answer.status == 400
                assert "is no international number" in (await answer.json())["message"]
    assert not sim.carrier.world.messages


async def test_the_carriers_own_opt_out_answers_blocks_and_says_so() -> None:
    async with carrier(opt_out="advanced") as sim, Phones(sim) as phones:
        await phones.text("stop")
        (answer,) = await phones.got()
        assert "unsubscribed" in answer
        official = Client(SmsSettings().account_sid, SmsSettings().auth_token, http_client=ToEmulator(sim))
        with pytest.raises(TwilioRestException) as refused:
            await asyncio.to_thread(official.messages.create, to=ADA, from_=NUMBER, body="x")
        assert refused.value.code == 21610
        await phones.call("POST", "/reset")
        assert await phones.messages() == []
