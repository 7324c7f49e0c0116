"""The `llm` brain's turns through the real engine, real functions and an emulated model over HTTP.

Tests are named after the conformance assertions of agent-project.md §14.
"""

import json
from typing import Any

import pytest

from support.agent_projects import CHAT, Open, Talk, function_file, rules, start_function, texts, topic_file
from support.llm import LlmLab
from warmline.domain.turn import TurnOutcome
from warmline.emulators.llm.script import Answer, Call, When

AGENT = {
    "agent_settings/personality.yaml": "adjectives: {Polite: true}\n",
    "agent_settings/role.yaml": "value: Receptionist\n",
    "agent_settings/rules.txt": "Help with bookings. To end the chat call {{fn:hangup}}.\n",
    "functions/hangup.py": function_file("hangup", "return {'utterance': 'Goodbye.', 'hangup': True}"),
    **CHAT,
}
HOURS = topic_file("opening hours", "when are you open|what are your opening hours", content="Open from 8 to 18.")
PRICES = topic_file(
    "prices", "what does a table cost|how much is dinner", content="Tables are free.", actions="Call {{fn:price_list}}."
)
PARKING = topic_file("parking", "where can I park my car|is there a car park", content="Behind the house.")
TOPICS = {
    "topics/opening_hours.yaml": HOURS,
    "topics/prices.yaml": PRICES,
    "topics/parking.yaml": PARKING,
    "functions/price_list.py": function_file("price_list", "return 'Dinner is 20.'"),
}
FLOW = {
    "flows/booking/flow_config.yaml": "name: booking\ndescription: Books.\nstart_step: Start\n",
    "flows/booking/steps/start.yaml": """
        name: Start
        step_type: advanced_step
        prompt: Ask for the day, then call {{ft:save_day}}.
        """,
    "flows/booking/steps/done.yaml": """
        name: Done
        step_type: advanced_step
        prompt: Say that it is booked.
        """,
    "flows/booking/functions/save_day.py": function_file(
        "save_day", "conv.state.day = day\nflow.goto_step('Done')\nreturn 'Saved.'", "day: str"
    ).replace("conv: Conversation, ", "conv: Conversation, flow: Flow, "),
    "functions/book.py": function_file("book", "conv.goto_flow('booking')\nreturn 'The flow speaks next.'"),
    "agent_settings/rules.txt": "Bookings: call {{fn:book}}.\n",
    **CHAT,
}


def _calls(name: str, arguments: Any = None, *, say: str = "", user: str = "", times: int | None = None) -> Answer:
    return Answer(when=When(user=user), say=say, calls=(Call(name=name, arguments=arguments or {}),), times=times)


def _after(tool: str, say: str) -> Answer:
    return Answer(when=When(tool=tool), say=say)


def _calling(body: str, parameters: str = "") -> dict[str, str]:
    """Give a project whose rules let the model call `act`."""
    return {
        **CHAT,
        "agent_settings/rules.txt": "Call {{fn:act}}.\n",
        "functions/act.py": function_file("act", body, parameters),
    }


def _tool_results(lab: LlmLab) -> list[str]:
    return [message["content"] for message in lab.last["messages"] if message["role"] == "tool"]


def _traced(outcome: TurnOutcome, kind: str) -> list[Any]:
    return [entry.data for entry in outcome.trace if entry.kind == kind]


async def test_C34_the_prompt_has_its_documented_order(talk_to: Open, lab: LlmLab) -> None:
    lab.play(_calls("book", user="book"), _after("book", "Which day?"))
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
    lab.play(_calls("hidden", user="cost", times=1), Answer(when=When(last="any"), say="Dinner is 20."))
    talk = talk_to(files, model=lab.model())
    outcome = await talk.say("What does a table cost?")
    assert texts(outcome) == ["Dinner is 20."]
    assert lab.tools == ["hangup", "price_list"]
    assert "no such function" in _tool_results(lab)[0]
    assert [data["rule"] for data in _traced(outcome, "error")] == ["function-not-found"]
    assert not outcome.calls


