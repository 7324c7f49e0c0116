"""What functions return and ask for (agent-project.md §5, §7 and §8)."""

from pathlib import Path

import pytest

from support.agent_projects import (
    CHAT,
    Open,
    Talk,
    calling,
    engine,
    function_file,
    rules,
    start_function,
    texts,
    topic_file,
)
from warmline.domain.errors import StoreUnavailable
from warmline.domain.messages import Attachment, AttachmentKind, CallAction


async def test_C41_utterance_is_delivered_verbatim(talk_to: Open) -> None:
    outcome = await talk_to(calling(("use", 'return {"utterance": "Exactly *this* {{fn:use}} $x."}'))).say(
        "please run use now"
    )
    assert texts(outcome) == ["Exactly *this* {{fn:use}} $x."]


async def test_C43_end_turn_false_says_and_goes_on(talk_to: Open) -> None:
    files = calling(
        ("one", 'return {"utterance": "First.", "end_turn": False}'), ("two", 'return {"utterance": "Second."}')
    )
    files["topics/run_one.yaml"] = topic_file(
        "run one", "please run one now", actions="Call {{fn:one}}. Call {{fn:two}}."
    )
    assert texts(await talk_to(files).say("please run one now")) == ["First.", "Second."]


async def test_C44_say_overrides_the_returned_utterance(talk_to: Open) -> None:
    body = 'conv.say("Said.")\nreturn {"utterance": "Returned."}'
    assert texts(await talk_to(calling(("use", body))).say("please run use now")) == ["Said."]


async def test_C45_hangup_ends_the_conversation(talk_to: Open) -> None:
    outcome = await talk_to(calling(("use", 'return {"utterance": "Bye.", "hangup": True}'))).say("please run use now")
    assert (texts(outcome), outcome.end) == (["Bye."], True)


@pytest.mark.parametrize("returned", ["None", "{}", '""'])
async def test_C46_a_function_without_output_lets_the_topic_speak(talk_to: Open, returned: str) -> None:
    files = calling(("use", f"conv.state.name = 'Ada'\nreturn {returned}"))
    files["topics/run_use.yaml"] = topic_file(
        "run use", "please run use now", actions="Call {{fn:use}}.", content="Done, $name."
    )
    assert texts(await talk_to(files).say("please run use now")) == ["Done, Ada."]


async def test_C40_content_for_the_customer_is_said_and_instructions_are_not(talk_to: Open) -> None:
    files = calling(
        ("told", 'return "Tell the customer that the balance is 5."'), ("ordered", 'return "Ask for the name."')
    )
    talk = talk_to(files)
    assert texts(await talk.say("please run told now")) == ["The balance is 5."]
    assert texts(await talk.say("please run ordered now")) == ["All right, that's done."]


async def test_C47_P22_the_variant_changes(talk_to: Open) -> None:
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
async def test_C48_nonsense_does_not_crash_the_turn(talk_to: Open, returned: str) -> None:
    outcome = await talk_to(calling(("use", f"return {returned}"))).say("please run use now")
    assert not outcome.failed
    assert [(f.rule, f.file, f.line) for f in outcome.findings] == [("return-type", "functions/use.py", 5)]


async def test_C49_a_runaway_loop_stops(talk_to: Open) -> None:
    many = [f"f{number}" for number in range(12)]
    files = calling(*((name, "return None") for name in many))
    files["topics/all.yaml"] = topic_file(
        "all", "please run everything", actions=" ".join(f"Call {{{{fn:{n}}}}}." for n in many)
    )
    outcome = await talk_to(files).say("please run everything")
    assert outcome.failed
    assert len(outcome.calls) == 10
    assert rules(outcome) == ["function-loop"]


async def test_C62_write_once_keeps_the_first_value(talk_to: Open) -> None:
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


async def test_C63_topic_matches_are_metrics(talk_to: Open) -> None:
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


async def test_C66_conv_functions_with_and_without_conv(talk_to: Open) -> None:
    files = calling(("use", 'return {"utterance": conv.functions.add(1) + conv.functions.add(conv, 2)}'))
    files["functions/add.py"] = function_file("add", "return f'<{n}>'", "n: int")
    assert texts(await talk_to(files).say("please run use now")) == ["<1><2>"]


async def test_C67_maps_are_safe_on_every_channel(talk_to: Open) -> None:
    body = (
        'return {"utterance": str([conv.real_time_config.get("x", 1), conv.memory.get("x", 2),'
        ' conv.sip_headers.get("x", 3), conv.integration_attributes.get("x", 4), conv.variant, conv.entities.dob])}'
    )
    assert texts(await talk_to(calling(("use", body))).say("please run use now")) == ["[1, 2, 3, 4, None, None]"]


async def test_C68_voice_members_have_no_effect(talk_to: Open) -> None:
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
async def test_C69_the_channel_type(talk_to: Open, channel: str) -> None:
    talk = talk_to(calling(("use", 'return {"utterance": conv.channel_type}')), channel=channel)
    assert texts(await talk.say("please run use now")) == [channel]


async def test_C70_the_history_ends_with_the_current_input(talk_to: Open) -> None:
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


async def test_a_store_that_is_away_before_the_first_function_is_no_failure_of_the_turn(talk_to: Open) -> None:
    talk = talk_to(calling(("use", "return {'utterance': 'Here it is.'}")))
    await talk.say("hello")
    talk.announcing_fails = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await talk.say("please run use now")
    talk.announcing_fails = None
    assert texts(await talk.say("please run use now")) == ["Here it is."]


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
