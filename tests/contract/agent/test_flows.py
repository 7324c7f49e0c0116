"""How conversations move through flows (agent-project.md §8.3 and §8.4; its checks 50 to 58 and 61)."""

from pathlib import Path

import pytest

from support.agent_projects import CHAT, function_file, rules, start_function, texts
from support.flow_projects import ScriptedBrain, flow_file, flow_function, scripted, step_file
from warmline.agent.project.model import FunctionKind
from warmline.agent.turn import tools
from warmline.agent.turn.brain import CallFunction, GiveUp, Speak

FLOW = {
    "flows/order/flow_config.yaml": flow_file("order", "Collect"),
    "flows/order/steps/collect.yaml": step_file("Collect", "Ask for the size. Then call {{ft:save_size}}."),
    "flows/order/steps/confirm.yaml": step_file("Confirm", "Confirm $size, then call {{ft:finish}}."),
    "flows/order/functions/save_size.py": flow_function(
        "save_size", 'conv.state.size = size\nflow.goto_step("Confirm")\nreturn "Saved."', "size: str"
    ),
    "flows/order/functions/finish.py": flow_function("finish", "conv.exit_flow()"),
    "flows/other/flow_config.yaml": flow_file("Other Flow", "Start"),
    "flows/other/steps/start.yaml": step_file("Start", "Say hello."),
    "flows/other/steps/second.yaml": step_file("Second", "Say more."),
    "flows/other/functions/hidden.py": flow_function("hidden", 'return "No."'),
}
BEGIN = {"functions/begin.py": function_file("begin", 'conv.goto_flow("order")\nreturn "Started."')}


def moving(body: str) -> dict[str, str]:
    """Give FLOW, entered by a call of `begin`, with a transition function `move` that has this body."""
    return {**FLOW, **BEGIN, "flows/order/functions/move.py": flow_function("move", body)}


def call(name: str, **arguments: object) -> CallFunction:
    return CallFunction(name=name, arguments=arguments)


async def test_C50_content_with_goto_flow_continues_in_the_same_turn_at_the_start_step(tmp_path: Path) -> None:
    brain = ScriptedBrain(call("begin"), Speak(text="Which size?"))
    files = {**FLOW, **BEGIN, "agent_settings/rules.txt": "Be kind. Use {{fn:begin}}."}
    async with scripted(tmp_path, files, brain) as talk:
        outcome = await talk.say("I want to order")
    assert texts(outcome) == ["Which size?"]
    assert brain.places == [None, ("order", "Collect")]
    second = brain.seen[1]
    assert [(result.name, result.content) for result in second.results] == [("begin", "Started.")]
    assert second.position is not None
    prompt = second.position.step.prompt.value  # type: ignore[union-attr]
    offered = tools.visible(second.project, second.position, (second.project.rules.value, prompt))
    assert [(tool.name, tool.kind) for tool in offered] == [("begin", "function"), ("save_size", "transition")]


async def test_C50_the_old_step_is_gone_after_a_move(tmp_path: Path) -> None:
    brain = ScriptedBrain(call("begin"), call("save_size", size="L"), Speak(text="L, right?"))
    async with scripted(tmp_path, {**FLOW, **BEGIN}, brain) as talk:
        outcome = await talk.say("order")
    assert texts(outcome) == ["L, right?"]
    last = brain.seen[-1]
    assert brain.places == [None, ("order", "Collect"), ("order", "Confirm")]
    assert last.render(last.position.step.prompt.value) == "Confirm L, then call finish."  # type: ignore[union-attr]
    assert last.state["size"] == "L"
    assert [result.content for result in last.results] == ["Started.", "Saved."]


async def test_C51_goto_flow_with_an_utterance_counts_from_the_next_message(tmp_path: Path) -> None:
    body = 'conv.goto_flow("order")\nreturn {"utterance": "One moment.", "content": "Remember this."}'
    brain = ScriptedBrain(call("begin"))
    async with scripted(tmp_path, {**FLOW, "functions/begin.py": function_file("begin", body)}, brain) as talk:
        first = await talk.say("order")
        brain.follow(Speak(text="Which size?"))
        second = await talk.say("fine")
    assert (texts(first), texts(second)) == (["One moment."], ["Which size?"])
    assert brain.places == [None, ("order", "Collect")]
    assert brain.seen[1].pending_content == "Remember this."


