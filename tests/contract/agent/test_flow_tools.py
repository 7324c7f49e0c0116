"""What may be called at a moment of a conversation, and what its texts and metrics hold (agent-project.md §3, §8.2)."""

from pathlib import Path

from support.agent_projects import function_file, start_function, texts
from support.flow_projects import ScriptedBrain, scripted
from warmline.agent.turn import tools
from warmline.agent.turn.brain import CallFunction, CallHandoff, SendTemplate, Situation, Speak


async def test_a_template_is_sent_to_the_customers_own_number(tmp_path: Path) -> None:
    templates = """
        sms_templates:
          - name: directions
            text: "See ${variant_site}, $who"
            env_phone_numbers: {sandbox: "", live: "+441632960999"}
    """
    files = {
        "config/sms_templates.yaml": templates,
        "config/variant_attributes.yaml": "variants: [{name: a, is_default: true}]\n"
        "attributes: [{name: site, values: {a: Mill Lane}}]\n",
        **start_function('conv.state.who = "Ada"'),
    }
    brain = ScriptedBrain(SendTemplate(template="directions"), SendTemplate(template="nothing"))
    async with scripted(tmp_path, files, brain, caller_number="+441632960000") as talk:
        await talk.start()
        outcome = await talk.say("send it")
    assert [(s.to, s.text, s.from_number, s.template) for s in outcome.sms] == [
        ("+441632960000", "See Mill Lane, Ada", "+441632960999", "directions")
    ]
    assert brain.seen[-1].results[-1].error == "There is no text message `nothing`."


async def test_C23_a_handoff_tool_names_its_destinations(tmp_path: Path) -> None:
    files = {
        "config/handoffs.yaml": "handoffs: [{name: BILLING, description: Bills, is_default: true}, {name: SALES}]\n"
    }
    brain = ScriptedBrain(CallHandoff(destination="BILLING", reason="bill", utterance="N/A"))
    async with scripted(tmp_path, files, brain) as talk:
        outcome = await talk.say("a person")
    situation: Situation = brain.seen[0]
    (tool,) = tools.visible(situation.project, None, ("{{ho:BILLING}} or {{ho:SALES}}", "{{ho:BILLING}}"))
    parameters = tool.schema["parameters"]
    assert (tool.name, parameters["required"]) == (  # type: ignore[index]
        "builtin_handoff",
        ["handoff_destination", "reason", "utterance"],
    )
    assert parameters["properties"]["handoff_destination"]["enum"] == ["BILLING", "SALES"]  # type: ignore[index]
    assert outcome.says == ()
    assert outcome.handoff is not None


async def test_variants_have_attributes_of_kinds(tmp_path: Path) -> None:
    attributes = """
        variants: [{name: a, is_default: true}]
        attributes:
          - {name: seats, kind: number, values: {a: "12"}}
          - {name: rate, kind: number, values: {a: 1.5}}
          - {name: open, kind: boolean, values: {a: true}}
          - {name: desk, kind: object, values: {a: {floor: north}}}
          - {name: none, kind: number, values: {a: ""}}
          - {name: site, values: {a: "7"}}
    """
    body = 'conv.state.seen = [v for k, v in sorted(conv.variant.items())] + [conv.variant.none]\nreturn "x"'
    files = {"config/variant_attributes.yaml": attributes, "functions/look.py": function_file("look", body)}
    brain = ScriptedBrain(
        CallFunction(name="look"), lambda s: Speak(text=s.render("{{attr:seats}} {{attr:open}} {{attr:site}}"))
    )
    async with scripted(tmp_path, files, brain) as talk:
        outcome = await talk.say("look")
    assert brain.seen[-1].state["seen"] == "[{'floor': 'north'}, True, 1.5, 12, '7', None]"
    assert texts(outcome) == ["12 true 7"]


async def test_C24_functions_that_a_state_value_names_become_tools(tmp_path: Path) -> None:
    files = {
        "agent_settings/rules.txt": "{{vrbl:hours_rules}}\n",
        "functions/handoff.py": function_file("handoff", "return None"),
        "functions/hangup.py": function_file("hangup", "return None"),
        "functions/other.py": function_file("other", "return None"),
        **start_function('conv.state.hours_rules = "Call {{fn:handoff}}, else {{fn:hangup}}."'),
    }
    brain = ScriptedBrain()
    async with scripted(tmp_path, files, brain) as talk:
        await talk.start()
        await talk.say("hello")
    situation = brain.seen[-1]
    rules = situation.fill_in(situation.project.rules.value)
    assert [tool.name for tool in tools.visible(situation.project, None, (rules,))] == ["handoff", "hangup"]
    assert situation.render(situation.project.rules.value) == "Call handoff, else hangup."


async def test_C63_a_match_that_is_not_confident_is_no_metric(tmp_path: Path) -> None:
    config = '{"ragdoll": {"qa_metric_threshold": 0.2, "qa_metric_exclusions": ["greeting"]}}'
    files = {
        "agent_settings/experimental_config.json": config,
        "functions/end_function.py": function_file(
            "end_function", 'conv.write_metric("SEEN", [e.value for e in conv.metric_events if e.name == "QA"])'
        ),
    }
    brain = ScriptedBrain()
    async with scripted(tmp_path, files, brain) as talk:
        for topic, distance in (("sure", 0.1), ("unsure", 0.3), ("greeting", 0.0)):
            brain.follow(Speak(text="Yes.", topic=topic, distance=distance))
            assert (await talk.say("well?")).topic == topic
        outcome = await talk.end()
    assert outcome.metrics == (("SEEN", ["sure"]),)
