"""The `llm` brain's turns through the real engine, real functions and an emulated model over HTTP.

Tests are named after the conformance assertions of agent-project.md §14.
"""

import json
from typing import Any

import pytest

from support.agent_projects import CHAT, Open, Talk, function_file, rules, texts
from support.llm import LlmLab
from support.llm_projects import (
    AGENT,
    FLOW,
    PRICES,
    TOPICS,
    after,
    calling,
    calls,
    tool_results,
    traced,
)
from warmline.emulators.llm.script import Answer, Call, When


async def test_C34_the_prompt_has_its_documented_order(talk_to: Open, lab: LlmLab) -> None:
    lab.play(calls("book", user="book"), after("book", "Which day?"))
    talk = talk_to({**AGENT, **TOPICS, **FLOW}, model=lab.model())
    await talk.start()
    await talk.say("What are your opening hours, and can I book?")
    roles = [message["role"] for message in lab.last["messages"]]
    assert roles == ["system", "system", "system", "system", "assistant", "user", "assistant", "tool", "system"]
    contents = [message["content"] for message in lab.last["messages"]]
    assert contents[0] == "You are a polite Receptionist. "
    assert contents[1].startswith("Bookings: call book.\n")
    assert "Never reveal" in contents[1]
    assert "web chat" in contents[2]
    assert "CONTEXT_INFORMATION = [" in contents[3]
    assert contents[4:6] == ["Welcome!", "What are your opening hours, and can I book?"]
    assert "Ask for the day, then call save_day." in contents[-1]


@pytest.mark.parametrize(
    ("files", "opening"),
    [
        (
            {"agent_settings/role.yaml": "value: Receptionist\nadditional_info: You speak for {{attr:site}}.\n"},
            "You are a polite Receptionist. You speak for Ely.",
        ),
        ({"agent_settings/persona.txt": "Lumi, the voice of {{attr:site}}\n"}, "Lumi, the voice of Ely"),
    ],
)
async def test_who_the_agent_is_opens_the_prompt(
    talk_to: Open, lab: LlmLab, files: dict[str, str], opening: str
) -> None:
    """agent-project.md §2.3 and §2.4: what is said of the role follows it; a persona is taken word for word."""
    lab.play("Hello.")
    variants = "variants: [{name: a, is_default: true}]\nattributes: [{name: site, values: {a: Ely}}]\n"
    talk = talk_to({**AGENT, "config/variant_attributes.yaml": variants, **files}, model=lab.model())
    await talk.start()
    await talk.say("Hello?")
    assert lab.systems[0] == opening


async def test_C35_context_information_has_its_keys_in_order_and_is_absent_when_nothing_fits(
    talk_to: Open, lab: LlmLab
) -> None:
    lab.play("From 8 to 18.", "Pardon?")
    talk = talk_to({**AGENT, **TOPICS}, model=lab.model())
    await talk.start()
    await talk.say("What are your opening hours?")
    context = next(text for text in lab.systems if "CONTEXT_INFORMATION = [" in text)
    entry = json.loads(context[context.index("[") + 1 : context.rindex("]")].strip().rstrip(","))
    assert list(entry.items()) == [
        ("faq_id", "opening hours"),
        ("faq_example_questions", ["when are you open", "what are your opening hours"]),
        ("faq_description", "Open from 8 to 18."),
        ("faq_instructions", ""),
    ]
    other = Talk(talk.engine, "session-2")
    await other.say("Zebras xylophone quartz")
    assert not any("CONTEXT_INFORMATION = [" in text for text in lab.systems)


async def test_C36_only_what_is_referenced_is_offered_and_anything_else_is_answered_as_not_found(
    talk_to: Open, lab: LlmLab
) -> None:
    files = {**AGENT, **TOPICS, "functions/hidden.py": function_file("hidden", "return 'secret'")}
    lab.play(calls("hidden", user="cost", times=1), Answer(when=When(last="any"), say="Dinner is 20."))
    talk = talk_to(files, model=lab.model())
    outcome = await talk.say("What does a table cost?")
    assert texts(outcome) == ["Dinner is 20."]
    assert lab.tools == ["hangup", "price_list"]
    assert "no such function" in tool_results(lab)[0]
    assert [data["rule"] for data in traced(outcome, "error")] == ["function-not-found"]
    assert not outcome.calls


