"""A function is tried with a sample conversation: in the workers, with all limits, and nothing of it is kept."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.agent_projects import engine, function_file, write_project
from support.flow_projects import flow_file, flow_function, step_file
from warmline.agent.turn.arguments import ArgumentWrong
from warmline.agent.turn.engine import ProjectEngine
from warmline.agent.turn.trying import Sample, Tried
from warmline.domain.turn import SmsRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERYTHING = """
print("seen", conv.channel_type, conv.env, conv.language, conv.variant_name, conv.caller_number, number)
conv.log.warning("look", orders=conv.state.orders)
conv.state.orders = [*conv.state.orders, number]
conv.state.fresh = True
del conv.state.old
conv.send_sms("+14155550100", "+14155550101", "On its way")
conv.write_metric("ORDERED", number)
conv.call_handoff(destination="sales", reason="large", utterance="I fetch somebody.")
return {"content": "Tell the price."}
"""
FILES = {
    "functions/everything.py": function_file("everything", EVERYTHING, "number: int"),
    "functions/fails.py": function_file("fails", "conv.state.x = 1\nprint('before')\nreturn 1 / 0"),
    "functions/hangs.py": function_file("hangs", "while True:\n    pass"),
    "functions/dies.py": function_file("dies", "import ctypes\nctypes.string_at(0)"),
    "functions/eats.py": function_file("eats", "x = bytearray(4_000_000_000)\nreturn 'full'"),
    "functions/bad_import.py": "import not_installed_anywhere\n" + function_file("bad_import", "pass"),
    "chat/handoff_routes.yaml": (
        "routes:\n  - destination: sales\n    integration: webex_integration\n    options: {origin_name: Shop}\n"
    ),
    "config/variant_attributes.yaml": (
        "variants: [{name: north, is_default: true}]\nattributes:\n  - name: city\n    values: {north: Ely}\n"
    ),
    "flows/order/flow_config.yaml": flow_file("order", "ask"),
    "flows/order/steps/ask.yaml": step_file("ask", "Call {{ft:finish}}."),
    "flows/order/steps/second.yaml": step_file("second", "Call {{ft:finish}}."),
    "flows/order/functions/finish.py": flow_function("finish", "print(flow.current_step)\nflow.goto_step('check')"),
    "flows/order/function_steps/check.py": flow_function("check", "conv.exit_flow()", step=True),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProjectEngine]:
    """The project's engine."""
    root: Path = write_project(tmp_path_factory.mktemp("project"), FILES)
    made = engine(root, memory_mb=700)
    yield made
    await made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ProjectEngine]:
    """Another one, with a time limit that is soon reached."""
    root: Path = write_project(tmp_path_factory.mktemp("project"), FILES)
    made = engine(root, limit_s=2.0)
    yield made
    await made.close()


async def attempt(running: ProjectEngine, file: str, sample: Sample | None = None, **arguments: object) -> Tried:
    tried = await running.try_function(file, arguments, sample or Sample())
    assert tried is not None
    return tried


def own(tried: Tried) -> dict[str, str]:
    """The state without what the platform adds."""
    added = ("from_", "to", "call_sid", "asr_lang_code", "tts_lang_code")
    return {key: value for key, value in tried.state.items() if key not in added}


async def test_everything_that_a_function_asks_for_is_told(running: ProjectEngine) -> None:
    sample = Sample(
        channel="sms.polyai",
        language="de-DE",
        caller_number="+14155550109",
        state={"orders": [1, 2], "old": "x"},
    )
    tried = await attempt(running, "functions/everything.py", sample, number="7")
    outcome = tried.outcome
    assert not tried.failed
    assert tried.returned == {"content": "Tell the price."}
    assert tried.content == "Tell the price."
    assert [say.text for say in outcome.says] == ["I fetch somebody."]
    assert outcome.handoff is not None
    assert (outcome.handoff.integration, outcome.handoff.destination) == ("webex_integration", "sales")
    assert outcome.handoff.options["origin_name"] == "Shop"
    assert outcome.sms == (SmsRequest(to="+14155550100", text="On its way", from_number="+14155550101"),)
    assert outcome.metrics == (("ORDERED", 7),)
    (call,) = outcome.calls
    assert call.state_changes == {"added": ("fresh",), "updated": ("orders",), "removed": ("old",)}
    assert own(tried) == {"orders": "[1, 2, 7]", "fresh": "True"}
    assert [(log["level"], log["content"]) for log in call.logs] == [
        ("warning", "look"),
        ("print", "seen sms.polyai sandbox de-DE north +14155550109 7\n"),
    ]
    assert tried.took_ms >= call.duration_ms


async def test_nothing_is_left_for_the_next_one(running: ProjectEngine) -> None:
    tried = await attempt(running, "functions/everything.py", Sample(state={"orders": []}), number=1)
    assert own(tried) == {"orders": "[1]", "fresh": "True"}


async def test_wrong_arguments_are_refused_before_anything_runs(running: ProjectEngine) -> None:
    with pytest.raises(ArgumentWrong, match="number` must be integer"):
        await attempt(running, "functions/everything.py", number="many")
    with pytest.raises(ArgumentWrong, match="needs the argument `number`"):
        await attempt(running, "functions/everything.py")
    assert await running.try_function("functions/absent.py", {}, Sample()) is None


async def test_an_error_is_told_with_its_line_and_what_was_printed(running: ProjectEngine) -> None:
    tried = await attempt(running, "functions/fails.py", Sample(state={"kept": 1}))
    assert tried.failed
    (found,) = tried.outcome.findings
    assert (found.rule, found.file, found.line) == ("function-error", "functions/fails.py", 8)
    assert "ZeroDivisionError" in found.text
    assert tried.outcome.calls[0].logs[0]["content"] == "before\n"
    assert own(tried) == {"kept": "1"}, "nothing that it wrote counts"


@pytest.mark.parametrize(
    ("name", "rule", "line"),
    [
        ("hangs", "function-timeout", 6),
        ("dies", "function-crash", 7),
        ("eats", "function-memory", 6),
        ("bad_import", "function-error", 1),
    ],
)
async def test_misbehaviour_is_reported_and_harms_nobody(
    running: ProjectEngine, hasty: ProjectEngine, name: str, rule: str, line: int
) -> None:
    engine = hasty if name == "hangs" else running
    tried = await attempt(engine, f"functions/{name}.py")
    assert tried.failed
    found = tried.outcome.findings[0]
    assert (found.rule, found.file) == (rule, f"functions/{name}.py")
    assert abs(found.line - line) <= 1
    after = await attempt(engine, "functions/everything.py", Sample(state={"orders": []}), number=1)
    assert not after.failed


async def test_functions_of_flows_find_themselves_in_their_flow(running: ProjectEngine) -> None:
    tried = await attempt(running, "flows/order/functions/finish.py")
    assert tried.outcome.calls[0].logs[0]["content"] == "ask\n"
    assert tried.place == ("order", "check")
    tried = await attempt(running, "flows/order/functions/finish.py", Sample(step="second"))
    assert tried.outcome.calls[0].logs[0]["content"] == "second\n"
    tried = await attempt(running, "flows/order/function_steps/check.py")
    assert tried.place is None