@pytest.mark.parametrize("step", ["Nowhere", "confirm"])
async def test_C52_an_unknown_step_leaves_the_position_and_is_reported(tmp_path: Path, step: str) -> None:
    brain = ScriptedBrain(call("begin"), call("move"))
    async with scripted(tmp_path, moving(f'flow.goto_step("{step}")'), brain) as talk:
        outcome = await talk.say("order")
    assert brain.places[-1] == ("order", "Collect")
    found = outcome.findings[0]
    assert (found.rule, found.file, found.line) == ("unknown-step", "flows/order/functions/move.py", 5)
    assert not outcome.failed


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('flow.goto_step("Collect")\nflow.goto_step("Confirm")', ("order", "Confirm")),
        ('conv.exit_flow()\nflow.goto_step("Confirm")', ("order", "Confirm")),
        ('conv.goto_flow("Other Flow")\nconv.exit_flow()', ("Other Flow", "Start")),
        ('return {"transition": {"exit_flow": True, "goto_flow": "Other Flow"}}', ("Other Flow", "Start")),
        ('conv.goto_flow("order")\nconv.goto_flow("Other Flow")', ("Other Flow", "Start")),
        ("conv.exit_flow()", None),
        ("flow.exit_flow()", None),
        ('return {"transition": {"exit_flow": True}}', None),
    ],
)
async def test_C53_the_last_move_wins_and_entering_wins_over_leaving(
    tmp_path: Path, body: str, place: tuple[str, str] | None
) -> None:
    brain = ScriptedBrain(call("begin"), call("move"))
    async with scripted(tmp_path, moving(body), brain) as talk:
        outcome = await talk.say("order")
    assert brain.places[-1] == place
    assert outcome.findings == ()


@pytest.mark.parametrize(
    ("transition", "place"),
    [
        ('{"goto_flow": "order", "goto_step": "Confirm"}', ("order", "Confirm")),
        ('{"goto_flow": "Other Flow", "goto_step": "Second"}', ("Other Flow", "Second")),
        ('{"goto_flow": "Other Flow"}', ("Other Flow", "Start")),
        ('{"goto_step": "Confirm"}', ("order", "Confirm")),
    ],
)
async def test_C54_transitions_as_dicts(tmp_path: Path, transition: str, place: tuple[str, str]) -> None:
    brain = ScriptedBrain(call("begin"), call("move"))
    async with scripted(tmp_path, moving(f'return {{"transition": {transition}}}'), brain) as talk:
        await talk.say("order")
    assert brain.places[-1] == place


async def test_C54_a_global_function_may_enter_a_flow_at_a_step(tmp_path: Path) -> None:
    body = 'return {"transition": {"goto_flow": "order", "goto_step": "Confirm"}, "utterance": "Ok."}'
    brain = ScriptedBrain(call("begin"))
    async with scripted(tmp_path, {**FLOW, "functions/begin.py": function_file("begin", body)}, brain) as talk:
        assert texts(await talk.say("order")) == ["Ok."]
        await talk.say("yes")
    assert brain.places[-1] == ("order", "Confirm")


async def test_C55_exit_flow_outside_a_flow_is_a_reported_no_op(tmp_path: Path) -> None:
    brain = ScriptedBrain(call("leave"), Speak(text="Anything else?"))
    files = {"functions/leave.py": function_file("leave", "conv.exit_flow()")}
    async with scripted(tmp_path, files, brain) as talk:
        outcome = await talk.say("stop")
    assert texts(outcome) == ["Anything else?"]
    assert rules(outcome) == ["exit-outside-flow"]


async def test_unknown_flows_and_steps_outside_flows_are_reported(tmp_path: Path) -> None:
    brain = ScriptedBrain(call("a"), call("b"), call("c"))
    files = {
        **FLOW,
        "functions/a.py": function_file("a", 'conv.goto_flow("Order")'),
        "functions/b.py": function_file("b", 'return {"transition": {"goto_step": "Confirm"}}'),
        "functions/c.py": function_file("c", 'return {"transition": {"goto_flow": "order", "goto_step": "X"}}'),
    }
    async with scripted(tmp_path, files, brain) as talk:
        outcome = await talk.say("go")
    assert rules(outcome) == ["unknown-flow", "step-outside-flow", "unknown-step"]
    assert brain.places == [None, None, None, ("order", "Collect")]


CHAIN = {
    "flows/identify/flow_config.yaml": flow_file("identify", "entry"),
    "flows/identify/function_steps/entry.py": flow_function(
        "entry",
        'if conv.caller_number:\n    flow.goto_step("lookup")\n'
        'else:\n    flow.goto_step("Collect Phone Number")\nreturn "No number is known."',
        step=True,
    ),
    "flows/identify/function_steps/lookup.py": flow_function(
        "lookup",
        'conv.state.seen = conv.current_step\nflow.goto_step("Greet")\nreturn "Found Ada."',
        step=True,
    ),
    "flows/identify/steps/collect_phone_number.yaml": step_file("Collect Phone Number", "Ask for the number."),
    "flows/identify/steps/greet.yaml": step_file("Greet", "Greet by name."),
    "functions/identify.py": function_file("identify", 'conv.goto_flow("identify")\nreturn "Identifying."'),
}


