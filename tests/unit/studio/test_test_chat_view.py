"""What a test chat shows of a log and of a turn's record, and what it keeps from the outside."""

from warmline.conversation.held_back import HELD_BACK, held_back
from warmline.domain import events as e
from warmline.domain.commands import HandoffPlan
from warmline.domain.effects import SendText
from warmline.domain.messages import LiveAgent, Say
from warmline.domain.turn import HandoffRequest, TraceEntry, TurnOutcome
from warmline.ports import TEST_CHAT, TEST_CHAT_ALONE, SessionInfo
from warmline.studio.views.test_chat import Said, Step, steps, texted, web_address
from warmline.studio.views.transcript import Who

AGENT = LiveAgent(id="a1", name="Ana")
PLAN = HandoffPlan(
    handoff_id="h1", connection_id="c1", provider="webex", queue_timeout_s=60, reason="bill", options={"a": 1}
)
TEXT = SendText(connection_id="s", number="+1", customer="+12025550123", text="Your code is 1")


def shown(*events: e.Event) -> list[Said]:
    return texted([e.Recorded(sequence=n, id=f"e{n}", at=n, event=event) for n, event in enumerate(events, 1)])


def test_texts_follow_the_rules_of_sms() -> None:
    lines = shown(
        e.SessionStarted(channel="sms.polyai"),
        e.VirtualAgentMessage(message_id="m1", text="**Hello**"),
        e.VirtualAgentMessage(message_id="m2", text="How can I help?"),
        e.UserMessage(message_id="m3", text="a human"),
        e.HandoffTriggered(handoff_id="h", connection_id="c", provider="webex", queue_timeout_s=60),
        e.QueueStatusChanged(),
        e.QueueStatusChanged(),
        e.LiveAgentJoined(agent=AGENT),
        e.LiveAgentMessage(message_id="m4", text="x" * 1601, agent=AGENT),
        e.LiveAgentLeft(agent_id="a1"),
        e.SessionEnded(reason=e.EndReason.NATURAL_END),
    )
    said = [(one.line.who, one.line.text, one.parts.count) for one in lines if one.parts is not None]
    assert said[:4] == [
        (Who.VIRTUAL_AGENT, "Hello\nHow can I help?", 1),
        (Who.CUSTOMER, "a human", 1),
        (Who.SYSTEM, "You're in the queue.", 1),
        (Who.SYSTEM, "You're now chatting with Ana.", 1),
    ]
    assert [(who, len(text), parts) for who, text, parts in said[4:6]] == [
        (Who.LIVE_AGENT, 1600, 11),
        (Who.LIVE_AGENT, 1, 1),
    ]
    assert said[6:] == [(Who.SYSTEM, "This chat has ended.", 1)]
    news = [one.line.news for one in lines if one.line.who is Who.NEWS]
    assert news[:2] == ["started", "handoff_requested"]
    assert news[-2:] == ["live_agent_left", "ended"]


def read(kind: str, /, **data: object) -> Step:
    (step,) = steps({"trace": [{"at_ms": 7, "kind": kind, "data": data}]}, {"c1": "Webex"})
    assert step.at_ms == 7
    return step


def test_every_kind_of_entry_is_read() -> None:
    assert read("retrieved", topics={"Bills": 0.123}).rows == (("Bills", 0.123),)
    near = read("retrieved", topics=[{"topic": "Bills", "distance": 0.25, "nearest": "my bill"}])
    assert near.rows == (("Bills", "0.250 · “my bill”"),)
    prompt = read("prompt", model="m", messages=[{"role": "user", "content": "hi"}], answer="yes", prompt_tokens=3)
    assert (prompt.text, prompt.more) == ("m", (("user", "hi"), ("answer", "yes")))
    assert ("prompt_tokens", 3) in prompt.rows
    assert read("tool", name="f", kind="global", arguments={"a": 1}).rows == (("a", 1),)
    assert read("returned", name="f", value=None, duration_ms=4).rows == (("value", None), ("took", "4 ms"))
    assert read("moved", from_flow=None, from_step=None, to_flow="F", to_step="S").text == "– → F / S"
    assert read("state", function="f", added=["x"], removed=[]).rows == (("function", "f"), ("added", ["x"]))
    sent = read("handoff", connection="c1", reason="bill", sent=True)
    assert (sent.kind, sent.text, sent.rows) == ("handoff", "Webex", (("reason", "bill"),))
    assert read("handoff", connection="c1", sent=False).kind == "handoff_held"
    error = read("error", rule="r", text="t", file="f.py", line=3)
    assert (error.text, error.file, error.line) == ("r: t", "f.py", 3)


def test_logs_metrics_and_findings_come_after_the_trace() -> None:
    record: dict[str, object] = {
        "trace": [{"at_ms": 1, "kind": "said", "data": {}}, {"at_ms": 2, "kind": "error", "data": {"text": "told"}}],
        "calls": [{"name": "f", "logs": [{"level": "info", "content": "hello"}]}],
        "metrics": [["QA", "Bills"]],
        "findings": [{"rule": "", "text": "told"}, {"rule": "r", "text": "new", "file": "f.py", "line": 1}],
    }
    found = steps(record, {})
    assert [(s.kind, s.text) for s in found] == [
        ("error", "told"),
        ("log", "f info: hello"),
        ("metric", ""),
        ("error", "r: new"),
    ]
    assert steps({}, {}) == []


def test_only_addresses_of_the_web_are_followed() -> None:
    assert web_address("https://example.com/a") == "https://example.com/a"
    for address in ("javascript:alert(1)", "data:text/html,x", "/studio/sign-out", "http://[", ""):
        assert web_address(address) == ""


def test_texts_never_leave_and_handoffs_only_when_wanted() -> None:
    outcome = TurnOutcome(
        says=(Say(text="One moment."),),
        handoff=HandoffRequest(integration="webex_integration"),
        trace=(TraceEntry(at_ms=5, kind="said"),),
    )
    info = SessionInfo(connector_id=TEST_CHAT, project_id="p", subject="s")
    plan, texts, after = held_back(info, outcome, PLAN, (TEXT,))
    assert (plan, texts, after.handoff) == (PLAN, (), outcome.handoff)
    assert [(entry.at_ms, entry.kind) for entry in after.trace] == [(5, "said"), (5, "handoff"), (5, "text")]
    assert after.trace[1].data["sent"] is True

    alone = SessionInfo(connector_id=TEST_CHAT_ALONE, project_id="p", subject="s")
    plan, texts, after = held_back(alone, outcome, PLAN, ())
    assert (plan, after.handoff, after.says) == (None, None, outcome.says)
    assert after.trace[-1].data["sent"] is False
    silent = TurnOutcome(handoff=outcome.handoff)
    assert held_back(alone, silent, PLAN, ())[2].says == (Say(text=HELD_BACK),)
    # Where there is nowhere to go, the customer hears of it as always.
    assert held_back(alone, outcome, None, ())[2].handoff is not None
