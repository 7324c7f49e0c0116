"""Functions that ask for a human (agent-project.md §7.3)."""

import pytest

from support.agent_projects import Open, calling, rules, texts, topic_file
from warmline.domain.turn import HandoffRequest


async def test_C71_the_exact_webex_handoff(talk_to: Open) -> None:
    body = (
        'return {"utterance": "No problem, I\'ll transfer you to one of our agents now.", '
        '"handoff": {"text_chat": {"webex_integration": {"queue": "billing"}}}}'
    )
    outcome = await talk_to(calling(("use", body))).say("please run use now")
    assert texts(outcome) == ["No problem, I'll transfer you to one of our agents now."]
    assert outcome.handoff == HandoffRequest(integration="webex_integration", options={"queue": "billing"})
    assert (outcome.handoff_error, outcome.failed) == (False, False)


async def test_C72_call_handoff(talk_to: Open) -> None:
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
async def test_C73_unknown_destinations_go_to_the_default(
    talk_to: Open, destination: str, expected: str, reported: list[str]
) -> None:
    files = {**calling(("use", f"conv.call_handoff({destination!r})")), "config/handoffs.yaml": HANDOFFS}
    outcome = await talk_to(files).say("please run use now")
    assert outcome.handoff is not None
    assert outcome.handoff.destination == expected
    assert rules(outcome) == reported


async def test_C74_a_typed_bye_asks_for_a_human_and_a_bare_one_ends(talk_to: Open) -> None:
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


async def test_C78_a_handoff_may_pass_through_the_state(talk_to: Open) -> None:
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
