"""The SMS channel of a real server against the emulated carrier (messaging-protocol.md §17)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from twilio.request_validator import RequestValidator

from support.installation import LUMEN, TOKEN
from support.phones import ADA, NUMBER, OTHER_NUMBER, Phones, carrier, sms_fields
from warmline.app import Server
from warmline.channels.sms import setup
from warmline.channels.sms.connections import webhook_url
from warmline.domain.errors import ConfigError
from warmline.domain.texting import SENTENCES
from warmline.domain.turn import Finding, SmsRequest
from warmline.emulators.sms import SmsSettings
from warmline.ports import Connection
from warmline.testing.messaging_client import PATIENCE_S
from warmline.testing.server import Order, start
from warmline.web.keys import ApiKeys

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUTAGE = "My power is out"
AUTH_TOKEN = SmsSettings().auth_token


async def until(done: Callable[[], Awaitable[bool]], timeout: float = PATIENCE_S) -> None:
    """Wait until `done` gives true."""
    async with asyncio.timeout(timeout):
        while True:
            if await done():
                return
            await asyncio.sleep(0.02)


class Place:
    """A server, its carrier, and customers whose numbers nobody has used before."""

    def __init__(self, server: Server, phones: Phones, connection_id: str, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.phones = phones
        self.connection_id = connection_id
        self.http = http
        self.url = webhook_url(server.url, connection_id)
        self._customers = 0

    def customer(self) -> str:
        self._customers += 1
        return f"+1415556{self._customers:04d}"

    async def hook(
        self, form: dict[str, str], *, token: str = "emulated-auth-token", query: str = ""
    ) -> tuple[int, str]:
        """A webhook, signed by the carrier's own package."""
        given = RequestValidator(token).compute_signature(self.url + query, form)
        async with self.http.post(self.url + query, data=form, headers={"X-Twilio-Signature": given}) as answer:
            return answer.status, await answer.text()

    async def session(self, customer: str, number: str = NUMBER) -> Any:
        line = await self.server.store.line(self.connection_id, number, customer)
        return await self.server.store.session(line.session_id)

    async def said(self, customer: str) -> list[str]:
        """What the customer has said to whoever answers, by the log of their session."""
        stored = await self.session(customer)
        log = await self.server.store.events(stored.session.id, 0)
        return [r.event.text for r in log if type(r.event).__name__ == "UserMessage"]  # type: ignore[attr-defined]

    async def settled(self, customer: str) -> None:
        """Wait until nothing of the inbox is under way."""
        await until(self._idle)

    async def _idle(self) -> bool:
        return not await self.server.store.inbox_pending()

    async def opted_out(self, customer: str) -> bool:
        return (await self.server.store.line(self.connection_id, NUMBER, customer)).opted_out


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder: Path = tmp_path_factory.mktemp("sms")
    async with carrier() as sim, Phones(sim) as phones, aiohttp.ClientSession() as http:
        order = Order(
            database_url=f"sqlite:///{folder}/w.db",
            project=str(LUMEN),
            connector_token=TOKEN,
            sms=sms_fields(sim),
            sms_look_after_s=0.5,
        )
        server, answer = await start(order)
        made = Place(server, phones, answer["sms_connection_id"], http)
        phones.announce_to(made.url)
        yield made
        await server.stop()


def form(sid: str, customer: str, body: str, **more: str) -> dict[str, str]:
    return {"MessageSid": sid, "From": customer, "To": NUMBER, "Body": body, "NumMedia": "0", **more}


async def test_an_optional_field_can_be_emptied_and_an_empty_secret_stays(place: Place) -> None:
    server = place.server

    async def saved(**given: str) -> Connection:
        (known,) = await server.store.text_connections()
        return await setup.save(
            server.store, server.clock, server.ids, known.project_id, given, "SMS", existing=known, relaxed=True
        )

    made = await saved(agent_name="Lumi", variant="north")
    assert (made.values["agent_name"], made.values["variant"]) == ("Lumi", "north")
    emptied = await saved(agent_name="", auth_token="")
    assert (emptied.values.get("agent_name", ""), emptied.values["variant"]) == ("", "north")
    assert emptied.secrets == made.secrets
    with pytest.raises(ConfigError, match="numbers"):
        await saved(numbers="")
    await saved(variant="")


async def test_S5_a_forged_webhook_begins_no_session(place: Place) -> None:
    ada = place.customer()
    assert (await place.hook(form("SMforged", ada, "Hi"), token="wrong"))[0] == 403
    async with place.http.post(place.url, data=form("SMforged", ada, "Hi")) as answer:
        assert answer.status == 403
    async with place.http.post(place.url.replace(place.connection_id, "nobody"), data={}) as answer:
        assert answer.status == 404
    assert (await place.server.store.line(place.connection_id, NUMBER, ada)).session_id == ""
    assert (await place.hook({"MessageSid": "SM1", "From": "x"}))[0] == 400


