"""Lines, opt-outs and sent texts of the SMS channel."""

from dataclasses import replace

from warmline.ports import Connection, LineState, SentText, Store

LINE = ("connection", "+14155550199", "+14155550100")
TEXT = SentText(
    id="7", connection_id="connection", session_id="session", sid="SM1", status="sent", rank=3, at=10, error=""
)


async def test_a_line_is_taken_only_from_the_session_that_was_seen(store: Store) -> None:
    assert await store.line(*LINE) == LineState()
    assert await store.take_line(*LINE, session_id="a", instead_of="", at=1) == "a"
    assert await store.take_line(*LINE, session_id="b", instead_of="", at=2) == "a"
    assert await store.take_line(*LINE, session_id="b", instead_of="a", at=3) == "b"
    assert await store.line(*LINE) == LineState(session_id="b")
    assert await store.line(LINE[0], "+14155550198", LINE[2]) == LineState()


async def test_an_opt_out_is_kept_by_line_and_beside_its_session(store: Store) -> None:
    await store.take_line(*LINE, session_id="a", instead_of="", at=1)
    await store.set_opted_out(*LINE, opted_out=True, at=2)
    assert await store.line(*LINE) == LineState(session_id="a", opted_out=True)
    other = (LINE[0], "+14155550198", LINE[2])
    await store.set_opted_out(*other, opted_out=True, at=2)
    assert await store.take_line(*other, session_id="c", instead_of="", at=3) == "c"
    assert await store.line(*other) == LineState(session_id="c", opted_out=True)
    await store.set_opted_out(*LINE, opted_out=False, at=4)
    assert await store.line(*LINE) == LineState(session_id="a")


async def test_news_of_a_text_count_in_their_order_however_they_come(store: Store) -> None:
    assert await store.sent_text("7") is None
    assert await store.save_text(TEXT)
    assert not await store.save_text(replace(TEXT, status="queued", rank=1))
    assert not await store.save_text(TEXT)
    assert await store.save_text(replace(TEXT, status="undelivered", rank=5, error="30005", at=12))
    assert await store.sent_text("7") == replace(TEXT, status="undelivered", rank=5, error="30005", at=12)
    await store.save_text(replace(TEXT, id="12", sid="SM2"))
    assert [text.id for text in await store.sent_texts("session")] == ["7", "12"]
    assert await store.known_sids(["SM1", "SM2", "SM3"]) == {"SM1", "SM2"}
    assert await store.known_sids([]) == set()


async def test_connections_for_texts_are_kept_apart_from_those_of_contact_centres(store: Store) -> None:
    webex = Connection(id="w", provider="webex", name="Webex", project_id="p", values={}, created_at=1)
    texts = replace(webex, id="t", provider="sms_twilio", values={"numbers": "+1"}, secrets={"auth_token": "x"})
    await store.save_connection(webex)
    await store.save_connection(texts)
    assert await store.connections() == [webex]
    assert await store.text_connections() == [texts]
