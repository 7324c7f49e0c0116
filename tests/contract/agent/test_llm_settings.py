"""What surrounds a turn with a language model: its settings, its trace, questions of functions, other wordings."""

import json
from textwrap import dedent

import pytest

from support.agent_projects import Open, start_function, texts
from support.llm import LlmLab
from support.llm_projects import (
    AGENT,
    FLOW,
    TOPICS,
    after,
    calling,
    calls,
    tool_results,
    traced,
)
from warmline.emulators.llm.script import Answer, Call, When


async def test_several_calls_in_one_answer_are_made_one_after_the_other(talk_to: Open, lab: LlmLab) -> None:
    both = Answer(
        when=When(user="go"),
        say="I look.",
        calls=(Call(name="act", arguments={"n": 1}), Call(name="act", arguments={"n": 2})),
    )
    lab.play(both, after("act", "Both done."))
    outcome = await talk_to(calling("return f'got {n}'", "n: int"), model=lab.model()).say("go")
    assert texts(outcome) == ["I look.", "Both done."]
    assert tool_results(lab) == ["got 1", "got 2"]
    assert len(lab.asked) == 2


async def test_what_is_said_beside_a_call_that_cannot_be_made_is_not_lost(talk_to: Open, lab: LlmLab) -> None:
    unknown = Answer(when=When(user="go"), say="I look. One moment.", calls=(Call(name="unknown"),))
    lab.play(unknown, after("unknown", "It is 7. That is all."))
    talk = talk_to(calling("return 'x'"), model=lab.model())
    shown: list[str] = []
    talk.stream = shown.append
    assert texts(await talk.say("go")) == ["I look. One moment.", "It is 7. That is all."]
    assert shown == ["I look. "]


async def test_language_channel_and_project_prompts_reach_the_model(talk_to: Open, lab: LlmLab) -> None:
    config = {
        "prompts": {
            "sms_decorator": "Be very short.",
            "step_header": "Now: ",
            "step_footer": "\nCall wait when unsure.",
            "language_switching_instructions": "You may also speak {available_languages}.",
            "context_information_precursor": "What we know:",
            "non_english_rag": "Translate it to {language_name}.",
        }
    }
    files = {
        **FLOW,
        **TOPICS,
        "agent_settings/languages.yaml": "default_language: de-DE\nadditional_languages: [fr-FR]\n",
        "agent_settings/rules.txt": "<channel:sms>On SMS.</channel><channel:webchat>Web.</channel>\nCall {{fn:book}}.",
        "agent_settings/experimental_config.json": json.dumps(config),
        "sms/configuration.yaml": "style_prompt:\n  prompt: No emoji.\n",
    }
    lab.play(calls("book", user="book"), otherwise=Answer(when=When(last="any"), say="Ja."))
    await talk_to(files, model=lab.model(), channel="sms.twilio").say("Please book. What does a table cost?")
    rules_sent, style, decorator, language, switching, context, step = lab.systems
    assert rules_sent.startswith("On SMS.\nCall book.")
    assert "Web." not in rules_sent
    assert (style, decorator) == ("No emoji.", "Be very short.")
    assert language.startswith("Speak German with the user")
    assert switching == "You may also speak German, French."
    assert context.startswith("What we know:\nTranslate it to German.\n\nCONTEXT_INFORMATION = [")
    assert step == "Now: Ask for the day, then call save_day.\nCall wait when unsure."