async def test_S6_an_unknown_field_and_a_query_take_part(place: Place) -> None:
    ada = place.customer()
    status, body = await place.hook(form("SMquery", ada, OUTAGE, SomethingNew="1"), query="?a=b%20c&d=")
    assert (status, body) == (200, '<?xml version="1.0" encoding="UTF-8"?><Response/>')
    await place.phones.until(lambda got: len(got) == 2, ada)


async def test_S6_options_behind_the_address_may_be_signed_or_not(place: Place) -> None:
    ada = place.customer()
    signed = form("SMoptions", ada, OUTAGE)
    given = RequestValidator(AUTH_TOKEN).compute_signature(place.url + "#rc=5&rp=all", signed)
    for headers, status in (({"X-Twilio-Signature": given}, 200), ({"X-Twilio-Signature": given[::-1]}, 403)):
        async with place.http.post(place.url, data=signed, headers=headers) as answer:
            assert answer.status == status
    assert (await place.hook(signed))[0] == 200
    await place.phones.until(lambda got: len(got) == 2, ada)


async def test_S7_a_repeated_webhook_is_one_turn(place: Place) -> None:
    ada = place.customer()
    same = form("SMsame", ada, OUTAGE)
    answers = await asyncio.gather(*(place.hook(same) for _ in range(4)))
    assert {status for status, _ in answers} == {200}
    await place.phones.until(lambda got: len(got) == 2, ada)
    assert (await place.hook(same))[0] == 200
    await place.settled(ada)
    assert await place.said(ada) == [OUTAGE]
    assert len(await place.phones.got(ada)) == 2


async def test_texts_of_one_customer_are_answered_in_order_in_one_session(place: Place) -> None:
    ada = place.customer()
    texts = [f"Question {n}" for n in range(6)]
    for text in texts:
        await place.phones.text(text, ada)
    await place.phones.until(lambda got: len(got) == 7, ada)
    assert await place.said(ada) == texts
    stored = await place.session(ada)
    assert (stored.session.channel, stored.info.caller_number, stored.info.environment) == ("sms.polyai", ada, "live")


async def test_S9_keywords_are_answered_once_and_never_reach_the_agent(place: Place) -> None:
    ada = place.customer()
    await place.phones.text(OUTAGE, ada)
    before = await place.phones.until(lambda got: len(got) == 2, ada)
    await place.phones.text(" Unsubscribe. ", ada)
    await place.phones.until_got(SENTENCES["stopped"], ada)
    await place.phones.text("hello", ada)
    await place.phones.text("HELP", ada)
    await place.phones.until_got(SENTENCES["help"], ada)
    await place.phones.text("yes", ada)
    got = await place.phones.until_got(SENTENCES["started"], ada)
    assert got == [*before, SENTENCES["stopped"], SENTENCES["help"], SENTENCES["started"]]
    await place.phones.text("Yes", ada)
    await place.phones.until(lambda got: len(got) == 6, ada)
    assert await place.said(ada) == [OUTAGE, "Yes"]


async def test_S9_a_stop_out_of_nowhere_is_answered_and_leaves_no_open_session(place: Place) -> None:
    ada = place.customer()
    await place.phones.text("STOP", ada)
    assert await place.phones.until_got(SENTENCES["stopped"], ada) == [SENTENCES["stopped"]]
    stored = await place.session(ada)
    assert stored.session.ended
    await place.phones.text("START", ada)
    await place.phones.until_got(SENTENCES["started"], ada)
    await place.phones.text(OUTAGE, ada)
    await place.phones.until(lambda got: len(got) == 4, ada)


async def test_S11_an_opt_out_is_for_one_number(place: Place) -> None:
    ada = place.customer()
    await place.phones.text("STOP", ada)
    await place.phones.until_got(SENTENCES["stopped"], ada)
    await place.phones.text(OUTAGE, ada, to=OTHER_NUMBER)
    await place.phones.until(lambda got: len(got) == 3, ada)
    assert {m["number"] for m in (await place.phones.messages(ada))[2:]} == {OTHER_NUMBER}


async def test_S12_what_the_carrier_has_answered_is_only_noted(place: Place) -> None:
    ada = place.customer()
    assert (await place.hook(form("SMadv1", ada, "STOP", OptOutType="STOP")))[0] == 200
    await place.settled(ada)
    assert await place.opted_out(ada)
    await place.hook(form("SMadv2", ada, "HELP", OptOutType="HELP"))
    await place.hook(form("SMadv3", ada, "START", OptOutType="START"))
    await place.settled(ada)
    assert not await place.opted_out(ada)
    assert await place.phones.got(ada) == []