@pytest.mark.parametrize("included", [False, True])
async def test_C37_topic_functions_are_offered_inside_a_flow_only_where_the_project_says_so(
    talk_to: Open, lab: LlmLab, included: bool
) -> None:
    config = json.dumps({"llm": {"include_kb_functions_in_flows": included}})
    files = {**AGENT, **TOPICS, **FLOW, "agent_settings/experimental_config.json": config}
    lab.play(_calls("book", user="book"), _after("book", "Which day?"), Answer(say="20."))
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
    lab.play(_calls("off", user="switch"), otherwise=Answer(say="So."))
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
    lab.play(_calls("act", {"n": "3"}, user="go"), _after("act", "Three it is."))
    talk = talk_to(_calling("return f'Got {n + 1}.'", "n: int"), model=lab.model())
    outcome = await talk.say("go")
    assert texts(outcome) == ["Three it is."]
    assert _tool_results(lab) == ["Got 4."]
    assert len(lab.asked) == 2


async def test_C41_an_utterance_is_delivered_as_it_is_without_the_model(talk_to: Open, lab: LlmLab) -> None:
    lab.play(_calls("act", user="go"))
    outcome = await talk_to(_calling("return {'utterance': 'Word by word.'}"), model=lab.model()).say("go")
    assert texts(outcome) == ["Word by word."]
    assert len(lab.asked) == 1


async def test_C42_content_beside_an_utterance_is_read_in_the_next_turn(talk_to: Open, lab: LlmLab) -> None:
    lab.play(_calls("act", user="go", times=1), otherwise=Answer(say="So."))
    talk = talk_to(_calling("return {'utterance': 'Said.', 'content': 'Remember the milk.'}"), model=lab.model())
    await talk.say("go")
    await talk.say("and now?")
    assert any("Remember the milk." in text for text in lab.systems)
    await talk.say("and then?")
    assert not any("Remember the milk." in text for text in lab.systems)


async def test_C43_an_utterance_that_does_not_end_the_turn_is_followed_by_the_model(talk_to: Open, lab: LlmLab) -> None:
    lab.play(_calls("act", user="go"), _after("act", "And I add this."))
    outcome = await talk_to(_calling("return {'utterance': 'First.', 'end_turn': False}"), model=lab.model()).say("go")
    assert texts(outcome) == ["First.", "And I add this."]


async def test_C44_say_wins_over_the_returned_utterance(talk_to: Open, lab: LlmLab) -> None:
    lab.play(_calls("act", user="go"))
    outcome = await talk_to(_calling("conv.say('By say.')\nreturn {'utterance': 'By return.'}"), model=lab.model()).say(
        "go"
    )
    assert texts(outcome) == ["By say."]


async def test_C45_a_hangup_says_and_ends(talk_to: Open, lab: LlmLab) -> None:
    lab.play(_calls("act", user="go"))
    outcome = await talk_to(_calling("return {'utterance': 'Goodbye.', 'hangup': True}"), model=lab.model()).say("go")
    assert (texts(outcome), outcome.end) == (["Goodbye."], True)


@pytest.mark.parametrize("returned", ["{}", "None", "''"])
async def test_C46_nothing_returned_is_an_empty_result(talk_to: Open, lab: LlmLab, returned: str) -> None:
    lab.play(_calls("act", user="go"), _after("act", "On we go."))
    outcome = await talk_to(_calling(f"return {returned}"), model=lab.model()).say("go")
    assert texts(outcome) == ["On we go."]
    assert _tool_results(lab) == [""]