async def test_C56_function_steps_run_in_one_turn_without_asking_the_brain(tmp_path: Path) -> None:
    brain = ScriptedBrain(call("identify"), Speak(text="Your number?"))
    async with scripted(tmp_path, CHAIN, brain) as talk:
        outcome = await talk.say("it's me")
    assert brain.places == [None, ("identify", "Collect Phone Number")]
    assert [r.content for r in brain.seen[1].results] == ["Identifying.\n\nNo number is known."]
    assert [call.name for call in outcome.calls] == ["identify", "entry"]


async def test_C56_function_steps_lead_to_function_steps(tmp_path: Path) -> None:
    brain = ScriptedBrain(call("identify"), Speak(text="Hi Ada."))
    async with scripted(tmp_path, CHAIN, brain, caller_number="+441632960000") as talk:
        outcome = await talk.say("it's me")
    assert brain.places == [None, ("identify", "Greet")]
    assert brain.seen[1].results[0].content == "Identifying.\n\nNo number is known.\n\nFound Ada."
    assert brain.seen[1].state["seen"] == "lookup"
    assert [entry.kind for entry in outcome.trace if entry.kind in ("tool", "moved")] == [
        *("tool", "moved", "tool", "moved", "tool", "moved")
    ]


async def test_a_flow_entered_with_an_utterance_runs_its_function_step_with_the_next_message(tmp_path: Path) -> None:
    brain = ScriptedBrain(call("identify"))
    body = 'conv.goto_flow("identify")\nreturn {"utterance": "Ready?"}'
    files = {**CHAIN, "functions/identify.py": function_file("identify", body)}
    async with scripted(tmp_path, files, brain) as talk:
        assert [c.name for c in (await talk.say("it's me")).calls] == ["identify"]
        brain.follow(Speak(text="Your number?"))
        outcome = await talk.say("yes")
    assert (texts(outcome), [c.name for c in outcome.calls]) == (["Your number?"], ["entry"])
    assert brain.seen[-1].pending_content == "No number is known."


async def test_C57_a_function_step_that_does_not_move_runs_once_a_turn(tmp_path: Path) -> None:
    brain = ScriptedBrain(call("identify"), call("identify_not"), Speak(text="Hm."))
    stuck = flow_function("entry", "conv.state.runs = (conv.state.runs or 0) + 1", step=True)
    files = {**CHAIN, "flows/identify/function_steps/entry.py": stuck}
    async with scripted(tmp_path, files, brain) as talk:
        first = await talk.say("it's me")
        second = await talk.say("hello?")
    assert [[c.name for c in outcome.calls] for outcome in (first, second)] == [["identify", "entry"], ["entry"]]
    assert brain.places == [None, *[("identify", "entry")] * 3]
    assert brain.seen[-1].state["runs"] == "2"


async def test_C57_function_steps_in_a_circle_end_with_the_apology(tmp_path: Path) -> None:
    circle = {
        f"flows/identify/function_steps/{name}.py": flow_function(name, f'flow.goto_step("{other}")', step=True)
        for name, other in (("entry", "lookup"), ("lookup", "entry"))
    }
    brain = ScriptedBrain(call("identify"))
    async with scripted(tmp_path, {**CHAIN, **circle}, brain) as talk:
        outcome = await talk.say("it's me")
    assert outcome.failed
    assert rules(outcome) == ["step-loop"]
    assert len(brain.seen) == 1


async def test_C57_a_function_step_that_fails_tells_why(tmp_path: Path) -> None:
    broken = flow_function("entry", "return 1 / 0", step=True)
    brain = ScriptedBrain(call("identify"), GiveUp())
    files = {**CHAIN, "flows/identify/function_steps/entry.py": broken}
    async with scripted(tmp_path, files, brain) as talk:
        outcome = await talk.say("it's me")
    assert outcome.failed
    assert (outcome.findings[0].rule, outcome.findings[0].line) == ("function-error", 5)
    assert "ZeroDivisionError" in brain.seen[1].results[0].error
    assert brain.places == [None, None]


