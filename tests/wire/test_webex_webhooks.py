"""Which webhooks are genuine, and their place in order (webex-byoc.md §11)."""

import json
from typing import Any

import pytest

from support.webex import (
    ASSET_SECRET,
    CONFIG,
    EVENTS_SECRET,
    NOW,
    SECRETS,
    TASK,
    VALUES,
    fixture,
    raw,
    signature,
    webhook,
)
from warmline.handoff.contract import Receipt, WebhookRefused, WebhookRequest
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.providers.webex.webhook import sign, verify


def accepted(request: WebhookRequest, secrets: dict[str, str] = SECRETS, config: WebexConfig = CONFIG) -> Receipt:
    receipt = verify(config, secrets, request)
    assert receipt is not None
    return receipt


def refusal(request: WebhookRequest, secrets: dict[str, str] = SECRETS, config: WebexConfig = CONFIG) -> int:
    with pytest.raises(WebhookRefused) as caught:
        verify(config, secrets, request)
    return caught.value.status


def test_A30_the_documented_vector() -> None:
    vector = fixture("signature_vector")
    assert len(vector["body"].encode()) == 63
    assert sign(vector["secret"], vector["body"].encode()) == vector["signature"]


def test_A30_a_genuine_webhook_passes_and_upper_case_does_too() -> None:
    event = fixture("task_new")
    assert accepted(webhook(event)).remote_id == TASK
    upper = signature(raw(event), EVENTS_SECRET).upper()
    assert accepted(webhook(event, x_webexcc_signature=upper)).remote_id == TASK


@pytest.mark.parametrize("bit", [0, 3, 100, -1])
def test_A30_one_flipped_bit_is_refused(bit: int) -> None:
    good = webhook(fixture("task_new"))
    body = bytearray(good.body)
    body[bit] ^= 1
    forged = WebhookRequest(endpoint="events", headers=good.headers, body=bytes(body), received_at=good.received_at)
    assert refusal(forged) == 401


def test_A30_the_same_json_in_other_bytes_is_refused() -> None:
    event = fixture("task_new")
    rewritten = webhook(json.dumps(event, indent=1).encode(), x_webexcc_signature=signature(raw(event), EVENTS_SECRET))
    assert refusal(rewritten) == 401


@pytest.mark.parametrize("given", ["", "0" * 64, "not hex", "é", "\udcff"])
def test_A30_no_or_a_wrong_signature_is_refused(given: str) -> None:
    assert refusal(webhook(fixture("task_new"), x_webexcc_signature=given)) == 401


def test_A30_an_empty_body_is_malformed_when_signed_and_forged_when_not() -> None:
    assert refusal(webhook(b"")) == 400
    assert refusal(webhook(b"", x_webexcc_signature="0" * 64)) == 401


def test_a_connection_without_secrets_accepts_nothing() -> None:
    empty = {"asset_webhook_secret": "", "subscription_secret": ""}
    assert refusal(webhook(fixture("task_new"), secret=""), secrets=empty) == 401


@pytest.mark.parametrize("endpoint", ["asset", "events"])
@pytest.mark.parametrize("secret", [ASSET_SECRET, EVENTS_SECRET])
def test_both_secrets_are_accepted_on_both_endpoints(endpoint: str, secret: str) -> None:
    assert accepted(webhook(fixture("task_new"), endpoint=endpoint, secret=secret)).remote_id == TASK


def test_A39_a_previous_secret_is_accepted_until_its_time() -> None:
    old = "o" * 64
    secrets = {
        **SECRETS,
        "subscription_secret_previous": old,
        "subscription_secret_previous_until": str(NOW + 1000),
    }
    assert accepted(webhook(fixture("task_new"), secret=old, received_at=NOW + 999), secrets).remote_id == TASK
    assert refusal(webhook(fixture("task_new"), secret=old, received_at=NOW + 1001), secrets) == 401
    assert refusal(webhook(fixture("task_new"), secret=old)) == 401


def test_A31_header_and_body_must_tell_the_same_time() -> None:
    event = fixture("task_new")
    for header in (str(NOW + 1), "", "now", "٣", "9" * 4000):
        assert refusal(webhook(event, x_webexcc_timestamp=header)) == 401
    without = {key: value for key, value in event.items() if key != "comciscotimestamp"}
    assert refusal(webhook(without, x_webexcc_timestamp=str(NOW))) == 401


@pytest.mark.parametrize(("age", "fine"), [(300_000, True), (300_001, False), (-300_000, True), (-300_001, False)])
def test_A31_five_minutes_either_way(age: int, fine: bool) -> None:
    event = fixture("task_failed")
    request = webhook(event, received_at=event["comciscotimestamp"] + age)
    if fine:
        assert accepted(request).remote_id == TASK
    else:
        assert refusal(request) == 403


def test_A31_without_the_header_age_does_not_matter() -> None:
    assert accepted(webhook(fixture("task_new"), stamp=False, received_at=NOW + 86_400_000)).remote_id == TASK


def test_stale_ones_may_be_accepted_for_a_day() -> None:
    config = WebexConfig.read({**VALUES, "stale_policy": "accept_if_unseen"})
    event = fixture("task_failed")
    day = 24 * 3600 * 1000
    assert accepted(webhook(event, received_at=NOW + day), config=config).remote_id == TASK
    assert refusal(webhook(event, received_at=NOW + day + 1), config=config) == 403
    assert refusal(webhook(event, received_at=NOW - 300_001), config=config) == 403