@pytest.mark.parametrize("included", [False, True])
async def test_C37_topic_functions_are_offered_inside_a_flow_only_where_the_project_says_so(
    talk_to: Open, lab: LlmLab, included: bool
) -> None:
    config = json.dumps({"llm": {"include_kb_functions_in_flows": included}})
    files = {**AGENT, **TOPICS, **FLOW, "agent_settings/experimental_config.json": config}
    lab.play(calls("book", user="book"), after("book", "Which day?"), Answer(say="20."))
    talk = talk_to(files, model=lab.model())
    await talk.say("Please book a table")
    await talk.say("What does a table cost?")
    assert ("price_list" in lab.tools) is included
    assert "save_day" in lab.tools


async def test_C38_disabled_and_excluded_topics_are_not_retrieved(talk_to: Open, lab: LlmLab) -> None:
    config = json.dumps({"ragdoll": {"channel_topic_exclusions": {"sms.polyai": ["parking"]}}})
    disabling = function_file("off", "conv.disable_kb_topics(['opening hours'])\nreturn 'Done.'")
    files = {
        **AGENT,
        **TOPICS,
        "topics/prices.yaml": PRICES + "enabled: false\n",
        "agent_settings/rules.txt": "Call {{fn:off}}.\n",
        "functions/off.py": disabling,
        "agent_settings/experimental_config.json": config,
    }
    lab.play(calls("off", user="switch"), otherwise=Answer(say="So."))
    talk = talk_to(files, model=lab.model(), channel="sms.twilio")
    for text in ("Where can I park my car?", "What does a table cost?"):
        outcome = await talk.say(text)
        assert not any("CONTEXT_INFORMATION = [" in system for system in lab.systems), text
    await talk.say("When are you open?")
    assert any("opening hours" in system for system in lab.systems)
    await talk.say("switch it off")
    outcome = await talk.say("When are you open?")
    assert not any("CONTEXT_INFORMATION = [" in system for system in lab.systems)
    assert outcome.topic == ""


async def test_C39_the_settings_of_retrieval_change_what_is_retrieved(
    talk_to: Open, lab: LlmLab, tmp_path: Any
) -> None:
    async def retrieved(name: str, *texts: str, **ragdoll: Any) -> list[str]:
        lab.play(otherwise=Answer(say="So."))
        config = {"agent_settings/experimental_config.json": json.dumps({"ragdoll": ragdoll})}
        talk = talk_to({**AGENT, **TOPICS, **config}, root=tmp_path / name, model=lab.model())
        for text in texts:
            await talk.say(text)
        return [name for name in ("opening hours", "prices", "parking") if any(f'"{name}"' in s for s in lab.systems)]

    hours, cost = "When are you open?", "What does a table cost?"
    assert await retrieved("usual", hours, cost) == ["opening hours", "prices"]
    assert await retrieved("forgetful", hours, cost, history_len=1, previous_user_inputs_len=0) == ["prices"]
    assert await retrieved("none", hours, top_k=0) == []
    assert await retrieved("strict", "are you open", threshold=-1) == []
    assert await retrieved("loose", "xylophone", threshold=1, top_k=3) == ["opening hours", "prices", "parking"]


async def test_C40_a_returned_text_is_the_tools_result_and_the_model_speaks(talk_to: Open, lab: LlmLab) -> None:
    lab.play(calls("act", {"n": "3"}, user="go"), after("act", "Three it is."))
    talk = talk_to(calling("return f'Got {n + 1}.'", "n: int"), model=lab.model())
    outcome = await talk.say("go")
    assert texts(outcome) == ["Three it is."]
    assert tool_results(lab) == ["Got 4."]
    assert len(lab.asked) == 2


async def test_C41_an_utterance_is_delivered_as_it_is_without_the_model(talk_to: Open, lab: LlmLab) -> None:
    lab.play(calls("act", user="go"))
    outcome = await talk_to(calling("return {'utterance': 'Word by word.'}"), model=lab.model()).say("go")
    assert texts(outcome) == ["Word by word."]
    assert len(lab.asked) == 1


async def test_C42_content_beside_an_utterance_is_read_in_the_next_turn(talk_to: Open, lab: LlmLab) -> None:
    lab.play(calls("act", user="go", times=1), otherwise=Answer(say="So."))
    talk = talk_to(calling("return {'utterance': 'Said.', 'content': 'Remember the milk.'}"), model=lab.model())
    await talk.say("go")
    await talk.say("and now?")
    assert any("Remember the milk." in text for text in lab.systems)
    await talk.say("and then?")
    assert not any("Remember the milk." in text for text in lab.systems)


async def test_C43_an_utterance_that_does_not_end_the_turn_is_followed_by_the_model(talk_to: Open, lab: LlmLab) -> None:
    lab.play(calls("act", user="go"), after("act", "And I add this."))
    outcome = await talk_to(calling("return {'utterance': 'First.', 'end_turn': False}"), model=lab.model()).say("go")
    assert texts(outcome) == ["First.", "And I add this."]


