"""The widget's pure parts, run where they live: in the browser, module by module as they are written."""

import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from support.fake_messaging import FakeMessaging
from warmline.testing.messaging_client import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

_LOAD = """async () => {
  window.reducer = await import('/modules/protocol/reducer.js');
  window.wire = await import('/modules/protocol/wire.js');
  const nothing = { batch: false, events: [] };
  const action = (step) => typeof step === 'string' ? { type: 'frame', frame: wire.decode(step) ?? nothing } : step;
  window.fold = (steps) => steps.map(action).reduce(reducer.reduce, reducer.initialState());
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def modules(browser: Browser) -> AsyncIterator[Page]:
    """A page with the modules loaded."""
    server = FakeMessaging()
    page = await browser.new_page()
    await page.goto(await server.start())
    await page.evaluate(_LOAD)
    yield page
    await page.close()
    await server.stop()


def event(type_: str, sequence: int | None, custom: dict[str, str] | None = None, **payload: Any) -> dict[str, Any]:
    made = {
        "id": f"event-{sequence}",
        "sequence": sequence,
        "timestamp": "2026-01-02T03:04:05Z",
        "type": f"EVENT_TYPE_{type_}",
        "payload": payload,
    }
    return made | ({"metadata": {"custom": custom}} if custom else {})


def frame(*events: dict[str, Any], batch: bool = False) -> str:
    if not batch:
        return json.dumps(events[0])
    return json.dumps({"type": "EVENT_TYPE_EVENT_BATCH", "payload": {"events": list(events)}})


async def fold(modules: Page, *steps: Any) -> dict[str, Any]:
    state: dict[str, Any] = await modules.evaluate("(steps) => fold(steps)", list(steps))
    return state


def random_journal(choose: random.Random) -> list[dict[str, Any]]:
    """A conversation as a server could have logged it."""
    journal = [event("SESSION_START", 1), event("POLY_AGENT_JOINED", 2, agent_name="Lumi")]

    def log(type_: str, custom: dict[str, str] | None = None, **payload: Any) -> None:
        journal.append(event(type_, len(journal) + 1, custom, **payload))

    for turn in range(choose.randint(1, 8)):
        number = len(journal)
        kind = choose.choice(["user", "user", "agent", "chunks", "handoff", "failed", "live", "receipt", "unknown"])
        if kind == "user":
            log("USER_MESSAGE", {"local_id": f"local-{turn}"}, text=f"text {turn}", message_id=f"user-{number}")
        elif kind == "agent":
            suggestions = [{"message_text": "Yes"}] if choose.random() < 0.5 else []
            log("POLY_AGENT_MESSAGE", message_id=f"m{number}", text="Hi", response_suggestions=suggestions)
        elif kind == "chunks":
            last = choose.randint(1, 4)
            for index in range(1, last + 1):
                done = index == last
                log(
                    "POLY_AGENT_MESSAGE_CHUNK",
                    message_id=f"c{number}",
                    text=f"{index} ",
                    chunk_index=index,
                    is_complete=done,
                )
        elif kind == "handoff":
            log("POLY_AGENT_TRIGGERED_HANDOFF")
            log("POLY_AGENT_LEFT")
            log("HANDOFF_ACCEPTED")
            log("HANDOFF_QUEUE_STATUS", position_in_queue=choose.randint(1, 5))
        elif kind == "failed":
            log(choose.choice(["HANDOFF_FAILED", "HANDOFF_TIMEOUT"]))
        elif kind == "live":
            log("LIVE_AGENT_JOINED", agent={"id": "a1", "name": choose.choice(["Maria", ""]), "avatar_url": ""})
            log("LIVE_AGENT_MESSAGE", message_id=f"l{number}", agent_id="a1", text="Good morning")
        elif kind == "receipt":
            said = [e["payload"]["message_id"] for e in journal if e["type"].endswith("USER_MESSAGE")]
            log("LIVE_AGENT_RECEIVED_MESSAGE", message_id=choose.choice(said or ["nothing"]))
        else:
            log("SOMETHING_NEW", text="?")
    if choose.random() < 0.3:
        log("SESSION_END", reason="REASON_NATURAL_END")
    return journal


def random_delivery(choose: random.Random, journal: list[dict[str, Any]]) -> list[Any]:
    """The same journal as one client may get it: live, cut, replayed, doubled, with its own messages shown first."""
    steps: list[Any] = [{"type": "opened"}, frame(journal[0], batch=True)]
    seen = 1
    while seen < len(journal):
        chance = choose.random()
        if chance < 0.15:
            steps += [{"type": "connection", "status": "reconnecting"}, {"type": "opened"}]
            missed = choose.randint(0, 3)
            steps.append(frame(*journal[seen : seen + missed], batch=True))
            seen += missed
        elif chance < 0.3:
            steps.append(frame(choose.choice(journal[:seen])))
        elif chance < 0.4:
            steps.append(frame(event("POLY_AGENT_THINKING", None)))
        else:
            current = journal[seen]
            local_id = current.get("metadata", {}).get("custom", {}).get("local_id")
            if local_id:
                steps.append({"type": "send", "localId": local_id, "text": current["payload"]["text"], "at": 1})
            steps.append(frame(current))
            seen += 1
    return steps


async def test_any_delivery_gives_the_view_of_a_fresh_fetch(modules: Page) -> None:
    cases = []
    for seed in range(300):
        choose = random.Random(seed)
        journal = random_journal(choose)
        fresh = [{"type": "opened"}, frame(*journal, batch=True)]
        cases.append([fresh, random_delivery(choose, journal)])
    script = """(cases) => cases.map(([fresh, live]) => {
      const view = ({ connection, awaitingReplay, typing, ...rest }) => JSON.stringify(rest);
      return [view(fold(fresh)), view(fold(live))]; })"""
    for seed, (fresh, live) in enumerate(await modules.evaluate(script, cases)):
        assert json.loads(live) == json.loads(fresh), f"seed {seed}"


async def test_next_number_is_applied_and_known_numbers_are_ignored(modules: Page) -> None:
    first = event("POLY_AGENT_MESSAGE", 1, message_id="m1", text="one")
    state = await fold(modules, {"type": "opened"}, frame(batch=True), frame(first), frame(first))
    assert [item["text"] for item in state["items"]] == ["one"]
    assert state["lastSequence"] == 1
    assert state["needsReplay"] is False


async def test_gap_asks_for_a_replay_and_applies_nothing(modules: Page) -> None:
    later = event("POLY_AGENT_MESSAGE", 3, message_id="m3", text="three")
    steps = [{"type": "opened"}, frame(event("SESSION_START", 1), batch=True), frame(later)]
    state = await fold(modules, *steps)
    assert (state["needsReplay"], state["lastSequence"], state["items"]) == (True, 1, [])
    replay = frame(event("POLY_AGENT_MESSAGE", 2, message_id="m2", text="two"), later, batch=True)
    state = await fold(modules, *steps, {"type": "opened"}, replay)
    assert (state["needsReplay"], [item["text"] for item in state["items"]]) == (False, ["two", "three"])


async def test_echo_without_local_id_matches_the_oldest_equal_text(modules: Page) -> None:
    sends = [
        {"type": "send", "localId": name, "text": text, "at": 1} for name, text in [("a", "x"), ("b", "y"), ("c", "y")]
    ]
    echo = event("USER_MESSAGE", 1, text="y", message_id="m1")
    state = await fold(modules, {"type": "opened"}, frame(batch=True), *sends, frame(echo))
    assert [message["localId"] for message in state["pending"]] == ["a", "c"]
    assert [(item["localId"], item["messageId"]) for item in state["items"]] == [("b", "m1")]


@pytest.mark.parametrize(
    "broken",
    [
        "", "null", "[]", "{", '{"type": 5}', '{"type": "EVENT_TYPE_"}', '{"type":"EVENT_TYPE_EVENT_BATCH"}',
        '{"type":"EVENT_TYPE_EVENT_BATCH","payload":{"events":[1]}}',
        '{"type":"EVENT_TYPE_constructor","id":"1","sequence":null,"payload":{}}',
        '{"type":"EVENT_TYPE_POLY_AGENT_MESSAGE","id":"1","sequence":"5","payload":null}',
        '{"type":"EVENT_TYPE_LIVE_AGENT_JOINED","id":"1","sequence":null,"payload":{"agent":"x","agent_name":7}}',
        '{"type":"EVENT_TYPE_USER_MESSAGE","id":"1","sequence":null,"payload":{"text":{}},"metadata":[]}',
    ],
)  # fmt: skip
async def test_malformed_frames_break_nothing(modules: Page, broken: str) -> None:
    good = event("POLY_AGENT_MESSAGE", 1, message_id="m1", text="fine")
    state = await fold(modules, {"type": "opened"}, broken, frame(good, batch=True))
    assert state["items"][-1]["text"] == "fine"
    assert state["lastSequence"] == 1


async def test_empty_agent_message_draws_nothing(modules: Page) -> None:
    empty = event("POLY_AGENT_MESSAGE", None, message_id="m", text="", attachments=[], response_suggestions=[])
    state = await fold(modules, {"type": "opened"}, frame(batch=True), frame(empty))
    assert state["items"] == []


async def test_lost_session_keeps_what_was_said_and_what_waits(modules: Page) -> None:
    said = event("POLY_AGENT_MESSAGE", 1, message_id="m1", text="old")
    waiting = {"type": "send", "localId": "a", "text": "new", "at": 1}
    again = event("POLY_AGENT_MESSAGE", 1, message_id="m1", text="greeting")
    steps = [{"type": "opened"}, frame(said, batch=True), waiting, {"type": "session_lost", "at": 2}]
    state = await fold(modules, *steps, {"type": "opened"}, frame(again, batch=True))
    assert [item.get("text", item.get("code")) for item in state["items"]] == ["old", "session_expired", "greeting"]
    assert len({item["key"] for item in state["items"]}) == 3
    assert [message["text"] for message in state["pending"]] == ["new"]


async def test_hard_texts_are_parsed_in_time(modules: Page) -> None:
    script = """async (texts) => { const { parseMarkdown } = await import('/modules/view/markdown.js');
      const start = performance.now();
      for (const text of texts) parseMarkdown(text);
      return performance.now() - start; }"""
    size = 20_000
    texts = [
        "*" * size,
        "`" * size,
        "[" * size,
        "<b>" * (size // 3),
        "_a" * (size // 2),
        "<a href=" * (size // 8),
        "1. " * size,
    ]
    assert await modules.evaluate(script, texts) < PATIENCE_S * 1000, "a search that backs up without end takes minutes"