async def test_C57_a_function_step_that_always_fails_does_not_hold_the_customer(tmp_path: Path) -> None:
    body = 'conv.goto_flow("identify")\nreturn {"utterance": "Ready?"}'
    files = {
        **CHAIN,
        "functions/identify.py": function_file("identify", body),
        "flows/identify/function_steps/entry.py": flow_function("entry", "return 1 / 0", step=True),
    }
    brain = ScriptedBrain(call("identify"))
    async with scripted(tmp_path, files, brain) as talk:
        await talk.say("it's me")
        assert (await talk.say("yes")).failed
        brain.follow(Speak(text="Here I am."))
        assert texts(await talk.say("hello?")) == ["Here I am."]
    assert brain.places == [None, None]


async def test_a_function_step_may_answer_end_or_hand_off(tmp_path: Path) -> None:
    for body, check in (
        ('return {"utterance": "All done.", "content": "Later."}', "answered"),
        ('return {"utterance": "Bye.", "hangup": True}', "ended"),
        ('conv.call_handoff("SUPPORT", "stuck", "One moment.")', "handed"),
    ):
        brain = ScriptedBrain(call("identify"))
        files = {**CHAIN, "flows/identify/function_steps/entry.py": flow_function("entry", body, step=True)}
        async with scripted(tmp_path / check, files, brain) as talk:
            outcome = await talk.say("it's me")
            assert len(brain.seen) == 1
            assert texts(outcome) in (["All done."], ["Bye."], ["One moment."])
            assert (outcome.end, outcome.handoff is not None) == (check == "ended", check == "handed")
            if check == "answered":
                await talk.say("more")


async def test_C58_a_transition_function_sees_where_it_was_before(tmp_path: Path) -> None:
    body = (
        'flow.goto_step("Confirm")\n'
        "conv.state.place = [conv.current_flow, conv.current_step, flow.current_step]\nreturn 'Moved.'"
    )
    brain = ScriptedBrain(call("begin"), call("move"))
    async with scripted(tmp_path, moving(body), brain) as talk:
        await talk.say("order")
    assert brain.seen[-1].state["place"] == "['order', 'Collect', 'Collect']"
    assert brain.places[-1] == ("order", "Confirm")


async def test_C61_a_transition_function_of_another_flow_cannot_be_called(tmp_path: Path) -> None:
    brain = ScriptedBrain(call("hidden"), call("begin"), call("hidden"))
    async with scripted(tmp_path, {**FLOW, **BEGIN}, brain) as talk:
        outcome = await talk.say("order")
    assert [(r.name, bool(r.error)) for r in brain.seen[-1].results] == [
        ("hidden", True),
        ("begin", False),
        ("hidden", True),
    ]
    assert [call.name for call in outcome.calls] == ["begin"]


async def test_C14_functions_of_one_name_live_side_by_side(tmp_path: Path) -> None:
    files = {
        **FLOW,
        **BEGIN,
        "functions/move.py": function_file("move", 'return "global"'),
        "flows/order/functions/move.py": flow_function("move", 'return "transition"'),
        "flows/order/function_steps/move.py": flow_function("move", 'return "step"', step=True),
    }
    brain = ScriptedBrain(call("move"), call("begin"), call("move"), call("global_move"))
    async with scripted(tmp_path, files, brain) as talk:
        await talk.say("order")
        last = brain.seen[-1]
        assert [r.content for r in last.results] == ["global", "Started.", "transition", "global"]
        offered = tools.visible(last.project, last.position, ("{{fn:move}} {{ft:move}}",))
        assert [(tool.name, tool.function.kind) for tool in offered if tool.function] == [
            ("global_move", FunctionKind.GLOBAL),
            ("move", FunctionKind.TRANSITION),
        ]


async def test_C49_more_moves_than_a_turn_may_make_end_with_the_apology(tmp_path: Path) -> None:
    brain = ScriptedBrain(*[call("again")] * 30)
    files = {"functions/again.py": function_file("again", 'return "And again."')}
    async with scripted(tmp_path, files, brain) as talk:
        outcome = await talk.say("go")
    assert outcome.failed
    assert rules(outcome) == ["function-loop"]
    assert len(outcome.calls) == 10


async def test_a_place_that_a_new_version_no_longer_has_is_left_with_a_finding(tmp_path: Path) -> None:
    brain = ScriptedBrain(call("begin"))
    async with scripted(tmp_path, {**FLOW, **BEGIN}, brain) as talk:
        await talk.say("order")
    without = {k: v for k, v in FLOW.items() if k != "flows/order/steps/collect.yaml"}
    brain.follow()
    (tmp_path / "flows/order/steps/collect.yaml").unlink()
    async with scripted(tmp_path, {**without, **BEGIN}, brain) as later:
        later.memory = talk.memory
        outcome = await later.say("L please")
    assert brain.places[-1] is None
    assert "position-lost" in rules(outcome)