async def test_C47_both_ways_of_switching_the_variant_change_the_next_prompt(talk_to: Open, lab: LlmLab) -> None:
    variants = """
        variants: [{name: north, is_default: true}, {name: south}, {name: west}]
        attributes: [{name: city, values: {north: Oslo, south: Rome, west: Porto}}]
        """
    files = {
        **_calling("return {'variant': 'south', 'content': 'ok'}"),
        "functions/west.py": function_file("west", "conv.set_variant('west')"),
        "agent_settings/rules.txt": "You are in {{attr:city}}. Call {{fn:act}} or {{fn:west}}.\n",
        "config/variant_attributes.yaml": variants,
    }
    lab.play(_calls("act", user="go"), _calls("west", user="west"), otherwise=Answer(say="So."))
    talk = talk_to(files, model=lab.model())
    seen = []
    for text in ("hello", "go", "west"):
        await talk.say(text)
        seen.append(next(city for city in ("Oslo", "Rome", "Porto") if any(city in system for system in lab.systems)))
    assert seen == ["Oslo", "Rome", "Porto"]


@pytest.mark.parametrize(("returned", "shown"), [("True", "True"), ("[1, 2]", "[1, 2]"), ("7", "7")])
async def test_C48_odd_return_values_are_read_as_text(talk_to: Open, lab: LlmLab, returned: str, shown: str) -> None:
    lab.play(_calls("act", user="go"), _after("act", "Fine."))
    outcome = await talk_to(_calling(f"return {returned}"), model=lab.model()).say("go")
    assert (texts(outcome), _tool_results(lab), rules(outcome)) == (["Fine."], [shown], ["return-type"])


async def test_C49_a_loop_of_tool_calls_ends_at_the_cap(talk_to: Open, lab: LlmLab) -> None:
    lab.spoil(times=None, loop=True)
    outcome = await talk_to(_calling("return 'again'", "n: int"), model=lab.model()).say("go")
    assert outcome.failed
    assert "function-loop" in rules(outcome)
    assert len(outcome.calls) == 10


async def test_C50_a_flow_entered_by_a_function_speaks_in_the_same_turn(talk_to: Open, lab: LlmLab) -> None:
    lab.play(_calls("book", user="book"), _after("book", "Which day?"))
    talk = talk_to(FLOW, model=lab.model())
    outcome = await talk.say("book")
    assert texts(outcome) == ["Which day?"]
    assert _tool_results(lab) == ["The flow speaks next."]
    assert "Ask for the day" in lab.systems[-1]
    assert lab.tools == ["book", "save_day"]
    lab.play(_calls("save_day", {"day": "Monday"}, user="Monday"), _after("save_day", "Booked."))
    assert texts(await talk.say("Monday")) == ["Booked."]
    assert "Say that it is booked." in lab.systems[-1]
    assert lab.tools == ["book"]


async def test_C51_a_flow_entered_with_an_utterance_begins_with_the_next_message(talk_to: Open, lab: LlmLab) -> None:
    body = "conv.goto_flow('booking')\nreturn {'utterance': 'Let us book.'}"
    lab.play(_calls("book", user="book"), otherwise=Answer(say="Which day?"))
    talk = talk_to({**FLOW, "functions/book.py": function_file("book", body)}, model=lab.model())
    assert texts(await talk.say("book")) == ["Let us book."]
    assert len(lab.asked) == 1
    assert texts(await talk.say("ok")) == ["Which day?"]
    assert "Ask for the day" in lab.systems[-1]


async def test_C61_a_function_of_another_flow_is_not_callable(talk_to: Open, lab: LlmLab) -> None:
    lab.play(
        _calls("save_day", {"day": "Monday"}, user="Monday", times=1),
        otherwise=Answer(when=When(last="any"), say="No."),
    )
    outcome = await talk_to(FLOW, model=lab.model()).say("Monday")
    assert (texts(outcome), len(outcome.calls)) == (["No."], 0)
    assert "no such function" in _tool_results(lab)[0]


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
        _calls("book", user="book"),
        _calls("save_entities", {"guests": "20"}, user="twenty"),
        _calls("save_entities", {"guests": "4"}, user="four"),
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
    lab.play(_calls("builtin_handoff", arguments, user="bill"))
    outcome = await talk_to(files, model=lab.model()).say("my bill is wrong")
    assert "hand over to Billing desk." in lab.systems[0]
    parameters = lab.last["tools"][0]["function"]["parameters"]
    assert parameters["properties"]["handoff_destination"]["enum"] == ["Billing desk"]
    assert parameters["required"] == ["handoff_destination", "reason", "utterance"]
    assert outcome.handoff is not None
    assert (outcome.handoff.destination, outcome.handoff.reason) == ("Billing desk", "")
    assert texts(outcome) == ([] if to_say == "N/A" else [to_say])