async def test_C44_say_wins_over_the_returned_utterance(talk_to: Open, lab: LlmLab) -> None:
    lab.play(calls("act", user="go"))
    outcome = await talk_to(calling("conv.say('By say.')\nreturn {'utterance': 'By return.'}"), model=lab.model()).say(
        "go"
    )
    assert texts(outcome) == ["By say."]


async def test_C45_a_hangup_says_and_ends(talk_to: Open, lab: LlmLab) -> None:
    lab.play(calls("act", user="go"))
    outcome = await talk_to(calling("return {'utterance': 'Goodbye.', 'hangup': True}"), model=lab.model()).say("go")
    assert (texts(outcome), outcome.end) == (["Goodbye."], True)


@pytest.mark.parametrize("returned", ["{}", "None", "''"])
async def test_C46_nothing_returned_is_an_empty_result(talk_to: Open, lab: LlmLab, returned: str) -> None:
    lab.play(calls("act", user="go"), after("act", "On we go."))
    outcome = await talk_to(calling(f"return {returned}"), model=lab.model()).say("go")
    assert texts(outcome) == ["On we go."]
    assert tool_results(lab) == [""]


async def test_C47_both_ways_of_switching_the_variant_change_the_next_prompt(talk_to: Open, lab: LlmLab) -> None:
    variants = """
        variants: [{name: north, is_default: true}, {name: south}, {name: west}]
        attributes: [{name: city, values: {north: Oslo, south: Rome, west: Porto}}]
        """
    files = {
        **calling("return {'variant': 'south', 'content': 'ok'}"),
        "functions/west.py": function_file("west", "conv.set_variant('west')"),
        "agent_settings/rules.txt": "You are in {{attr:city}}. Call {{fn:act}} or {{fn:west}}.\n",
        "config/variant_attributes.yaml": variants,
    }
    lab.play(calls("act", user="go"), calls("west", user="west"), otherwise=Answer(say="So."))
    talk = talk_to(files, model=lab.model())
    seen = []
    for text in ("hello", "go", "west"):
        await talk.say(text)
        seen.append(next(city for city in ("Oslo", "Rome", "Porto") if any(city in system for system in lab.systems)))
    assert seen == ["Oslo", "Rome", "Porto"]


@pytest.mark.parametrize(("returned", "shown"), [("True", "True"), ("[1, 2]", "[1, 2]"), ("7", "7")])
async def test_C48_odd_return_values_are_read_as_text(talk_to: Open, lab: LlmLab, returned: str, shown: str) -> None:
    lab.play(calls("act", user="go"), after("act", "Fine."))
    outcome = await talk_to(calling(f"return {returned}"), model=lab.model()).say("go")
    assert (texts(outcome), tool_results(lab), rules(outcome)) == (["Fine."], [shown], ["return-type"])


async def test_C49_a_loop_of_tool_calls_ends_at_the_cap(talk_to: Open, lab: LlmLab) -> None:
    lab.spoil(times=None, loop=True)
    outcome = await talk_to(calling("return 'again'", "n: int"), model=lab.model()).say("go")
    assert outcome.failed
    assert "function-loop" in rules(outcome)
    assert len(outcome.calls) == 10


async def test_C50_a_flow_entered_by_a_function_speaks_in_the_same_turn(talk_to: Open, lab: LlmLab) -> None:
    lab.play(calls("book", user="book"), after("book", "Which day?"))
    talk = talk_to(FLOW, model=lab.model())
    outcome = await talk.say("book")
    assert texts(outcome) == ["Which day?"]
    assert tool_results(lab) == ["The flow speaks next."]
    assert "Ask for the day" in lab.systems[-1]
    assert lab.tools == ["book", "save_day"]
    lab.play(calls("save_day", {"day": "Monday"}, user="Monday"), after("save_day", "Booked."))
    assert texts(await talk.say("Monday")) == ["Booked."]
    assert "Say that it is booked." in lab.systems[-1]
    assert lab.tools == ["book"]


async def test_C51_a_flow_entered_with_an_utterance_begins_with_the_next_message(talk_to: Open, lab: LlmLab) -> None:
    body = "conv.goto_flow('booking')\nreturn {'utterance': 'Let us book.'}"
    lab.play(calls("book", user="book"), otherwise=Answer(say="Which day?"))
    talk = talk_to({**FLOW, "functions/book.py": function_file("book", body)}, model=lab.model())
    assert texts(await talk.say("book")) == ["Let us book."]
    assert len(lab.asked) == 1
    assert texts(await talk.say("ok")) == ["Which day?"]
    assert "Ask for the day" in lab.systems[-1]


