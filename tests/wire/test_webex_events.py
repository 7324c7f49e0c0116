"""What Webex's webhooks mean (webex-byoc.md §12, §15)."""

import copy
from typing import Any

import pytest

from support.webex import AGENT, BRIEF, CONFIG, NOW, OLDER_TASK, SENT, SPOKEN, TASK, VALUES, fixture, link, raw
from warmline.domain import commands as c
from warmline.domain.messages import LiveAgent
from warmline.handoff.contract import OpenRefused, Parsed
from warmline.handoff.providers.webex import mapping, wire
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.providers.webex.mapping import Recall
from warmline.ports import Link


def parsed(event: Any, *, of: Link | None = None, recall: Recall | None = None, config: WebexConfig = CONFIG) -> Parsed:
    envelope = wire.envelope_decoder.decode(raw(event))
    return mapping.parse(config, envelope, of or link(), recall or Recall(), now=NOW + 700, received_at=NOW + 500)


def changed(name: str, **data: Any) -> Any:
    event = copy.deepcopy(fixture(name))
    event["data"].update(data)
    return event


# --- lifecycle ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "command", "at"),
    [
        ("task_new", c.ConversationOpened, NOW),
        ("task_parked", c.ConversationQueued, NOW + 200),
        ("task_connect", c.ConversationOpened, NOW + 400),
        ("task_connected", c.AgentJoined, NOW + 600),
        ("task_ended", c.ConversationEnded, NOW + 9000),
    ],
)
def test_lifecycle_events_become_commands_at_the_time_of_the_event(name: str, command: type, at: int) -> None:
    found = parsed(fixture(name)).command
    assert type(found) is command
    assert (found.handoff_id, found.at, found.provider_at) == ("handoff", NOW + 700, at)


def test_connected_names_the_agent_and_ended_its_reason() -> None:
    joined = parsed(fixture("task_connected")).command
    ended = parsed(fixture("task_ended")).command
    assert isinstance(joined, c.AgentJoined)
    assert joined.agent == LiveAgent(id=AGENT)
    assert isinstance(ended, c.ConversationEnded)
    assert ended.reason == "Agent Left"


def test_the_queue_is_named_only_when_configured() -> None:
    unnamed = parsed(fixture("task_parked")).command
    named = parsed(fixture("task_parked"), config=WebexConfig.read({**VALUES, "queue_name": "Support"})).command
    assert isinstance(unnamed, c.ConversationQueued)
    assert isinstance(named, c.ConversationQueued)
    assert (unnamed.queue_name, named.queue_name) == (None, "Support")
    assert (unnamed.position, unnamed.wait_seconds) == (None, None)


@pytest.mark.parametrize("kind", ["task:on-hold", "task:consulting", "task:conference-transferred", "task:invented"])
def test_A38_other_events_are_only_recorded(kind: str) -> None:
    event = fixture("task_new")
    event["type"] = kind
    assert parsed(event) == Parsed()


def test_bare_lifecycle_events_are_enough() -> None:
    event = fixture("task_connected")
    event["data"] = {"taskId": TASK, "createdTime": NOW}
    joined = parsed(event).command
    assert isinstance(joined, c.AgentJoined)
    assert joined.agent == LiveAgent(id="")


def test_a_lifecycle_event_without_task_id_is_about_its_envelope_id() -> None:
    event = changed("task_new")
    del event["data"]["taskId"]
    assert wire.envelope_decoder.decode(raw(event)).task_id == TASK


def test_the_same_fact_with_another_timestamp_has_the_same_semantic_key() -> None:
    again = fixture("task_parked")
    again["comciscotimestamp"] += 5000
    assert parsed(again).dedup_key == parsed(fixture("task_parked")).dedup_key != ""