async def test_S13_the_eleventh_text_is_limited_and_stop_still_works(place: Place) -> None:
    ada = place.customer()
    for n in range(13):
        await place.hook(form(f"SMfast{n}", ada, f"Text {n}"))
    await place.phones.until(lambda got: SENTENCES["too_fast"] in got, ada)
    await place.hook(form("SMfaststop", ada, "stop"))
    await place.phones.until(lambda got: SENTENCES["stopped"] in got, ada)
    assert await place.said(ada) == [f"Text {n}" for n in range(10)]
    assert (await place.phones.got(ada)).count(SENTENCES["too_fast"]) == 1


async def test_S14_the_same_text_again_and_again_is_blocked(place: Place) -> None:
    ada = place.customer()
    for n in range(7):
        await place.hook(form(f"SMrep{n}", ada, "Hello?"))
    await place.settled(ada)
    await place.phones.until(lambda got: SENTENCES["repeated"] in got, ada)
    assert await place.said(ada) == ["Hello?"] * 4
    assert (await place.phones.got(ada)).count(SENTENCES["repeated"]) == 1


async def test_files_are_declined_in_words_while_no_live_agent_is_there(place: Place) -> None:
    ada = place.customer()
    media = {"NumMedia": "1", "MediaUrl0": "https://carrier.example/1", "MediaContentType0": "image/png"}
    await place.hook(form("SMmms", ada, "Look at this", **media))
    got = await place.phones.until(lambda got: len(got) == 3, ada)
    assert "Files can be sent only while you are connected to our team." in got
    assert await place.said(ada) == ["Look at this"]
    await place.hook(form("SMmms2", ada, "", **media))
    await place.phones.until(lambda got: len(got) == 4, ada)
    assert await place.said(ada) == ["Look at this"]


# --- the way out under faults -----------------------------------------------------------------------------------


async def once(place: Place, customer: str, count: int) -> list[str]:
    """Every text arrived once: what the carrier has is what the log says, in order."""
    got = await place.phones.until(lambda got: len(got) >= count, customer, timeout=40)
    await asyncio.sleep(0.3)
    assert await place.phones.got(customer) == got
    assert len(got) == len(set(got)) == count
    return got


@pytest.mark.parametrize(
    "effect",
    [
        {"status": 503, "times": 1},
        {"status": 500, "when": "after", "times": 1},
        {"drop": True, "when": "after", "times": 1},
        {"drop": True, "times": 1},
        {"status": 429, "retry_after": 1, "times": 1},
    ],
)
async def test_a_text_that_may_have_been_sent_is_looked_for_before_it_is_sent_again(
    place: Place, effect: dict[str, Any]
) -> None:
    ada = place.customer()
    await place.phones.fault("send", **effect)
    await place.phones.text(OUTAGE, ada)
    await once(place, ada, 2)


async def test_news_that_come_twice_late_or_in_the_wrong_order_say_the_truth_at_the_end(place: Place) -> None:
    ada = place.customer()
    await place.phones.fault("status", delay_ms=300, times=1)
    await place.phones.fault("status", duplicate=2, times=2)
    await place.phones.fault("status", reorder=True, times=1)
    await place.phones.text(OUTAGE, ada)
    await once(place, ada, 2)
    stored = await place.session(ada)

    async def all_delivered() -> bool:
        sent = await place.server.store.sent_texts(stored.session.id)
        return len(sent) == 2 and {text.status for text in sent} == {"delivered"}

    await until(all_delivered)
    await asyncio.sleep(0.4)
    assert await all_delivered()


async def test_a_phone_that_cannot_be_reached_is_counted_and_known(place: Place) -> None:
    ada = place.customer()
    await place.phones.call("POST", f"/phones/{ada}/state", {"state": "off"})
    await place.phones.text(OUTAGE, ada)
    await place.phones.until(lambda got: len(got) == 2, ada)
    stored = await place.session(ada)

    async def known() -> bool:
        return [t.error for t in await place.server.store.sent_texts(stored.session.id)] == ["30003"] * 2

    await until(known)


async def test_a_customer_who_unsubscribed_at_the_carrier_gets_nothing_more(place: Place) -> None:
    ada = place.customer()
    await place.phones.fault("send", status=400, code=21610, times=1)
    await place.phones.text(OUTAGE, ada)
    await until(lambda: place.opted_out(ada))
    await place.settled(ada)
    assert await place.phones.got(ada) == []
    assert await place.server.store.dead() == []


# --- texts that other systems begin -------------------------------------------------------------------------------


async def outbound(place: Place, key: str, *, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, Any]:
    given = {"X-PolyAi-Auth-Token": key, "X-TOKEN-ID": place.connection_id, **(headers or {})}
    async with place.http.post(f"{place.server.url}/v1/outbound-sms", json=body, headers=given) as answer:
        raw = await answer.read()
        return answer.status, await answer.json() if raw else raw


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def key(place: Place) -> str:
    keys = ApiKeys(place.server.store, place.server.clock, place.server.ids)
    made = await keys.make("crm")
    assert made is not None
    return made