async def test_several_calls_in_one_answer_are_made_one_after_the_other(talk_to: Open, lab: LlmLab) -> None:
    both = Answer(
        when=When(user="go"),
        say="I look.",
        calls=(Call(name="act", arguments={"n": 1}), Call(name="act", arguments={"n": 2})),
    )
    lab.play(both, _after("act", "Both done."))
    outcome = await talk_to(_calling("return f'got {n}'", "n: int"), model=lab.model()).say("go")
    assert texts(outcome) == ["I look.", "Both done."]
    assert _tool_results(lab) == ["got 1", "got 2"]
    assert len(lab.asked) == 2


async def test_language_channel_and_project_prompts_reach_the_model(talk_to: Open, lab: LlmLab) -> None:
    config = {"prompts": {"sms_decorator": "Be very short.", "step_footer": "\nCall wait when unsure."}}
    files = {
        **FLOW,
        "agent_settings/languages.yaml": "default_language: de-DE\n",
        "agent_settings/rules.txt": "<channel:sms>On SMS.</channel><channel:webchat>On web.</channel> {{fn:book}}\n",
        "agent_settings/experimental_config.json": json.dumps(config),
        "sms/configuration.yaml": "style_prompt:\n  prompt: No emoji.\n",
    }
    lab.play(_calls("book", user="book"), otherwise=Answer(when=When(last="any"), say="Ja."))
    await talk_to(files, model=lab.model(), channel="sms.twilio").say("book")
    everything = "\n".join(lab.systems)
    for wanted in ("On SMS.", "No emoji.", "Be very short.", "Speak German", "Call wait when unsure."):
        assert wanted in everything
    assert "On web." not in everything


async def test_C80_settings_of_the_model_are_laid_over_each_other_and_names_are_mapped(
    talk_to: Open, lab: LlmLab
) -> None:
    config = {
        "llm": {
            "provider_model_id": "some-hosted-model",
            "inference_parameters": {"temperature": 0.1, "max_tokens": 300, "reasoning_effort": "auto"},
            "channel_overrides": {"webchat.polyai": {"inference_parameters": {"temperature": 0.3}}},
            "flow_overrides": {"booking": {"provider_model_id": "gpt-4o-mini", "steps": {"Start": 7}}},
        },
        "some_future_key": {"x": 1},
    }
    files = {**FLOW, "agent_settings/experimental_config.json": json.dumps(config)}
    lab.play(_calls("book", user="book"), _after("book", "Which day?"))
    await talk_to(files, model=lab.model(models={"gpt-4o-mini": "small"})).say("book")
    before, inside = lab.asked
    assert (before["model"], before["temperature"], before["max_tokens"]) == ("default-model", 0.3, 300)
    assert "reasoning_effort" not in before
    assert inside["model"] == "small"


@pytest.mark.parametrize(("json_wanted", "expected"), [(False, "Paris|Hi there."), (True, "Paris")])
async def test_C65_functions_may_ask_the_model(talk_to: Open, lab: LlmLab, json_wanted: bool, expected: str) -> None:
    body = (
        "answer = conv.utils.prompt_llm('Which city?', return_json=True, model='gpt-5-nano')\n"
        "return {'utterance': answer['city']}"
        if json_wanted
        else "answer = conv.utils.prompt_llm('Which city?', show_history=True)\nreturn {'utterance': answer}"
    )
    lab.play(
        Answer(when=When(system="Which city"), say="Paris|Hi there."),
        Answer(when=When(user="Which city"), say='{"city": "Paris"}'),
        _calls("act", user="Hi"),
    )
    outcome = await talk_to(_calling(body), model=lab.model()).say("Hi there.")
    assert texts(outcome) == [expected]
    asked = lab.asked[1]
    assert asked["model"] == "default-model"
    assert ("response_format" in asked) is json_wanted
    assert any("Hi there." in message["content"] for message in asked["messages"]) is not json_wanted
    tokens = lab.registry.get_sample_value("warmline_llm_tokens_total", {"purpose": "prompt_llm", "kind": "prompt"})
    assert tokens is not None