def test_parked_twice_are_two_facts_although_their_ids_are_the_same() -> None:
    assert parsed(fixture("task_parked")).dedup_key != parsed(changed("task_parked", createdTime=NOW + 1)).dedup_key


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1779785508, 1779785508000),
        (1779785508649, 1779785508649),
        (1779785508649000, 1779785508649),
        ("1779785508649", 1779785508649),
        ("2026-05-26T08:51:48.649Z", 1779785508649),
        ("2026-05-26T10:51:48.649+02:00", 1779785508649),
        ("2026-05-26T08:51:48", 0),
        ("soon", 0),
        ("", 0),
        (None, 0),
        (True, 0),
        (-5, 0),
        (1e300, 0),
        ("9" * 5000, 0),
    ],
)
def test_times_are_read_in_every_form(value: Any, expected: int) -> None:
    assert wire.millis(value) == expected


# --- messages from the contact centre ----------------------------------------------------------------------------


def test_an_agents_message() -> None:
    message = parsed(fixture("appended_outbound_agent")).command
    assert message == c.AgentMessage(
        at=NOW + 700,
        handoff_id="handoff",
        provider_at=NOW,
        message_id=SPOKEN,
        text="Hello, <strong>how</strong> can I help?",
        agent=LiveAgent(id=AGENT),
    )


def test_A24_what_the_flow_sends_comes_without_an_agent() -> None:
    message = parsed(fixture("appended_outbound_system")).command
    assert isinstance(message, c.AgentMessage)
    assert (message.agent, message.text) == (None, "You are in the queue.")


def test_A27_messages_are_dated_by_the_envelope_not_by_their_own_skewed_clock() -> None:
    message = parsed(fixture("appended_outbound_system")).command
    assert message is not None
    assert message.provider_at == NOW


@pytest.mark.parametrize("case", fixture("outbound_shapes"), ids=lambda case: case["name"])
def test_A25_every_shape_is_read(case: dict) -> None:
    event = fixture("appended_outbound_agent")
    event["data"] = case["data"]
    message = parsed(event).command
    assert isinstance(message, c.AgentMessage)
    assert (message.text, message.message_id, message.agent) == ("Hello", SPOKEN, LiveAgent(id=AGENT))
    found = wire.content_of(case["data"])
    assert found is not None
    assert found.shape == case["shape"]


@pytest.mark.parametrize(
    "data",
    [
        {"unrelated": {"text": "not the message"}},
        {"eventDetails": {"text": "not the message", "note": {"text": "nor this"}}},
        {"channelParams": "not JSON"},
        {"channelParams": {"type": "text"}},
        {"channelParams": {"message": {"aliasId": "a", "text": ""}}},
        {"a": {"b": {"c": {"d": {"e": {"f": {"aliasId": "too-deep", "text": "x"}}}}}}},
        {"many": [{"n": n} for n in range(200)] + [{"aliasId": "too far", "text": "x"}]},
    ],
    ids=["unrelated", "notes", "text", "no message", "empty", "too deep", "too many"],
)
def test_A25_arbitrary_text_is_never_picked_up(data: dict) -> None:
    event = fixture("appended_outbound_agent")
    event["data"] = {"taskId": TASK, "messageDirection": "OUTBOUND", "senderType": "agent", **data}
    assert parsed(event) == Parsed()


def test_A22_both_endpoints_give_the_same_semantic_key() -> None:
    through_subscription = fixture("appended_outbound_agent")
    through_subscription.update(id="another-id", source="/com/cisco/wxcc/another", comciscotimestamp=NOW + 3)
    keys = {parsed(fixture("appended_outbound_agent")).dedup_key, parsed(through_subscription).dedup_key}
    assert len(keys) == 1
    assert SPOKEN in keys.pop()


def test_a_message_without_alias_is_known_by_the_envelopes_id() -> None:
    event = fixture("appended_outbound_agent")
    del event["data"]["channelParams"]["message"]["aliasId"]
    event["id"] = "envelope-id"
    message = parsed(event).command
    assert isinstance(message, c.AgentMessage)
    assert message.message_id == "envelope-id"