def test_A32_the_timestamp_may_be_text() -> None:
    event = {**fixture("task_failed"), "comciscotimestamp": str(NOW)}
    assert accepted(webhook(event)).event_at == NOW


def test_A33_another_organization_is_refused() -> None:
    event = {**fixture("task_new"), "comciscoorgid": "11111111-1111-4111-8111-111111111111"}
    assert refusal(webhook(event)) == 401
    unsaid = fixture("task_new")
    del unsaid["comciscoorgid"]
    assert accepted(webhook(unsaid)).remote_id == TASK
    shouted = {**fixture("task_new"), "comciscoorgid": fixture("task_new")["comciscoorgid"].upper()}
    assert accepted(webhook(shouted)).remote_id == TASK


def test_A33_other_channels_are_ignored() -> None:
    assert verify(CONFIG, SECRETS, webhook(fixture("other_channel"))) is None
    other = fixture("task_new")
    other["data"]["channel"] = "another-custom-channel"
    assert verify(CONFIG, SECRETS, webhook(other)) is None
    spelled = fixture("task_new")
    spelled["data"]["channelType"] = "CUSTOM_MESSAGING"
    assert accepted(webhook(spelled)).remote_id == TASK


@pytest.mark.parametrize("missing", ["id", "type"])
def test_id_and_type_are_required(missing: str) -> None:
    event = fixture("task_new")
    del event[missing]
    assert refusal(webhook(event)) == 400


@pytest.mark.parametrize(
    "body", [b"nonsense", b"[]", b'{"id":[],"type":"task:new"}', b"\xff\xfe", b'{"id":"a"', b"null", b'{"data":' * 9000]
)
def test_what_is_no_envelope_is_malformed(body: bytes) -> None:
    assert refusal(webhook(body)) == 400


def test_A38_unknown_events_are_answered_and_those_of_no_task_are_not_kept() -> None:
    event = fixture("task_new")
    assert accepted(webhook({**event, "type": "task:something-new"})).remote_id == TASK
    for kind in ("agent:login", "capture:deleted", "something"):
        assert verify(CONFIG, SECRETS, webhook({**event, "type": kind})) is None
    nameless = fixture("appended_inbound")
    del nameless["data"]["taskId"]
    assert verify(CONFIG, SECRETS, webhook(nameless)) is None


def test_signature_failures_may_be_hidden_but_nothing_is_kept() -> None:
    config = WebexConfig.read({**VALUES, "on_bad_signature": "200"})
    assert verify(config, SECRETS, webhook(fixture("task_new"), secret="wrong" * 10)) is None


# --- keys and order ----------------------------------------------------------------------------------------------


def test_the_same_delivery_has_the_same_transport_key_and_every_other_one_another() -> None:
    event = fixture("task_parked")
    key = accepted(webhook(event)).key
    assert accepted(webhook(event, endpoint="asset", secret=ASSET_SECRET)).key == key
    variants: list[dict[str, Any]] = [
        {"comciscotimestamp": event["comciscotimestamp"] + 1},
        {"type": "task:connect"},
        {"id": "another"},
        {"data": {**event["data"], "taskId": "another"}},
    ]
    keys = {accepted(webhook({**event, **variant})).key for variant in variants}
    assert len(keys | {key}) == len(variants) + 1


def test_without_a_timestamp_only_the_same_bytes_are_the_same_delivery() -> None:
    first = {key: value for key, value in fixture("task_parked").items() if key != "comciscotimestamp"}
    second = {**first, "data": {**first["data"], "createdTime": NOW + 9}}
    assert accepted(webhook(first)).key == accepted(webhook(first)).key
    assert accepted(webhook(first)).key != accepted(webhook(second)).key


def test_lifecycle_is_placed_by_its_own_time_and_rank() -> None:
    names = ["task_new", "task_parked", "task_connect", "task_connected", "task_ended"]
    receipts = [accepted(webhook(fixture(name))) for name in names]
    assert [receipt.event_at - NOW for receipt in receipts] == [0, 200, 400, 600, 9000]
    ranks = [receipt.rank for receipt in receipts]
    assert ranks == sorted(ranks)
    assert [receipt.terminal for receipt in receipts] == [False, False, False, False, True]
    assert all(receipt.hold for receipt in receipts)


def test_A27_messages_are_placed_by_the_envelope_time_although_their_own_is_hours_off() -> None:
    flow = accepted(webhook(fixture("appended_outbound_system"), secret=ASSET_SECRET))
    agent = accepted(webhook({**fixture("appended_outbound_agent"), "comciscotimestamp": NOW + 50}))
    assert (flow.event_at, agent.event_at) == (NOW, NOW + 50)
    assert flow.hold
    assert not flow.terminal


def test_acknowledgements_wait_for_nothing_except_that_a_task_is_gone() -> None:
    for name in ("appended_first", "appended_inbound", "append_failed"):
        receipt = accepted(webhook(fixture(name)))
        assert (receipt.hold, receipt.terminal) == (False, False)
    event = fixture("append_failed")
    event["data"]["reason"] = "NOT_FOUND"
    gone = accepted(webhook(event))
    assert (gone.hold, gone.terminal) == (True, True)


def test_what_tells_no_time_is_placed_by_its_receipt() -> None:
    event = fixture("task_new")
    del event["comciscotimestamp"]
    del event["data"]["createdTime"]
    assert accepted(webhook(event, received_at=NOW + 77)).event_at == NOW + 77
