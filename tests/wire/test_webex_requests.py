"""What is sent to Webex (webex-byoc.md §7, §8)."""

import json

import pytest

from support.webex import BRIEF, CONFIG, NOW, SENT, VALUES, fixture, open_request
from warmline.domain.messages import Attachment
from warmline.handoff.providers.webex import mapping, wire
from warmline.handoff.providers.webex.config import WebexConfig

SECRET = b"install secret"


def created(config: WebexConfig = CONFIG, **changes: object) -> tuple[dict, tuple[str, ...]]:
    task, left_out = mapping.create_task(config, open_request(**changes), SECRET)
    return json.loads(wire.encode(task)), left_out


def test_A10_create_body_is_the_documented_one() -> None:
    body, left_out = created(options={"global_variables": {"reason": "billing"}})
    expected = fixture("create_task_request")
    expected["origin"]["id"] = body["origin"]["id"]
    assert body == expected
    assert left_out == ()


def test_A10_nothing_forbidden_and_nothing_empty_is_sent() -> None:
    body, _ = created()
    assert set(body) == {"origin", "destination", "channelType", "channel", "channelParams"}
    assert not set(body) & {"entryPointId", "mediaType", "direction", "orgId"}
    assert "attachments" not in body["channelParams"]["message"]


def test_append_body_is_the_documented_one() -> None:
    assert json.loads(wire.encode(mapping.append_message(SENT, "Are you there?", NOW))) == fixture("append_request")


def test_A13_origin_is_stable_per_session_and_tells_nothing() -> None:
    one, _ = created(customer_key="+46701234567")
    again, _ = created(customer_key="+46701234567", handoff_id="another", message_id=SENT)
    other, _ = created(session_id="other session")
    assert one["origin"]["id"] == again["origin"]["id"] != other["origin"]["id"]
    assert one["origin"]["id"].startswith("wl:webchat:")
    assert len(one["origin"]["id"]) == len("wl:webchat:") + 32
    assert "46701234567" not in json.dumps(one)


def test_A13_scope_user_is_the_same_customer_over_sessions() -> None:
    config = WebexConfig.read({**VALUES, "origin_scope": "user"})
    one, _ = created(config, session_id="s1", customer_key="customer")
    two, _ = created(config, session_id="s2", customer_key="customer")
    assert one["origin"]["id"] == two["origin"]["id"]


def test_A13_sms_customers_are_users_by_default() -> None:
    one, _ = created(channel="sms.polyai", session_id="s1", customer_key="+46701234567")
    two, _ = created(channel="sms.polyai", session_id="s2", customer_key="+46701234567")
    assert one["origin"]["id"] == two["origin"]["id"]
    assert one["origin"]["name"] == "SMS customer"


def test_installations_do_not_share_customers() -> None:
    ours = mapping.origin_id(CONFIG, open_request(), SECRET)
    theirs = mapping.origin_id(CONFIG, open_request(), b"another installation")
    assert ours != theirs


def test_options_name_the_customer_and_set_variables_and_flow_settings() -> None:
    body, left_out = created(
        options={
            "origin_name": "Ada",
            "global_variables": {"reason": "billing", "vip": True, "visits": 3},
            "flow_settings": {"queue": "billing"},
            "brief": "read by others",
            "connection": "read by others",
        }
    )
    assert body["origin"]["name"] == "Ada"
    assert body["globalVariables"] == {"reason": "billing", "vip": "true", "visits": "3"}
    assert body["flowSettings"] == {"queue": "billing"}
    assert left_out == ()


def test_unknown_options_and_impossible_variables_are_named_without_their_values() -> None:
    body, left_out = created(
        options={
            "priority": "secret value",
            "global_variables": {"fine": "yes", "long": "x" * 1025, "list": ["secret value"]},
            "flow_settings": "secret value",
        }
    )
    assert body["globalVariables"] == {"fine": "yes"}
    assert "flowSettings" not in body
    assert left_out == ("priority", "global_variables.long", "global_variables.list", "flow_settings")


@pytest.mark.parametrize(("count", "kept"), [(30, 30), (31, 30)])
def test_no_more_than_thirty_variables(count: int, kept: int) -> None:
    body, left_out = created(options={"global_variables": {f"v{n}": "x" for n in range(count)}})
    assert len(body["globalVariables"]) == kept
    assert len(left_out) == count - kept


def test_variables_are_measured_in_bytes() -> None:
    body, left_out = created(options={"global_variables": {"fits": "é" * 512, "not": "é" * 513}})
    assert set(body["globalVariables"]) == {"fits"}
    assert left_out == ("global_variables.not",)


def test_configured_variables_are_filled_in_and_yield_to_the_function() -> None:
    config = WebexConfig.read(
        {**VALUES, "global_variables": '{"why": "{{handoff.reason}}", "via": "{{ session.channel }}", "x": "{{no}}"}'}
    )
    body, _ = created(config, options={"global_variables": {"x": "mine"}})
    assert body["globalVariables"] == {"why": "billing", "via": "webchat.polyai", "x": "mine"}


def test_files_go_with_their_message_as_webex_wants_them() -> None:
    file = Attachment(
        content_url="https://w.example/files/t/attachment-1.pdf",
        title="Bill.pdf",
        mime_type="application/pdf",
        size=3,
    )
    body = json.loads(wire.encode(mapping.append_message(SENT, "", NOW, (file,))))
    assert body["channelParams"] == {
        "type": "text-with-attachments",
        "message": {
            "aliasId": SENT,
            "text": "",
            "timestamp": NOW,
            "attachments": [
                {
                    "fileName": "Bill.pdf",
                    "mimeType": "application/pdf",
                    "fileUrl": "https://w.example/files/t/attachment-1.pdf",
                }
            ],
        },
    }


def test_the_link_remembers_what_webhooks_need() -> None:
    data = mapping.link_data(open_request(refusals=2))
    assert data == {"brief": BRIEF, "refusals": 2, "channel": "webchat.polyai"}


@pytest.mark.parametrize("case", fixture("error_answers"), ids=lambda case: case["name"])
def test_error_answers_are_read_in_every_form(case: dict) -> None:
    assert wire.problem(json.dumps(case["body"]).encode()) == case["problem"]


@pytest.mark.parametrize("case", fixture("subscription_lists"), ids=lambda case: case["name"])
def test_lists_are_found_wherever_they_are(case: dict) -> None:
    assert wire.rows(json.dumps(case["body"]).encode()) == [{"id": "s1"}]


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"data": []}', b'{"data": {"id": 7}}', b'"x"'])
def test_an_answer_without_an_id_has_none(body: bytes) -> None:
    assert wire.created_id(body) == ""