async def test_S15_a_reply_continues_the_conversation_that_another_system_began(place: Place, key: str) -> None:
    ada = place.customer()
    asked = {"user_number": ada, "message": "Your engineer comes on Monday."}
    for _ in range(2):
        assert await outbound(place, key, headers={"Idempotency-Key": "order-1"}, **asked) == (202, b"")
    assert await place.phones.until(lambda got: len(got) == 1, ada) == ["Your engineer comes on Monday."]
    begun = (await place.session(ada)).session.id
    await place.phones.text(OUTAGE, ada)
    await once(place, ada, 2)
    assert (await place.session(ada)).session.id == begun
    log = await place.server.store.events(begun, 0)
    kinds = [type(r.event).__name__ for r in log]
    assert kinds[:4] == ["SessionStarted", "JoinRequested", "VirtualAgentJoined", "VirtualAgentMessage"]

    assert await outbound(place, key, user_number=ada, message="And again.", agent_number=NUMBER) == (202, b"")
    await place.phones.until_got("And again.", ada)
    assert (await place.session(ada)).session.id != begun
    before = await place.server.store.session(begun)
    assert before is not None
    assert before.session.ended


async def test_S10_who_has_unsubscribed_gets_no_text_of_other_systems(place: Place, key: str) -> None:
    ada = place.customer()
    await place.phones.text("stop", ada)
    await place.phones.until_got(SENTENCES["stopped"], ada)
    assert (await outbound(place, key, user_number=ada, message="Offer!"))[0] == 202
    await place.phones.text("hello", ada)
    await place.phones.text("START", ada)
    assert await place.phones.until_got(SENTENCES["started"], ada) == [SENTENCES["stopped"], SENTENCES["started"]]


async def test_S16_errors_say_what_is_wrong(place: Place, key: str) -> None:
    good = {"user_number": ADA, "message": "Hi"}
    foreign = await ApiKeys(place.server.store, place.server.clock, place.server.ids).make("other", "another-project")
    assert foreign is not None
    cases = [
        (400, "user_number", await outbound(place, key, user_number="0415", message="Hi")),
        (400, "message", await outbound(place, key, user_number=ADA)),
        (400, "message", await outbound(place, key, user_number=ADA, message=" ")),
        (400, "agent_number", await outbound(place, key, **good, agent_number="+19995550100")),
        (400, "agent_number", await outbound(place, key, **good, agent_number=1)),
        (413, "16384 bytes", await outbound(place, key, user_number=ADA, message="x" * 20_000)),
        (401, "X-PolyAi-Auth-Token", await outbound(place, "wlk_nothing", **good)),
        (403, "another project", await outbound(place, foreign, **good)),
        (404, "X-TOKEN-ID", await outbound(place, key, headers={"X-TOKEN-ID": "x"}, **good)),
    ]
    for status, named, (got, body) in cases:
        assert got == status
        assert list(body) == ["detail"]
        assert named in body["detail"]
    async with place.http.post(
        f"{place.server.url}/public_api/sms/outbound",
        data=b"[1]",
        headers={"X-PolyAi-Auth-Token": key, "X-TOKEN-ID": place.connection_id},
    ) as answer:
        assert (answer.status, list(await answer.json())) == (400, ["detail"])


async def test_S16_too_many_for_a_project_are_refused_for_a_while(place: Place, key: str) -> None:
    for _ in range(300):
        status, body = await outbound(place, key, user_number=place.customer(), message="Hi")
        if status == 429:
            break
        assert status == 202
    assert status == 429
    assert list(body) == ["detail"]


async def test_what_functions_want_sent_goes_over_the_projects_connection_or_is_a_finding(place: Place) -> None:
    ada = place.customer()
    await place.phones.text(OUTAGE, ada)
    await place.phones.until(lambda got: len(got) == 2, ada)
    stored = await place.session(ada)
    wishes = place.server.sms.wishes
    (text,) = await wishes(stored, SmsRequest(to=ada, text="Your **code** is 1"))
    assert (text.number, text.customer, text.text, text.connection_id) == (
        NUMBER,
        ada,
        "Your code is 1",
        place.connection_id,
    )
    (text,) = await wishes(stored, SmsRequest(to=ada, text="x", from_number=OTHER_NUMBER))
    assert text.number == OTHER_NUMBER
    for wish, rule in (
        (SmsRequest(to="07700 900123", text="x"), "sms_number"),
        (SmsRequest(to=ada, text="x", from_number="+19995550100"), "sms_not_connected"),
    ):
        finding = await wishes(stored, wish)
        assert isinstance(finding, Finding)
        assert finding.rule == rule
        assert "999" not in finding.text
