"""How conversations begin and end (agent-project.md §6)."""

import pytest

from support.agent_projects import CHAT, Open, function_file, rules, start_function, texts

VOICE = {"voice/configuration.yaml": "greeting:\n  welcome_message: '[Ring] Thanks for calling.'\n"}


async def test_the_default_greeting(talk_to: Open) -> None:
    assert texts(await talk_to({}).start()) == ["Hello, how can I help?"]


async def test_C27_the_voice_greeting_is_used_without_chat_settings(talk_to: Open) -> None:
    assert texts(await talk_to(VOICE).start()) == ["Thanks for calling."]


async def test_C27_the_greeting_is_rendered(talk_to: Open) -> None:
    files = {
        "chat/configuration.yaml": "greeting:\n  welcome_message: Welcome to {{attr:site_name}}, $name!\n",
        "config/variant_attributes.yaml": """
            variants: [{name: a, is_default: true}, {name: b}]
            attributes: [{name: site_name, values: {a: Alpha, b: Beta}}]
        """,
        **start_function('conv.state.name = "Ada"'),
    }
    assert texts(await talk_to(files).start()) == ["Welcome to Alpha, Ada!"]
    assert texts(await talk_to(files, variant="b").start()) == ["Welcome to Beta, Ada!"]
    talk = talk_to(files, variant="VARIANT-1")
    begun = await talk.start()
    assert (texts(begun), rules(begun)) == (["Welcome to Alpha, Ada!"], ["unknown-variant"])
    assert rules(await talk.say("hello")) == []


async def test_the_sms_greeting_is_for_sms_only(talk_to: Open) -> None:
    files = {**CHAT, "sms/configuration.yaml": "greeting:\n  welcome_message: Hi by text.\n"}
    assert texts(await talk_to(files).start()) == ["Welcome!"]
    assert texts(await talk_to(files, channel="sms.twilio").start()) == ["Hi by text."]


async def test_C28_the_start_functions_utterance_replaces_the_greeting(talk_to: Open) -> None:
    files = {**CHAT, **start_function('return {"utterance": "From code."}')}
    assert texts(await talk_to(files).start()) == ["From code."]
    files = {**CHAT, **start_function('conv.say("From say.")')}
    assert texts(await talk_to(files).start()) == ["From say."]


@pytest.mark.parametrize("returned", ["None", '""', "{}", "str()"])
async def test_C29_nothing_returned_greets_as_configured(talk_to: Open, returned: str) -> None:
    talk = talk_to({**CHAT, **start_function(f"return {returned}")})
    assert texts(await talk.start()) == ["Welcome!"]


async def test_C29_an_empty_utterance_suppresses_the_greeting(talk_to: Open) -> None:
    talk = talk_to({**CHAT, **start_function('return {"utterance": ""}')})
    outcome = await talk.start()
    assert outcome.says == ()
    assert not outcome.failed


async def test_C30_a_silent_start_still_greets_once(talk_to: Open) -> None:
    talk = talk_to({**VOICE, **start_function('return {"utterance": "", "listen": {"asr": {"timeout": 0.1}}}')})
    assert texts(await talk.start()) == ["Thanks for calling."]


async def test_C32_a_failing_start_function_still_greets(talk_to: Open) -> None:
    outcome = await talk_to({**CHAT, **start_function("raise ValueError('no')")}).start()
    assert texts(outcome) == ["Welcome!"]
    assert [(f.rule, f.file, f.line) for f in outcome.findings] == [
        ("function-error", "functions/start_function.py", 6)
    ]
    assert not outcome.failed


async def test_C33_the_end_function_sees_the_state_and_says_nothing(talk_to: Open) -> None:
    files = {
        **start_function("conv.state.count = 1"),
        "functions/end_function.py": """
            from _gen import *


            def end_function(conv: Conversation, reason: str):
                conv.write_metric("SEEN", [conv.state.count, reason])
                conv.set_response_suggestions(["no"])
                return {"utterance": "never said", "hangup": True}
        """,
    }
    talk = talk_to(files)
    await talk.start()
    outcome = await talk.end()
    assert (outcome.says, outcome.end, outcome.failed) == ((), False, False)
    assert outcome.metrics == (("SEEN", [1, None]),)


async def test_C33_a_failing_end_function_is_only_reported(talk_to: Open) -> None:
    outcome = await talk_to({"functions/end_function.py": function_file("end_function", "1 / 0")}).end()
    assert not outcome.failed
    assert rules(outcome) == ["function-error"]