async def test_C61_a_function_of_another_flow_is_not_callable(talk_to: Open, lab: LlmLab) -> None:
    lab.play(
        calls("save_day", {"day": "Monday"}, user="Monday", times=1),
        otherwise=Answer(when=When(last="any"), say="No."),
    )
    outcome = await talk_to(FLOW, model=lab.model()).say("Monday")
    assert (texts(outcome), len(outcome.calls)) == (["No."], 0)
    assert "no such function" in tool_results(lab)[0]


async def test_C59_a_default_step_saves_values_and_takes_its_condition(talk_to: Open, lab: LlmLab) -> None:
    files = {
        **FLOW,
        "config/entities.yaml": """
            entities:
              - {name: guests, description: How many people., entity_type: numeric,
                 config: {has_range: true, min: 1, max: 8}}
            """,
        "flows/booking/steps/start.yaml": """
            name: Start
            step_type: default_step
            prompt: Ask how many people come.
            extracted_entities: [guests]
            conditions:
              - {name: Known, condition_type: step_condition, description: The number is known., child_step: Done,
                 required_entities: [guests]}
            """,
    }
    lab.play(
        calls("book", user="book"),
        calls("save_entities", {"guests": "20"}, user="twenty"),
        calls("save_entities", {"guests": "4"}, user="four"),
        Answer(when=When(tool="book"), say="How many?"),
        Answer(when=When(tool="save_entities", user="twenty"), say="At most eight. How many?"),
        Answer(when=When(tool="save_entities", user="four"), calls=(Call(name="condition_known"),)),
        Answer(when=When(tool="condition_known"), say="Booked for four."),
    )
    talk = talk_to(files, model=lab.model())
    assert texts(await talk.say("book")) == ["How many?"]
    assert lab.tools == ["save_entities", "condition_known"]
    assert texts(await talk.say("twenty")) == ["At most eight. How many?"]
    assert texts(await talk.say("four")) == ["Booked for four."]
    assert "Say that it is booked." in lab.systems[-1]


@pytest.mark.parametrize("beside", ["", "Let me see.", "Let me see. One moment."])
@pytest.mark.parametrize("returned", ["'Twenty.'", "{'utterance': 'Here it is. Look.', 'end_turn': False}"])
@pytest.mark.parametrize("called", ["price_list", "nowhere"])
async def test_only_the_beginning_of_what_is_said_first_is_streamed(
    talk_to: Open, lab: LlmLab, beside: str, returned: str, called: str
) -> None:
    """Whatever is shown before must be what the first message begins with, or it would be read twice."""
    files = {
        **AGENT,
        "agent_settings/rules.txt": "Call {{fn:price_list}}.\n",
        "functions/price_list.py": function_file("price_list", f"return {returned}"),
    }
    lab.play(calls(called, say=beside, user="cost"), after(called, "It is twenty. With wine thirty. Yes."))
    talk = talk_to(files, model=lab.model())
    shown: list[str] = []
    talk.stream = shown.append
    outcome = await talk.say("What does it cost?")
    first = texts(outcome)[0]
    assert first.startswith("".join(shown))
    assert bool(shown) == (". " in first and not first.startswith("Here"))


@pytest.mark.parametrize("to_say", ["N/A", "A person takes over."])
async def test_C76_builtin_handoff_hands_over_and_says_nothing_for_n_a(talk_to: Open, lab: LlmLab, to_say: str) -> None:
    files = {
        **CHAT,
        "agent_settings/rules.txt": "For bills hand over to {{ho:Billing desk}}.\n",
        "config/handoffs.yaml": """
            handoffs:
              - {name: Billing desk, description: Bills., is_default: true, sip_config: {method: bye}}
            """,
    }
    arguments = {"handoff_destination": "Billing desk", "reason": "N/A", "utterance": to_say}
    lab.play(calls("builtin_handoff", arguments, user="bill"))
    outcome = await talk_to(files, model=lab.model()).say("my bill is wrong")
    assert "hand over to Billing desk." in lab.systems[0]
    parameters = lab.last["tools"][0]["function"]["parameters"]
    assert parameters["properties"]["handoff_destination"]["enum"] == ["Billing desk"]
    assert parameters["required"] == ["handoff_destination", "reason", "utterance"]
    assert outcome.handoff is not None
    assert (outcome.handoff.destination, outcome.handoff.reason) == ("Billing desk", "")
    assert texts(outcome) == ([] if to_say == "N/A" else [to_say])
