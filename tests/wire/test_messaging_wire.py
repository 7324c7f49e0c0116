"""The messaging protocol's JSON both ways, against the fixtures that server and widget share."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from warmline.channels.messaging import intents
from warmline.channels.messaging.intents import INVALID_FRAME, MAX_CUSTOM_BYTES, TOO_LARGE, Post, Refused, decode_frame
from warmline.channels.messaging.wire import (
    BATCH_BYTES,
    EVENTS,
    batches,
    encode_batch,
    encode_event,
    encode_notice,
    encode_transient,
    encode_url,
    timestamp,
)
from warmline.domain import events as e
from warmline.testing.messaging_decode import decode

FIXTURES = Path(__file__).parents[2] / "contract" / "messaging"
KINDS = {kind.__name__: kind for kind in e.EVENT_TYPES}


def cases(name: str) -> list[Any]:
    loaded = json.loads((FIXTURES / name).read_text("utf-8"))["cases"]
    return [pytest.param(case, id=case["name"]) for case in loaded]


def recorded(case: dict[str, Any]) -> e.Recorded:
    given = case["recorded"]
    event = msgspec.convert(given["event"], type=KINDS[given["type"]])
    return e.Recorded(sequence=given["sequence"], id=given["id"], at=given["at"], event=event)


@pytest.mark.parametrize("case", cases("server-events.json"))
def test_event_has_exactly_this_frame(case: dict[str, Any]) -> None:
    assert json.loads(encode_event(recorded(case))) == case["wire"]


@pytest.mark.parametrize("case", cases("server-events.json"))
def test_W15_W16_sdk_reads_every_event(case: dict[str, Any]) -> None:
    violations: list[str] = []
    batch, events = decode(encode_event(recorded(case)).decode(), violations)
    assert violations == []
    assert not batch
    assert [event.type for event in events] == [case["wire"]["type"].removeprefix("EVENT_TYPE_")]


def test_every_event_of_the_log_has_a_fixture_and_a_frame() -> None:
    covered = {case.values[0]["recorded"]["type"] for case in cases("server-events.json")}
    assert covered == set(KINDS)
    assert set(EVENTS) == set(e.EVENT_TYPES)


def test_W11_same_event_same_bytes() -> None:
    one = recorded(cases("server-events.json")[5].values[0])
    assert encode_event(one) == encode_event(one)


@pytest.mark.parametrize("case", cases("client-frames.json"))
def test_frame_asks_for_exactly_this(case: dict[str, Any]) -> None:
    frame = case["frame"]
    data = frame if isinstance(frame, str) else json.dumps(frame)
    expected = getattr(intents, case["intent"])(**case["fields"])
    assert decode_frame(data.encode()) == expected


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", b'{"type":"\xff"}', b"[" * 200_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000]
)
def test_C13_bytes_that_are_no_json_are_refused(data: bytes) -> None:
    assert decode_frame(data) == Refused(message=INVALID_FRAME)


def message(text: str, custom: object = None) -> bytes:
    frame: dict[str, Any] = {"type": "EVENT_TYPE_USER_MESSAGE", "payload": {"text": text}}
    if custom is not None:
        frame["metadata"] = {"custom": custom}
    return json.dumps(frame).encode()


@pytest.mark.parametrize("text", ["\x01" * 131_072, "é" * 65_536, "😀" * 32_768, "x" * 131_072], ids=len)
def test_C16_text_of_exactly_the_limit_is_accepted(text: str) -> None:
    intent = decode_frame(message(text, {"local_id": "l"}))
    assert isinstance(intent, Post)
    assert intent.text == text


@pytest.mark.parametrize("text", ["x" * 131_073, "é" * 65_536 + "x", "😀" * 32_768 + "x"], ids=len)
def test_C16_one_byte_more_is_refused_with_its_metadata(text: str) -> None:
    refused = decode_frame(message(text, {"local_id": "l"}))
    assert refused == Refused(message=TOO_LARGE, custom={"local_id": "l"})


def test_custom_is_bounded() -> None:
    assert isinstance(decode_frame(message("hi", {"k": "x" * (MAX_CUSTOM_BYTES - 8)})), Post)
    assert decode_frame(message("hi", {"k": "x" * MAX_CUSTOM_BYTES})) == Refused(message=TOO_LARGE)


def test_custom_may_not_be_nested_without_end() -> None:
    deep: object = "x"
    for _ in range(15):
        deep = [deep]
    assert isinstance(decode_frame(message("hi", {"k": deep})), Post)
    assert decode_frame(message("hi", {"k": [deep]})) == Refused(message=INVALID_FRAME)


def test_W14_largest_echo_stays_below_1_mib() -> None:
    intent = decode_frame(message("\x01" * 131_072, {"k": "\x01" * 2_700}))
    assert isinstance(intent, Post)
    echo = e.UserMessage(message_id="m" * 36, text=intent.text, custom=intent.custom)
    assert len(encode_event(e.Recorded(sequence=1, id="i" * 36, at=0, event=echo))) < 1_048_576


def test_long_client_refs_keep_apart() -> None:
    refs = {decode_frame(message("hi", {"local_id": "x" * 1_000 + end})).client_ref for end in "ab"}  # type: ignore[union-attr]
    assert len(refs) == 2
    assert all(len(ref) <= 128 for ref in refs)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
        (1_767_323_045_007, "2026-01-02T03:04:05.007Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
    ],
)
def test_W16_timestamp(at: int, text: str) -> None:
    assert timestamp(at) == text


@pytest.mark.parametrize(
    ("url", "encoded"),
    [
        ("", ""),
        ("https://example.com/a b[1]{2}.png?q=x|y#f#g", "https://example.com/a%20b%5B1%5D%7B2%7D.png?q=x%7Cy#f%23g"),
        ("https://example.com/100%/x%20y%zz", "https://example.com/100%25/x%20y%25zz"),
        ("https://müller.example/ä", "https://xn--mller-kva.example/%C3%A4"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("data:image/png;base64,iVBORw0KGgo=", "data:image/png;base64,iVBORw0KGgo="),
        ("http://[broken/x", "http://%5Bbroken/x"),
        ("https://example.com/x\n", "https://example.com/x"),
    ],
)
def test_A10_urls_are_rfc_3986(url: str, encoded: str) -> None:
    assert encode_url(url) == encoded
    assert encode_url(encoded) == encoded


def test_batches_have_at_most_100_events_and_100_kb() -> None:
    frames = [b"x" * 10] * 250 + [b"y" * 60_000] * 3 + [b"z" * 500_000] + [b"x"]
    cut = list(batches(frames))
    assert [len(batch) for batch in cut] == [100, 100, 51, 1, 1, 1, 1]
    assert [frame for batch in cut for frame in batch] == frames
    assert all(len(batch) == 1 or sum(map(len, batch)) <= BATCH_BYTES for batch in cut)
    assert list(batches([])) == []


def test_batch_frame() -> None:
    frames = [encode_event(recorded(case.values[0])) for case in cases("server-events.json")[:3]]
    violations: list[str] = []
    batch, events = decode(encode_batch(frames[:2], event_id="b", at=0).decode(), violations)
    assert batch
    assert [event.raw for event in events] == [json.loads(frame) for frame in frames[:2]]
    assert decode(encode_batch([], event_id="b", at=0).decode(), violations) == (True, [])
    assert violations == []


def test_transient_frames() -> None:
    thinking = json.loads(encode_transient("POLY_AGENT_THINKING", {}, event_id="t", at=0))
    assert thinking == {
        "id": "t",
        "sequence": None,
        "timestamp": "1970-01-01T00:00:00.000Z",
        "type": "EVENT_TYPE_POLY_AGENT_THINKING",
        "payload": {},
    }
    notice = json.loads(encode_notice(e.NoticeLevel.ERROR, "no", event_id="n", at=0, custom={"local_id": "l"}))
    assert notice["payload"] == {"level": "SYSTEM_MESSAGE_LEVEL_ERROR", "message": "no"}
    assert notice["metadata"] == {"custom": {"local_id": "l"}}
    assert notice["sequence"] is None