async def test_C33_the_end_function_sees_the_last_position(tmp_path: Path) -> None:
    end = function_file("end_function", 'conv.write_metric("LAST", [conv.current_flow, conv.current_step])')
    brain = ScriptedBrain(call("begin"), call("save_size", size="S"))
    async with scripted(tmp_path, {**FLOW, **BEGIN, "functions/end_function.py": end}, brain) as talk:
        await talk.say("order")
        outcome = await talk.end()
    assert outcome.metrics == (("LAST", ["order", "Confirm"]),)


async def test_C19_the_state_goes_through_flows_to_the_end_function(tmp_path: Path) -> None:
    seen = 'conv.state.seen = f"{conv.state.size} {conv.state.begun}"\nreturn "Seen."'
    end = function_file(
        "end_function", 'conv.write_metric("STATE", [conv.state.begun, conv.state.size, conv.state.seen])'
    )
    files = {
        **FLOW,
        "functions/begin.py": function_file("begin", 'conv.state.begun = 1\nconv.goto_flow("order")'),
        "flows/order/functions/finish.py": flow_function("finish", 'conv.goto_flow("Other Flow")'),
        "flows/other/functions/look.py": flow_function("look", seen),
        "flows/other/steps/start.yaml": step_file("Start", "Call {{ft:look}}."),
        "functions/end_function.py": end,
    }
    brain = ScriptedBrain(call("begin"), call("save_size", size="S"))
    async with scripted(tmp_path, files, brain) as talk:
        await talk.say("order")
        brain.follow(call("finish"), call("look"))
        await talk.say("yes")
        outcome = await talk.end()
    assert outcome.metrics == (("STATE", [1, "S", "S 1"]),)


SILENT = 'conv.goto_flow("order")\nreturn {"utterance": "", "listen": {"asr": {"timeout": 0.1}}}'


async def test_C30_a_silent_start_runs_one_turn_and_then_greets_as_configured(tmp_path: Path) -> None:
    brain = ScriptedBrain(call("save_size", size="M"), call("finish"), Speak(text="(not said)"))
    voice = {"voice/configuration.yaml": "greeting:\n  welcome_message: '[Ring] Welcome to the shop.'\n"}
    async with scripted(tmp_path, {**FLOW, **voice, **start_function(SILENT)}, brain) as talk:
        outcome = await talk.start()
    assert texts(outcome) == ["Welcome to the shop."]
    assert [s.silent for s in brain.seen] == [True, True, True]
    assert brain.places == [("order", "Collect"), ("order", "Confirm"), None]
    assert brain.seen[-1].state["size"] == "M"


async def test_C31_an_utterance_of_the_silent_turn_is_the_greeting(tmp_path: Path) -> None:
    files = {**FLOW, **CHAT, **start_function(SILENT)}
    files["flows/order/functions/finish.py"] = flow_function("finish", 'return {"utterance": "We are closed."}')
    brain = ScriptedBrain(call("finish"))
    async with scripted(tmp_path, files, brain) as talk:
        outcome = await talk.start()
        await talk.say("hello?")
    assert texts(outcome) == ["We are closed."]
    assert brain.places == [("order", "Collect"), ("order", "Collect")]


async def test_C28_a_placeholder_is_never_shown_as_a_greeting(tmp_path: Path) -> None:
    files = {
        **FLOW,
        **start_function(SILENT),
        "voice/configuration.yaml": "greeting:\n  welcome_message: '[GREETING SET IN CODE]'\n",
    }
    async with scripted(tmp_path, files, ScriptedBrain(Speak(text="Good morning."))) as talk:
        assert texts(await talk.start()) == ["Good morning."]


async def test_C32_a_silent_turn_that_fails_still_greets(tmp_path: Path) -> None:
    async with scripted(tmp_path, {**FLOW, **CHAT, **start_function(SILENT)}, ScriptedBrain(GiveUp())) as talk:
        outcome = await talk.start()
    assert (texts(outcome), outcome.failed) == (["Welcome!"], False)


async def test_a_start_function_that_only_enters_a_flow_greets_and_waits(tmp_path: Path) -> None:
    brain = ScriptedBrain(Speak(text="Which size?"))
    async with scripted(tmp_path, {**FLOW, **CHAT, **start_function('conv.goto_flow("order")')}, brain) as talk:
        assert texts(await talk.start()) == ["Welcome!"]
        assert texts(await talk.say("hi")) == ["Which size?"]
    assert brain.places == [("order", "Collect")]
