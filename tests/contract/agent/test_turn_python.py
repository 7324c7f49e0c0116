"""What project functions may import and keep (agent-project.md §4 and §5.2)."""

from pathlib import Path

import pytest

from support.agent_projects import (
    Open,
    Talk,
    calling,
    engine,
    function_file,
    start_function,
    texts,
    topic_file,
    write_project,
)


async def test_C09_a_module_that_does_not_import_fails_only_when_it_is_called(talk_to: Open) -> None:
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


async def test_C10_two_projects_do_not_see_each_others_functions(talk_to: Open, tmp_path: Path) -> None:
    helper = "from _gen import *\n\nNAME = {!r}\n\n\ndef helper(conv: Conversation):\n    return None\n"
    body = 'from functions.helper import NAME\nreturn {"utterance": NAME}'
    talks = []
    for name in ("one", "two"):
        files = {**calling(("tell", body)), "functions/helper.py": helper.format(name)}
        talks.append(talk_to(files, tmp_path / name))
    assert [texts(await talk.say("please run tell now")) for talk in talks] == [["one"], ["two"]]


async def test_C12_C13_imports_and_loggers(talk_to: Open) -> None:
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


async def test_C02_the_projects_own_gen_is_never_imported(talk_to: Open) -> None:
    files = {**calling(("use", 'return {"utterance": "ok"}')), "_gen/__init__.py": "raise RuntimeError('stub')\n"}
    assert texts(await talk_to(files).say("please run use now")) == ["ok"]


async def test_the_servers_secrets_are_not_in_the_functions_environment(
    talk_to: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMLINE_SECRET_KEY", "top secret")
    body = 'import os\nreturn {"utterance": str(sorted(k for k in os.environ if "WARMLINE" in k))}'
    assert texts(await talk_to(calling(("use", body))).say("please run use now")) == ["[]"]


async def test_C15_arguments_are_coerced_and_asked_for(talk_to: Open) -> None:
    files = {
        "functions/add.py": function_file(
            "add", 'return {"utterance": f"{amount + 1} {type(note).__name__}"}', "amount: int, note: str"
        ),
        "topics/add.yaml": topic_file("add", "please add something", actions="Call {{fn:add}}."),
    }
    talk = talk_to(files)
    assert texts(await talk.say("please add something")) == ["Could you tell me your amount, please?"]
    assert texts(await talk.say("quite a lot")) == ["Could you tell me your amount, please?"]
    assert texts(await talk.say("it is 42")) == ["Could you tell me your note, please?"]
    outcome = await talk.say("as you like")
    assert texts(outcome) == ["43 str"]
    assert outcome.calls[0].arguments == {"amount": 42, "note": "as you like"}


async def test_C16_a_failing_function_changes_nothing(talk_to: Open) -> None:
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


async def test_C18_rich_state_survives_a_new_process(tmp_path: Path) -> None:
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


async def test_C20_the_platforms_keys_are_present(talk_to: Open) -> None:
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