async def test_C80_settings_of_the_model_are_laid_over_each_other_and_names_are_mapped(
    talk_to: Open, lab: LlmLab
) -> None:
    config = {
        "llm": {
            "provider_model_id": "some-hosted-model",
            "inference_parameters": {"temperature": 0.1, "max_tokens": 300, "reasoning_effort": "auto"},
            "channel_overrides": {"webchat.polyai": {"inference_parameters": {"temperature": 0.3}}},
            "variant_overrides": {"south": {"inference_parameters": {"top_p": 0.5}}},
            "flow_overrides": {
                "booking": {
                    "provider_model_id": "gpt-4o-mini",
                    "steps": {"Start": 7, "Done": {"inference_parameters": {"max_tokens": 50}}},
                }
            },
        },
        "some_future_key": {"x": 1},
    }
    files = {
        **FLOW,
        "agent_settings/experimental_config.json": json.dumps(config),
        "config/variant_attributes.yaml": "variants: [{name: north, is_default: true}, {name: south}]\n",
        "flows/booking/steps/start.yaml": dedent(FLOW["flows/booking/steps/start.yaml"])
        + "llm: {reasoning_effort: low}\n",
    }
    lab.play(
        calls("book", user="book"),
        after("book", "Which day?"),
        calls("save_day", {"day": "Monday"}, user="Monday"),
        after("save_day", "Booked."),
    )
    talk = talk_to(files, model=lab.model(models={"gpt-4o-mini": "small"}), variant="south")
    await talk.say("book")
    await talk.say("Monday")
    before, inside, _, done = lab.asked
    assert (before["model"], before["temperature"], before["max_tokens"]) == ("default-model", 0.3, 300)
    assert (before["top_p"], "reasoning_effort" in before) == (0.5, False)
    assert (inside["model"], inside["reasoning_effort"], inside["max_tokens"]) == ("small", "low", 300)
    assert (done["model"], "reasoning_effort" in done, done["max_tokens"]) == ("small", False, 50)


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
        calls("act", user="Hi"),
    )
    outcome = await talk_to(calling(body), model=lab.model()).say("Hi there.")
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
    files = {**calling("return"), **start_function(body)}
    lab.spoil(times=None, status=401)
    assert texts(await talk_to(files, model=lab.model()).start()) == ["ChatCompletionError"]


async def test_a_turn_tells_what_it_asked_and_what_it_cost(talk_to: Open, lab: LlmLab) -> None:
    lab.play("Hello.")
    outcome = await talk_to(AGENT, model=lab.model()).say("hi")
    (prompt,) = traced(outcome, "prompt")
    assert prompt["functions"] == ["hangup"]
    assert prompt["answer"] == "Hello."
    assert prompt["prompt_tokens"] > 0
    assert prompt["tokens_this_turn"] == prompt["prompt_tokens"] + prompt["completion_tokens"]
    assert prompt["messages"][0]["content"] == "You are a polite Receptionist. "


async def test_a_silent_start_lets_the_first_step_act_before_the_greeting(talk_to: Open, lab: LlmLab) -> None:
    silent = "conv.goto_flow('booking')\nreturn {'utterance': '', 'listen': {'asr': {'timeout': 0.1}}}"
    files = {**FLOW, **start_function(silent)}
    lab.play(calls("save_day", {"day": "today"}), after("save_day", "Words that nobody asked for."))
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
        **calling("return {'utterance': 'Order 42 shipped.', 'hangup': True}"),
        "agent_settings/experimental_config.json": config,
    }
    reworded = Answer(when=When(system="Rewrite the text.*Order 42 shipped"), say="Your order 42 is on its way.")
    lab.play(reworded, calls("act", user="go"))
    outcome = await talk_to(files, model=lab.model(), channel=channel).say("go")
    asked_again = wrapped and channel.startswith("webchat")
    assert texts(outcome) == ["Your order 42 is on its way." if asked_again else "Order 42 shipped."]
    assert (outcome.end, len(lab.asked)) == (True, 1 + asked_again)


async def test_words_that_cannot_be_rephrased_are_said_as_they_are(talk_to: Open, lab: LlmLab) -> None:
    config = json.dumps({"webchat": {"llm_wrapped_utterances": True}})
    files = {
        **calling("return {'utterance': 'Order 42 shipped.'}"),
        "agent_settings/experimental_config.json": config,
    }
    lab.play(calls("act", user="go", times=1), otherwise=Answer(say=""))
    assert texts(await talk_to(files, model=lab.model()).say("go")) == ["Order 42 shipped."]
