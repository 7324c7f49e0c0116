"""Turns through the real engine with real function workers (agent-project.md §5 to §8)."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.agent_projects import Talk, calling, engine, function_file, rules, texts, topic_file, write_project
from warmline.domain.messages import Attachment, AttachmentKind, CallAction
from warmline.domain.turn import HandoffRequest

Open = Callable[..., Talk]


@pytest.fixture
async def talk_to(tmp_path: Path) -> AsyncIterator[Open]:
    """Open a conversation with a project made of the given files; engines are closed afterwards."""
    async with AsyncExitStack() as stack:

        def start(files: dict[str, str], root: Path = tmp_path, **settings: Any) -> Talk:
            running = engine(write_project(root, files))
            stack.push_async_callback(running.close)
            return Talk(running, **settings)

        yield start


def start_function(body: str) -> dict[str, str]:
    return {"functions/start_function.py": function_file("start_function", body)}


CHAT = {"chat/configuration.yaml": "greeting:\n  welcome_message: Welcome!\n"}
VOICE = {"voice/configuration.yaml": "greeting:\n  welcome_message: '[Ring] Thanks for calling.'\n"}


# Start, greeting, end


async def test_the_default_greeting(talk_to: Open) -> None:
    assert texts(await talk_to({}).start()) == ["Hello, how can I help?"]


async def test_P27_the_voice_greeting_is_used_without_chat_settings(talk_to: Open) -> None:
    assert texts(await talk_to(VOICE).start()) == ["Thanks for calling."]


async def test_P27_the_greeting_is_rendered(talk_to: Open) -> None:
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


async def test_the_sms_greeting_is_for_sms_only(talk_to: Open) -> None:
    files = {**CHAT, "sms/configuration.yaml": "greeting:\n  welcome_message: Hi by text.\n"}
    assert texts(await talk_to(files).start()) == ["Welcome!"]
    assert texts(await talk_to(files, channel="sms.twilio").start()) == ["Hi by text."]


async def test_P28_the_start_functions_utterance_replaces_the_greeting(talk_to: Open) -> None:
    files = {**CHAT, **start_function('return {"utterance": "From code."}')}
    assert texts(await talk_to(files).start()) == ["From code."]
    files = {**CHAT, **start_function('conv.say("From say.")')}
    assert texts(await talk_to(files).start()) == ["From say."]


@pytest.mark.parametrize("returned", ["None", '""', "{}", "str()"])
async def test_P29_nothing_returned_greets_as_configured(talk_to: Open, returned: str) -> None:
    talk = talk_to({**CHAT, **start_function(f"return {returned}")})
    assert texts(await talk.start()) == ["Welcome!"]


async def test_P29_an_empty_utterance_suppresses_the_greeting(talk_to: Open) -> None:
    talk = talk_to({**CHAT, **start_function('return {"utterance": ""}')})
    outcome = await talk.start()
    assert outcome.says == ()
    assert not outcome.failed


async def test_P30_a_silent_start_still_greets_once(talk_to: Open) -> None:
    talk = talk_to({**VOICE, **start_function('return {"utterance": "", "listen": {"asr": {"timeout": 0.1}}}')})
    assert texts(await talk.start()) == ["Thanks for calling."]


async def test_P32_a_failing_start_function_still_greets(talk_to: Open) -> None:
    outcome = await talk_to({**CHAT, **start_function("raise ValueError('no')")}).start()
    assert texts(outcome) == ["Welcome!"]
    assert [(f.rule, f.file, f.line) for f in outcome.findings] == [
        ("function-error", "functions/start_function.py", 6)
    ]
    assert not outcome.failed


async def test_P33_the_end_function_sees_the_state_and_says_nothing(talk_to: Open) -> None:
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


async def test_P33_a_failing_end_function_is_only_reported(talk_to: Open) -> None:
    outcome = await talk_to({"functions/end_function.py": function_file("end_function", "1 / 0")}).end()
    assert not outcome.failed
    assert rules(outcome) == ["function-error"]


# Python


async def test_P09_a_module_that_does_not_import_fails_only_when_it_is_called(talk_to: Open) -> None:
    files = calling(("good", 'return {"utterance": "Good."}'), ("bad", "return None"))
    files["functions/bad.py"] = "from functions.missing import helper\n" + files["functions/bad.py"]
    talk = talk_to(files)
    await talk.engine.start()
    assert texts(await talk.say("please run good now")) == ["Good."]
    outcome = await talk.say("please run bad now")
    assert outcome.failed
    assert [(f.rule, f.file, f.line) for f in outcome.findings] == [("function-error", "functions/bad.py", 1)]
    assert ("import-failed", "functions/bad.py", 1) in [(f.rule, f.file, f.line) for f in talk.engine.findings]
    assert texts(await talk.say("please run good now")) == ["Good."]


async def test_a_function_file_that_is_no_python_says_so_when_it_is_called(talk_to: Open) -> None:
    files = calling(("bad", "return None"))
    files["functions/bad.py"] = "def bad(conv:\n"
    outcome = await talk_to(files).say("please run bad now")
    assert outcome.failed
    assert [(f.rule, f.file, f.line) for f in outcome.findings] == [("python-syntax", "functions/bad.py", 1)]


async def test_P10_two_projects_do_not_see_each_others_functions(talk_to: Open, tmp_path: Path) -> None:
    helper = "from _gen import *\n\nNAME = {!r}\n\n\ndef helper(conv: Conversation):\n    return None\n"
    body = 'from functions.helper import NAME\nreturn {"utterance": NAME}'
    talks = []
    for name in ("one", "two"):
        files = {**calling(("tell", body)), "functions/helper.py": helper.format(name)}
        talks.append(talk_to(files, tmp_path / name))
    assert [texts(await talk.say("please run tell now")) for talk in talks] == [["one"], ["two"]]


async def test_P12_P13_imports_and_loggers(talk_to: Open) -> None:
    files = calling(("use", "return None"))
    files["functions/use.py"] = """
        import plog
        from polyai.attachments import Attachment as Other
        from functions.helper import ONE
        from .helper import TWO
        from functions import helper
        from flows.sms_flow.functions.send import THREE
        from flows.sms_flow.function_steps.step import FOUR


        @plog.tmp_bind(api_integration="x")
        @func_description("Uses.")
        def use(conv: Conversation):
            plog.info("note", is_pii=True, anything=1)
            log.warning("bare")
            assert Other is Attachment
            return {"utterance": f"{ONE} {TWO} {helper.ONE} {THREE} {FOUR}"}
    """
    files["functions/helper.py"] = "ONE, TWO = 1, 2\n\n\ndef helper(conv):\n    return None\n"
    files["flows/sms_flow/functions/send.py"] = "THREE = 3\n\n\ndef send(conv, flow):\n    return None\n"
    files["flows/sms_flow/function_steps/step.py"] = "FOUR = 4\n\n\ndef step(conv, flow):\n    return None\n"
    outcome = await talk_to(files).say("please run use now")
    assert texts(outcome) == ["1 2 1 3 4"]
    assert [(log["level"], log["content"], log.get("anything")) for log in outcome.calls[0].logs] == [
        ("info", "note", 1),
        ("warning", "bare", None),
    ]


async def test_P02_the_projects_own_gen_is_never_imported(talk_to: Open) -> None:
    files = {**calling(("use", 'return {"utterance": "ok"}')), "_gen/__init__.py": "raise RuntimeError('stub')\n"}
    assert texts(await talk_to(files).say("please run use now")) == ["ok"]


async def test_the_servers_secrets_are_not_in_the_functions_environment(
    talk_to: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMLINE_SECRET_KEY", "top secret")
    body = 'import os\nreturn {"utterance": str(sorted(k for k in os.environ if "WARMLINE" in k))}'
    assert texts(await talk_to(calling(("use", body))).say("please run use now")) == ["[]"]


async def test_P15_arguments_are_coerced_and_asked_for(talk_to: Open) -> None:
    files = {
        "functions/add.py": function_file(
            "add", 'return {"utterance": f"{amount + 1} {type(note).__name__}"}', "amount: int, note: str"
        ),
        "topics/add.yaml": topic_file("add", "please add something", actions="Call {{fn:add}}."),
    }
    talk = talk_to(files)
    assert texts(await talk.say("please add something")) == ["Could you tell me your amount, please?"]
    assert texts(await talk.say("forty two")) == ["Could you tell me your amount, please?"]
    assert texts(await talk.say("it is 42")) == ["Could you tell me your note, please?"]
    outcome = await talk.say("as you like")
    assert texts(outcome) == ["43 str"]
    assert outcome.calls[0].arguments == {"amount": 42, "note": "as you like"}


async def test_P16_a_failing_function_changes_nothing(talk_to: Open) -> None:
    files = {
        **calling(("fail", "conv.state.n = 2\nconv.say('half')\nconv.write_metric('M')\nraise ValueError('x')")),
        **start_function("conv.state.n = 1"),
        "topics/tell.yaml": topic_file("tell", "tell me the number", content="It is $n."),
    }
    talk = talk_to(files)
    await talk.start()
    outcome = await talk.say("please run fail now")
    assert (outcome.failed, outcome.says) == (True, ())
    assert [name for name, _ in outcome.metrics] == ["QA"]
    assert outcome.calls[0].error == "function-error: ValueError: x"
    assert texts(await talk.say("tell me the number")) == ["It is 1."]


# State


async def test_P18_rich_state_survives_a_new_process(tmp_path: Path) -> None:
    model = """
        from dataclasses import dataclass

        from pydantic import BaseModel


        @dataclass
        class Order:
            number: str


        class Person(BaseModel):
            name: str


        def model(conv):
            return None
    """
    keep = """
        import datetime
        import zoneinfo

        from functions.model import Order, Person


        def keep(conv: Conversation):
            conv.state.order = Order("A1")
            conv.state.person = Person(name="Ada")
            conv.state.when = datetime.datetime(2026, 1, 2, tzinfo=zoneinfo.ZoneInfo("US/Central"))
            conv.state.tags = {"x"}
            return {"utterance": "kept"}
    """
    read = """
        from functions.model import Order, Person


        def read(conv: Conversation):
            good = isinstance(conv.state.order, Order) and isinstance(conv.state.person, Person)
            return {"utterance": f"{good} {conv.state.person.name} {conv.state.when.tzinfo.key} {conv.state.tags}"}
    """
    files = calling(("keep", "return None"), ("read", "return None"))
    files |= {"functions/model.py": model, "functions/keep.py": keep, "functions/read.py": read}
    root = write_project(tmp_path, files)
    first = engine(root)
    talk = Talk(first)
    assert texts(await talk.say("please run keep now")) == ["kept"]
    await first.close()
    second = engine(root)
    talk.engine = second
    assert texts(await talk.say("please run read now")) == ["True Ada US/Central {'x'}"]
    await second.close()


async def test_P20_the_platforms_keys_are_present(talk_to: Open) -> None:
    body = """
        state = conv.state
        return {"utterance": f"{state.from_} {'to' in state} {state.call_sid} {state.asr_lang_code}"}
    """
    talk = talk_to(calling(("use", body)), caller_number="+441", language="en-GB")
    assert texts(await talk.say("please run use now")) == ["+441 True session-1 en-GB"]


async def test_state_changes_are_recorded_by_name(talk_to: Open) -> None:
    talk = talk_to(
        calling(("one", "conv.state.a = 1\nconv.state.b = 1"), ("two", "conv.state.a = 2\ndel conv.state.b"))
    )
    await talk.say("please run one now")
    outcome = await talk.say("please run two now")
    assert outcome.calls[0].state_changes == {"added": (), "updated": ("a",), "removed": ("b",)}


# Results of functions


async def test_P41_utterance_is_delivered_verbatim(talk_to: Open) -> None:
    outcome = await talk_to(calling(("use", 'return {"utterance": "Exactly *this* {{fn:use}} $x."}'))).say(
        "please run use now"
    )
    assert texts(outcome) == ["Exactly *this* {{fn:use}} $x."]


async def test_P43_end_turn_false_says_and_goes_on(talk_to: Open) -> None:
    files = calling(
        ("one", 'return {"utterance": "First.", "end_turn": False}'), ("two", 'return {"utterance": "Second."}')
    )
    files["topics/run_one.yaml"] = topic_file(
        "run one", "please run one now", actions="Call {{fn:one}}. Call {{fn:two}}."
    )
    assert texts(await talk_to(files).say("please run one now")) == ["First.", "Second."]


async def test_P44_say_overrides_the_returned_utterance(talk_to: Open) -> None:
    body = 'conv.say("Said.")\nreturn {"utterance": "Returned."}'
    assert texts(await talk_to(calling(("use", body))).say("please run use now")) == ["Said."]


async def test_P45_hangup_ends_the_conversation(talk_to: Open) -> None:
    outcome = await talk_to(calling(("use", 'return {"utterance": "Bye.", "hangup": True}'))).say("please run use now")
    assert (texts(outcome), outcome.end) == (["Bye."], True)


@pytest.mark.parametrize("returned", ["None", "{}", '""'])
async def test_P46_a_function_without_output_lets_the_topic_speak(talk_to: Open, returned: str) -> None:
    files = calling(("use", f"conv.state.name = 'Ada'\nreturn {returned}"))
    files["topics/run_use.yaml"] = topic_file(
        "run use", "please run use now", actions="Call {{fn:use}}.", content="Done, $name."
    )
    assert texts(await talk_to(files).say("please run use now")) == ["Done, Ada."]


async def test_P40_content_for_the_customer_is_said_and_instructions_are_not(talk_to: Open) -> None:
    files = calling(
        ("told", 'return "Tell the customer that the balance is 5."'), ("ordered", 'return "Ask for the name."')
    )
    talk = talk_to(files)
    assert texts(await talk.say("please run told now")) == ["The balance is 5."]
    assert texts(await talk.say("please run ordered now")) == ["All right, that's done."]


async def test_P47_P22_the_variant_changes(talk_to: Open) -> None:
    files = {
        **calling(
            ("north", 'return {"variant": "north"}'),
            ("south", 'conv.set_variant("south")'),
            ("odd", 'return {"variant": "west"}'),
        ),
        "config/variant_attributes.yaml": """
            variants: [{name: south, is_default: true}, {name: north}]
            attributes: [{name: city, values: {south: Bath, north: York}}]
        """,
        "topics/city.yaml": topic_file("city", "which city is it", content="{{attr:city}}"),
    }
    talk = talk_to(files)
    assert texts(await talk.say("which city is it")) == ["Bath"]
    assert (await talk.say("please run north now")).variant == "north"
    assert texts(await talk.say("which city is it")) == ["York"]
    assert (await talk.say("please run south now")).variant == "south"
    assert texts(await talk.say("which city is it")) == ["Bath"]
    assert rules(await talk.say("please run odd now")) == ["unknown-variant"]


@pytest.mark.parametrize("returned", ["True", "[1, 2]", "object()", "7.5", "b'x'", "(1, 2)"])
async def test_P48_nonsense_does_not_crash_the_turn(talk_to: Open, returned: str) -> None:
    outcome = await talk_to(calling(("use", f"return {returned}"))).say("please run use now")
    assert not outcome.failed
    assert [(f.rule, f.file, f.line) for f in outcome.findings] == [("return-type", "functions/use.py", 5)]


async def test_P49_a_runaway_loop_stops(talk_to: Open) -> None:
    many = [f"f{number}" for number in range(12)]
    files = calling(*((name, "return None") for name in many))
    files["topics/all.yaml"] = topic_file(
        "all", "please run everything", actions=" ".join(f"Call {{{{fn:{n}}}}}." for n in many)
    )
    outcome = await talk_to(files).say("please run everything")
    assert outcome.failed
    assert len(outcome.calls) == 10
    assert rules(outcome) == ["function-loop"]


async def test_P62_write_once_keeps_the_first_value(talk_to: Open) -> None:
    body = """
        conv.write_metric("A", 1, write_once=True)
        conv.write_metric("A", 2, write_once=True)
        conv.write_metric("B")
        conv.write_metric("B", True)
    """
    talk = talk_to(calling(("use", body)))
    outcome = await talk.say("please run use now")
    assert outcome.metrics == (("QA", "run use"), ("A", 1), ("B", None), ("B", True))
    assert (await talk.say("please run use now")).metrics == (("B", None), ("B", True))


async def test_P63_topic_matches_are_metrics(talk_to: Open) -> None:
    files = {
        "topics/a.yaml": topic_file("Alpha", "what is alpha", content="A."),
        "functions/end_function.py": function_file(
            "end_function", 'conv.write_metric("SEEN", [e.value for e in conv.metric_events if e.name == "QA"])'
        ),
    }
    talk = talk_to(files)
    outcome = await talk.say("what is alpha")
    assert (outcome.topic, outcome.metrics) == ("Alpha", (("QA", "Alpha"),))
    assert outcome.why
    assert (await talk.end()).metrics == (("SEEN", ["Alpha"]),)


async def test_P66_conv_functions_with_and_without_conv(talk_to: Open) -> None:
    files = calling(("use", 'return {"utterance": conv.functions.add(1) + conv.functions.add(conv, 2)}'))
    files["functions/add.py"] = function_file("add", "return f'<{n}>'", "n: int")
    assert texts(await talk_to(files).say("please run use now")) == ["<1><2>"]


async def test_P67_maps_are_safe_on_every_channel(talk_to: Open) -> None:
    body = (
        'return {"utterance": str([conv.real_time_config.get("x", 1), conv.memory.get("x", 2),'
        ' conv.sip_headers.get("x", 3), conv.integration_attributes.get("x", 4), conv.variant, conv.entities.dob])}'
    )
    assert texts(await talk_to(calling(("use", body))).say("please run use now")) == ["[1, 2, 3, 4, None, None]"]


async def test_P68_voice_members_have_no_effect(talk_to: Open) -> None:
    body = """
        conv.set_voice(ElevenLabsVoice(provider_voice_id="x"))
        conv.set_language("de-DE")
        conv.set_asr_biasing(keywords=["a"])
        conv.discard_recording()
        conv.set_csat_score(5)
        conv.log.error("value %s", "odd", exc_info=True)
        return {"utterance": conv.language}
    """
    outcome = await talk_to(calling(("use", body))).say("please run use now")
    assert (texts(outcome), outcome.language) == (["de-DE"], "de-DE")


@pytest.mark.parametrize("channel", ["webchat.polyai", "sms.twilio"])
async def test_P69_the_channel_type(talk_to: Open, channel: str) -> None:
    talk = talk_to(calling(("use", 'return {"utterance": conv.channel_type}')), channel=channel)
    assert texts(await talk.say("please run use now")) == [channel]


async def test_P70_the_history_ends_with_the_current_input(talk_to: Open) -> None:
    body = """
        history = " / ".join(f"{item.role}:{item.text}" for item in conv.history)
        return {"utterance": history + str(conv.transcript_alternatives)}
    """
    talk = talk_to({**CHAT, **calling(("use", body))})
    await talk.start()
    assert texts(await talk.say("please run use now")) == [
        "agent:Welcome! / user:please run use now['please run use now']"
    ]


async def test_attachments_suggestions_and_buttons_go_with_the_message(talk_to: Open) -> None:
    body = """
        conv.add_attachments([
            Attachment(content_url="https://x.example/a b?q=ü", content_type="image", title="T"),
            Attachment(content_url="https://x.example/", call_to_action="Open"),
        ])
        conv.set_response_suggestions(["Yes", "No"])
        conv.webchat.set_chat_call_actions([ChatCallAction(contact_number="+441", title="Call")])
        return {"utterance": "Look."}
    """
    say = (await talk_to(calling(("use", body))).say("please run use now")).says[0]
    assert say.attachments == (
        Attachment(content_url="https://x.example/a%20b?q=%C3%BC", kind=AttachmentKind.IMAGE, title="T"),
        Attachment(content_url="https://x.example/", kind=AttachmentKind.URL, call_to_action="Open"),
    )
    assert say.suggestions == ("Yes", "No")
    assert say.call_actions == (CallAction(contact_number="+441", title="Call"),)


async def test_suggestions_of_the_start_function_go_with_the_greeting(talk_to: Open) -> None:
    talk = talk_to({**CHAT, **start_function('conv.set_response_suggestions(["A", "B"])')})
    outcome = await talk.start()
    assert (texts(outcome), outcome.says[0].suggestions) == (["Welcome!"], ("A", "B"))


async def test_before_functions_is_awaited_once_and_only_when_a_function_runs(talk_to: Open) -> None:
    files = calling(("one", "return None"), ("two", "return None"))
    files["topics/both.yaml"] = topic_file("both", "please run both", actions="Call {{fn:one}} and {{fn:two}}.")
    files["topics/none.yaml"] = topic_file("none", "what is this", content="Nothing.")
    talk = talk_to(files)
    await talk.start()
    await talk.say("what is this")
    assert talk.functions_announced == 0
    assert len((await talk.say("please run both")).calls) == 2
    assert talk.functions_announced == 1


async def test_a_turn_can_be_run_again_from_the_same_memory(talk_to: Open) -> None:
    talk = talk_to(calling(("use", "conv.state.n = (conv.state.n or 0) + 1\nreturn {'utterance': str(conv.state.n)}")))
    await talk.say("please run use now")
    before = talk.memory
    assert texts(await talk.say("please run use now")) == ["2"]
    talk.memory = before
    assert texts(await talk.say("please run use now")) == ["2"]


async def test_foreign_memory_fails_the_turn_and_not_the_engine(talk_to: Open) -> None:
    talk = talk_to(CHAT)
    talk.memory = b"not a memory"
    outcome = await talk.start()
    assert (outcome.failed, rules(outcome), outcome.memory) == (True, ["turn-failed"], b"not a memory")
    talk.memory = b""
    assert texts(await talk.start()) == ["Welcome!"]


async def test_a_folder_that_is_no_project_gives_the_apology(tmp_path: Path) -> None:
    running = engine(tmp_path)
    outcome = await Talk(running).start()
    assert (outcome.failed, rules(outcome)) == (True, ["no-project"])
    await running.close()


# Handoff


async def test_P71_the_exact_webex_handoff(talk_to: Open) -> None:
    body = (
        'return {"utterance": "No problem, I\'ll transfer you to one of our agents now.", '
        '"handoff": {"text_chat": {"webex_integration": {"queue": "billing"}}}}'
    )
    outcome = await talk_to(calling(("use", body))).say("please run use now")
    assert texts(outcome) == ["No problem, I'll transfer you to one of our agents now."]
    assert outcome.handoff == HandoffRequest(integration="webex_integration", options={"queue": "billing"})
    assert (outcome.handoff_error, outcome.failed) == (False, False)


async def test_P72_call_handoff(talk_to: Open) -> None:
    body = 'return conv.call_handoff("Billing", "wrong bill", "One moment.")'
    outcome = await talk_to(calling(("use", body))).say("please run use now")
    assert texts(outcome) == ["One moment."]
    assert outcome.handoff == HandoffRequest(integration=None, destination="Billing", reason="wrong bill")


HANDOFFS = "handoffs:\n  - {name: General, is_default: true}\n  - {name: Billing}\n"


@pytest.mark.parametrize(
    ("destination", "expected", "reported"),
    [
        ("Billing", "Billing", []),
        ("default", "General", []),
        ("DEFAULT", "General", []),
        ("Nowhere", "General", ["unknown-handoff"]),
    ],
)
async def test_P73_unknown_destinations_go_to_the_default(
    talk_to: Open, destination: str, expected: str, reported: list[str]
) -> None:
    files = {**calling(("use", f"conv.call_handoff({destination!r})")), "config/handoffs.yaml": HANDOFFS}
    outcome = await talk_to(files).say("please run use now")
    assert outcome.handoff is not None
    assert outcome.handoff.destination == expected
    assert rules(outcome) == reported


async def test_P74_a_typed_bye_asks_for_a_human_and_a_bare_one_ends(talk_to: Open) -> None:
    files = calling(
        ("transfer", 'return {"handoff": {"type": "Desk", "bye": {}}}'),
        ("leave", 'return {"utterance": "Bye.", "handoff": {"bye": {}}}'),
    )
    talk = talk_to(files)
    outcome = await talk.say("please run transfer now")
    assert outcome.handoff == HandoffRequest(integration=None, destination="Desk", reason="Desk")
    outcome = await talk.say("please run leave now")
    assert (outcome.handoff, outcome.end, texts(outcome)) == (None, True, ["Bye."])


@pytest.mark.parametrize(
    "handoff", ['{"text_chat": {"webx_integration": {}}}', '{"text_chat": []}', '{"oops": 1}', "7"]
)
async def test_a_malformed_handoff_names_file_and_line(talk_to: Open, handoff: str) -> None:
    body = f'note = 1\nreturn {{\n    "utterance": "One moment.",\n    "handoff": {handoff},\n}}'
    outcome = await talk_to(calling(("use", body))).say("please run use now")
    assert (outcome.handoff, outcome.handoff_error) == (None, True)
    assert texts(outcome) == ["One moment."]
    assert [(f.rule, f.file, f.line) for f in outcome.findings] == [("handoff-malformed", "functions/use.py", 9)]


async def test_P78_a_handoff_may_pass_through_the_state(talk_to: Open) -> None:
    files = calling(
        ("store", 'conv.state.later = {"utterance": "Now.", "handoff": {"text_chat": {"nice_integration": {}}}}'),
        ("use", "return conv.state.later"),
    )
    talk = talk_to(files)
    await talk.say("please run store now")
    outcome = await talk.say("please run use now")
    assert outcome.handoff == HandoffRequest(integration="nice_integration")


async def test_a_handoff_named_in_the_actions(talk_to: Open) -> None:
    files = {
        "config/handoffs.yaml": HANDOFFS,
        "topics/a.yaml": topic_file(
            "a", "my bill is wrong", actions="Transfer to {{ho:Billing}}.", content="One moment."
        ),
    }
    outcome = await talk_to(files).say("my bill is wrong")
    assert texts(outcome) == ["One moment."]
    assert outcome.handoff is not None
    assert outcome.handoff.destination == "Billing"