async def test_a_question_of_a_function_that_fails_is_told_to_the_function(talk_to: Open, lab: LlmLab) -> None:
    body = (
        "try:\n    conv.utils.prompt_llm('x')\nexcept Exception as error:\n"
        "    return {'utterance': type(error).__name__}"
    )
    files = {**_calling("return"), **start_function(body)}
    lab.spoil(times=None, status=401)
    assert texts(await talk_to(files, model=lab.model()).start()) == ["ChatCompletionError"]


async def test_a_turn_tells_what_it_asked_and_what_it_cost(talk_to: Open, lab: LlmLab) -> None:
    lab.play("Hello.")
    outcome = await talk_to(AGENT, model=lab.model()).say("hi")
    (prompt,) = _traced(outcome, "prompt")
    assert prompt["functions"] == ["hangup"]
    assert prompt["answer"] == "Hello."
    assert prompt["prompt_tokens"] > 0
    assert prompt["messages"][0]["content"] == "You are a polite Receptionist. "


async def test_a_silent_start_lets_the_first_step_act_before_the_greeting(talk_to: Open, lab: LlmLab) -> None:
    silent = "conv.goto_flow('booking')\nreturn {'utterance': '', 'listen': {'asr': {'timeout': 0.1}}}"
    files = {**FLOW, **start_function(silent)}
    lab.play(_calls("save_day", {"day": "today"}), _after("save_day", "Words that nobody asked for."))
    talk = talk_to(files, model=lab.model())
    outcome = await talk.start()
    assert texts(outcome) == ["Welcome!"]
    assert [call.name for call in outcome.calls] == ["start_function", "save_day"]
    assert lab.last["messages"][-1]["role"] == "system"
    assert any("said nothing" in message["content"] for message in lab.last["messages"] if message["role"] == "user")


@pytest.mark.parametrize(
    ("wrapped", "channel"), [(True, "webchat.polyai"), (False, "webchat.polyai"), (True, "sms.twilio")]
)
async def test_a_functions_words_are_rephrased_on_webchat_where_the_project_wants_it(
    talk_to: Open, lab: LlmLab, wrapped: bool, channel: str
) -> None:
    config = json.dumps({"webchat": {"llm_wrapped_utterances": wrapped}})
    files = {
        **_calling("return {'utterance': 'Order 42 shipped.', 'hangup': True}"),
        "agent_settings/experimental_config.json": config,
    }
    reworded = Answer(when=When(system="Rewrite the text.*Order 42 shipped"), say="Your order 42 is on its way.")
    lab.play(reworded, _calls("act", user="go"))
    outcome = await talk_to(files, model=lab.model(), channel=channel).say("go")
    asked_again = wrapped and channel.startswith("webchat")
    assert texts(outcome) == ["Your order 42 is on its way." if asked_again else "Order 42 shipped."]
    assert (outcome.end, len(lab.asked)) == (True, 1 + asked_again)


async def test_words_that_cannot_be_rephrased_are_said_as_they_are(talk_to: Open, lab: LlmLab) -> None:
    config = json.dumps({"webchat": {"llm_wrapped_utterances": True}})
    files = {
        **_calling("return {'utterance': 'Order 42 shipped.'}"),
        "agent_settings/experimental_config.json": config,
    }
    lab.play(_calls("act", user="go", times=1), otherwise=Answer(say=""))
    assert texts(await talk_to(files, model=lab.model()).say("go")) == ["Order 42 shipped."]