def test_A26_html_is_cleaned_per_channel() -> None:
    event = fixture("appended_outbound_agent")
    event["data"]["channelParams"]["message"]["text"] = "<p>Hi <b>Ada</b><script>steal()</script><br>1 &lt; 2</p>"
    web = parsed(event).command
    sms = parsed(event, of=link(channel="sms.polyai")).command
    assert isinstance(web, c.AgentMessage)
    assert isinstance(sms, c.AgentMessage)
    assert web.text == "Hi <b>Ada</b>\n1 < 2"
    assert sms.text == "Hi Ada\n1 < 2"


def test_A28_an_agents_file_comes_with_its_message() -> None:
    found = parsed(fixture("appended_outbound_file"))
    assert isinstance(found.command, c.AgentMessage)
    assert (found.command.text, found.command.attachments) == ("Here you are", ())
    (file,) = found.files
    assert (file.name, file.mime_type, file.encrypted) == ("C:\\bills\\May [2026].pdf", "application/pdf", False)
    assert file.url == "https://files.example.com/signed/abc?token=t"


@pytest.mark.parametrize(("mode", "encrypted"), [("auto", False), ("yes", True), ("no", False)])
def test_A29_an_operator_who_knows_whether_files_are_encrypted_is_believed(mode: str, encrypted: bool) -> None:
    config = WebexConfig.read({**VALUES, "attachments_encrypted": mode})
    (file,) = parsed(fixture("appended_outbound_file"), config=config).files
    assert file.encrypted is encrypted


def test_A28_a_file_without_words_is_a_message() -> None:
    event = fixture("appended_outbound_file")
    event["data"]["channelParams"]["message"]["text"] = ""
    found = parsed(event)
    assert isinstance(found.command, c.AgentMessage)
    assert found.command.text == ""
    assert len(found.files) == 1


_URL = "https://files.example.com/signed/abc"


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ({"url": f"{_URL}?token=t&keyUri=kms%3A%2F%2Fk%2Fkeys%2F1&JWE=a.b.c"}, (True, "a.b.c", "kms://k/keys/1")),
        ({"url": f"{_URL}?keyUri=kms%3A%2F%2Fk%2Fkeys%2F1"}, (False, "", "")),
        ({"url": f"{_URL}?JWE=a.b.c&keyUri=https%3A%2F%2Fk"}, (False, "", "")),
        ({"url": _URL, "jwe": "a.b.c", "keyUri": "kms://k/1"}, (True, "a.b.c", "kms://k/1")),
        ({"url": _URL, "encryptionDetails": {"jwe": "a.b.c", "keyUri": "kms://k/1"}}, (True, "a.b.c", "kms://k/1")),
        ({"url": _URL, "encryption_details": {"jwe": "a.b.c"}}, (True, "a.b.c", "")),
        ({"url": _URL, "encrypted": True}, (True, "", "")),
        ({"fileUrl": _URL, "encrypted": False}, (False, "", "")),
        ({"url": "https://[broken"}, (False, "", "")),
    ],
)
def test_A29_every_sign_of_an_encrypted_file_is_seen(item: dict[str, object], found: tuple[bool, str, str]) -> None:
    event = fixture("appended_outbound_file")
    event["data"]["channelParams"]["message"]["attachments"] = [{"fileName": "a.pdf", **item}]
    (file,) = parsed(event).files
    assert (file.encrypted, file.jwe, file.key_uri) == found


def test_A28_the_address_of_a_file_never_reaches_the_customer() -> None:
    assert "files.example.com" not in repr(parsed(fixture("appended_outbound_file")))


# --- what became of our messages ---------------------------------------------------------------------------------


def test_the_brief_confirmed_proves_that_the_conversation_exists() -> None:
    assert isinstance(parsed(fixture("appended_first")).command, c.ConversationOpened)


def test_A18_a_confirmation_names_our_message() -> None:
    confirmed = parsed(fixture("appended_inbound")).command
    assert isinstance(confirmed, c.MessageConfirmed)
    assert (confirmed.message_id, confirmed.kept) == (SENT, None)


def test_A20_masked_text_replaces_ours_and_unchanged_text_does_not() -> None:
    masked = parsed(fixture("appended_inbound"), recall=Recall(sent={SENT: "My card is 4111 1111 1111 1111"})).command
    same = parsed(fixture("appended_inbound"), recall=Recall(sent={SENT: "My card is XXXX XXXX XXXX XXXX"})).command
    forgotten = parsed(fixture("appended_inbound")).command
    assert isinstance(masked, c.MessageConfirmed)
    assert isinstance(same, c.MessageConfirmed)
    assert isinstance(forgotten, c.MessageConfirmed)
    assert masked.stored_text == "My card is XXXX XXXX XXXX XXXX"
    assert same.stored_text is None
    assert forgotten.stored_text == masked.stored_text, "after a restart their copy is the safe one"


def test_A21_the_files_that_arrived_are_told_apart_from_dropped_ones() -> None:
    event = fixture("appended_inbound_dropped_file")
    nothing = parsed(event).command
    survivor = {"fileName": "a.png", "mimeType": "image/png", "fileUrl": "https://w.example/files/1/a.png"}
    event["data"]["channelParams"]["message"]["attachments"] = [survivor]
    one = parsed(event).command
    assert isinstance(nothing, c.MessageConfirmed)
    assert isinstance(one, c.MessageConfirmed)
    assert nothing.kept == ()
    assert one.kept == ("https://w.example/files/1/a.png",)


def test_A19_a_failed_append_is_found_by_the_envelopes_id() -> None:
    recall = Recall(sent={"older": "x", SENT: "y"})
    for known in (recall, Recall()):
        failed = parsed(fixture("append_failed"), recall=known).command
        assert isinstance(failed, c.MessageUndeliverable)
        assert failed.message_id == SENT


def test_A19_else_it_is_the_oldest_that_was_sent() -> None:
    event = fixture("append_failed")
    event["id"] = "a-correlation-id"
    failed = parsed(event, recall=Recall(sent={"older": "x", SENT: "y"})).command
    assert isinstance(failed, c.MessageUndeliverable)
    assert failed.message_id == "older"


def test_A19_an_append_that_finds_no_task_ends_the_conversation() -> None:
    gone = parsed(changed("append_failed", reason="NOT_FOUND"), recall=Recall(sent={SENT: "y"}))
    assert isinstance(gone.command, c.ConversationEnded)
    assert gone.doubtful, "Webex is asked first"
    assert gone.resend is not None
    assert (gone.resend.message_id, gone.resend.delays) == (SENT, (2.0,))


@pytest.mark.parametrize(
    ("reason", "about", "text", "delays", "smaller"),
    [
        ("INTERNAL_ERROR", "", "y", (2.0, 5.0, 15.0), False),
        ("SOMETHING_NEW", "", "y", (2.0,), False),
        (None, "", "y", (2.0,), False),
        ("INVALID_CONTENT", "message exceeds maximum length", "y" * 50, (0.0,), True),
        ("INVALID_CONTENT", "number of attachments exceeds 1", "with a file", (0.0,), True),
        ("INVALID_CONTENT", "", "y" * 2000, (0.0,), True),
        ("INVALID_CONTENT", "", "short", None, False),
        ("INVALID_CONTENT", "number of attachments exceeds 1", "", None, False),
    ],
)
def test_A19_each_reason_has_its_retries(
    reason: str | None, about: str, text: str, delays: tuple[float, ...] | None, smaller: bool
) -> None:
    event = changed("append_failed", reason=reason, errorMessage=about)
    event["id"] = SENT
    found = parsed(event, recall=Recall(sent={SENT: text}))
    assert isinstance(found.command, c.MessageUndeliverable)
    assert (None if found.resend is None else (found.resend.delays, found.resend.smaller)) == (
        None if delays is None else (delays, smaller)
    )


@pytest.mark.parametrize(
    ("party", "reason", "doubtful"),
    [
        ("System", "RONA", True),
        ("System", "Agent did not answer (RONA)", True),
        ("Agent", "RONA", False),
        ("System", "Customer Left", False),
    ],
)
def test_A69_an_end_by_the_system_for_want_of_an_answer_is_doubted(party: str, reason: str, doubtful: bool) -> None:
    found = parsed(changed("task_ended", terminatingParty=party, reason=reason))
    assert isinstance(found.command, c.ConversationEnded)
    assert found.doubtful is doubtful


# --- task:failed -------------------------------------------------------------------------------------------------


def refused(
    reason: str | None,
    *,
    refusals: int = 0,
    recall: Recall | None = None,
    text: str = "",
    config: WebexConfig = CONFIG,
) -> OpenRefused:
    event = changed("task_failed", reason=reason, errorMessage=text)
    found = parsed(event, of=link(refusals=refusals), recall=recall, config=config).refused
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("reason", "delays"),
    [
        ("CHANNEL_ASSET_UNDEFINED", [None]),
        ("FEATURE_FLAG_DISABLED", [None]),
        ("ENTRY_POINT_NOT_FOUND", [None]),
        ("INVALID_CONTENT", [0, None]),
        ("ORG_DIGITAL_CONTACT_LIMIT_EXCEEDED", [15, 30, 60, None]),
        ("CONVERSATION_CREATION_FAILED", [3, 10, None]),
        ("SOMETHING_NEW", [5, None]),
        (None, [5, None]),
    ],
)
def test_A71_each_reason_has_its_delays_and_a_hint(reason: str | None, delays: list[float | None]) -> None:
    found = [refused(reason, refusals=number) for number in range(len(delays))]
    assert [item.retry_after for item in found] == delays
    assert all(item.operator_hint for item in found)
    assert found[0].reason == (reason or "UNKNOWN")
    assert {item.adopt for item in found} == {""}
    assert all(item.misconfigured for item in found) == (delays == [None])
    assert all(item.shorten for item in found) == (reason == "INVALID_CONTENT")


ALREADY = "CONVERSATION_ALREADY_OPEN"


OPEN = f"Conversation is already open with task id {OLDER_TASK}"
PER_CUSTOMER = WebexConfig.read({**VALUES, "origin_scope": "user"})


@pytest.mark.parametrize("config", [CONFIG, PER_CUSTOMER], ids=["per session", "per customer"])
def test_A71_an_open_conversation_of_this_very_handoff_is_adopted(config: WebexConfig) -> None:
    found = refused(ALREADY, recall=Recall(own_tasks=frozenset({OLDER_TASK})), text=OPEN, config=config)
    assert found.adopt == OLDER_TASK


@pytest.mark.parametrize("config", [CONFIG, PER_CUSTOMER], ids=["per session", "per customer"])
def test_A71_an_open_conversation_of_an_earlier_handoff_is_asked_about(config: WebexConfig) -> None:
    found = refused(ALREADY, recall=Recall(other_tasks=frozenset({OLDER_TASK})), text=OPEN, config=config)
    assert (found.retry_after, found.adopt, found.older) == (None, "", OLDER_TASK)


def test_A71_where_only_this_session_has_the_identity_an_unknown_conversation_is_ours() -> None:
    assert refused(ALREADY, text=OPEN).adopt == OLDER_TASK


def test_A71_where_a_customer_has_several_sessions_an_unknown_conversation_is_asked_about() -> None:
    for found in (refused(ALREADY, text=OPEN, config=PER_CUSTOMER), refused(ALREADY, text="of some task")):
        assert (found.adopt, found.retry_after) == ("", None)
        assert found.older == (OLDER_TASK if found.older else "")
        assert "open conversation" in found.operator_hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Conversation is already open with task id {OLDER_TASK}", OLDER_TASK),
        (f"Task ID: {OLDER_TASK.upper()} is open; {TASK} refused", OLDER_TASK),
        (f"open: {OLDER_TASK} / {TASK}", OLDER_TASK),
        (f"open: {TASK}", ""),
        (f"{OLDER_TASK} and {SPOKEN}", ""),
        ("no id at all", ""),
    ],
)
def test_the_older_tasks_id_is_found_in_the_error_message(text: str, expected: str) -> None:
    assert mapping.open_task(text, TASK) == expected


def test_brief_alias_of_the_fixture_is_the_links() -> None:
    assert fixture("appended_first")["data"]["channelParams"]["message"]["aliasId"] == BRIEF
