"""Return values of functions (agent-project.md §7)."""

import pytest

from warmline.agent.turn.returns import INTEGRATIONS, HandoffMalformed, Wishes, read_handoff, read_return
from warmline.domain.turn import HandoffRequest


def test_C40_a_text_is_content() -> None:
    assert read_return("Ask for the name.") == Wishes(content="Ask for the name.")


def test_C41_an_utterance_ends_the_turn() -> None:
    wishes = read_return({"utterance": "Hello"})
    assert (wishes.utterance, wishes.end_turn) == ("Hello", True)


def test_C43_end_turn_false_goes_on() -> None:
    assert not read_return({"utterance": "Hello", "end_turn": False}).end_turn


def test_C45_hangup_ends_the_conversation() -> None:
    assert read_return({"utterance": "Bye", "hangup": True}).hangup


@pytest.mark.parametrize("value", [None, {}, ""])
def test_C46_nothing_is_nothing(value: object) -> None:
    assert read_return(value) == Wishes()


def test_C47_a_variant() -> None:
    assert read_return({"variant": "north"}).variant == "north"


@pytest.mark.parametrize(("value", "name"), [(True, "bool"), ([1, 2], "list"), (7, "int"), ("<x>", "Thing")])
def test_C48_odd_types_become_text_and_are_reported(value: object, name: str) -> None:
    wishes = read_return(value, name)
    assert wishes.content == str(value)
    assert [rule for rule, _ in wishes.oddities] == ["return-type"]


def test_C48_an_object_without_a_text_of_its_own_is_not_shown_to_anybody() -> None:
    wishes = read_return("<generator object f at 0x7f46e0447640>", "generator")
    assert wishes.content == ""
    assert [rule for rule, _ in wishes.oddities] == ["return-type"]


def test_C54_transitions() -> None:
    wishes = read_return({"transition": {"goto_flow": "F", "goto_step": "S", "exit_flow": True}})
    assert (wishes.goto_flow, wishes.goto_step, wishes.exit_flow) == ("F", "S", True)


def test_a_transition_that_is_no_dict_has_no_effect_and_is_reported() -> None:
    wishes = read_return({"transition": "F"})
    assert wishes.goto_flow is None
    assert [rule for rule, _ in wishes.oddities] == ["return-value"]


def test_an_unknown_key_is_reported() -> None:
    assert [rule for rule, _ in read_return({"utterence": "Hi"}).oddities] == ["return-key"]


def test_C30_a_short_listen_is_recognised() -> None:
    assert read_return({"utterance": "", "listen": {"asr": {"timeout": 0.1}}}).short_listen
    assert not read_return({"utterance": "", "listen": {"asr": {"timeout": 5}}}).short_listen
    assert not read_return({"listen": "x"}).short_listen


def test_C71_the_exact_webex_handoff() -> None:
    wishes = read_return(
        {
            "utterance": "No problem, I'll transfer you to one of our agents now.",
            "handoff": {"text_chat": {"webex_integration": {}}},
        }
    )
    assert wishes.utterance == "No problem, I'll transfer you to one of our agents now."
    assert wishes.handoff == HandoffRequest(integration="webex_integration")
    assert wishes.handoff_error == ""


@pytest.mark.parametrize("stem", ["webex", "salesforce", "zendesk", "nice", "amazon_connect", "genesys", "five9"])
def test_every_integration_key_is_known(stem: str) -> None:
    key = f"{stem}_integration"
    assert key in INTEGRATIONS
    request, ends = read_handoff({"text_chat": {key: {"queue": "billing"}}, "reason": "r", "type": "T"})
    assert request == HandoffRequest(integration=key, destination="T", reason="r", options={"queue": "billing"})
    assert not ends


@pytest.mark.parametrize(
    "value",
    [
        {"text_chat": {"webx_integration": {}}},
        {"text_chat": {}},
        {"text_chat": "webex_integration"},
        {"text_chat": {"webex_integration": {}, "nice_integration": {}}},
        {"text_chat": {"webex_integration": "now"}},
        {"webex_integration": {}},
        {"type": "X"},
        ["webex_integration"],
        7,
    ],
)
def test_a_malformed_handoff_says_what_is_wrong(value: object) -> None:
    with pytest.raises(HandoffMalformed) as caught:
        read_handoff(value)
    assert "`" in str(caught.value)
    wishes = read_return({"utterance": "One moment.", "handoff": value})
    assert wishes.handoff is None
    assert wishes.handoff_error
    assert wishes.utterance == "One moment."


@pytest.mark.parametrize(
    ("value", "request_"),
    [
        (True, HandoffRequest(integration=None)),
        ("QUEUE", HandoffRequest(integration=None, destination="QUEUE", reason="QUEUE")),
        (
            {"type": "Desk", "reason": "why", "refer": {"phone_number": "+1"}},
            HandoffRequest(
                integration=None, destination="Desk", reason="why", options={"refer": {"phone_number": "+1"}}
            ),
        ),
        (
            {"type": "Desk", "cxone": {"signal": {"params": {"p": 1}}}},
            HandoffRequest(
                integration=None,
                destination="Desk",
                reason="Desk",
                options={"cxone": {"signal": {"params": {"p": 1}}}},
            ),
        ),
        ({"type": "Desk", "bye": {}}, HandoffRequest(integration=None, destination="Desk", reason="Desk")),
    ],
)
def test_C74_voice_forms_ask_for_a_human(value: object, request_: HandoffRequest) -> None:
    assert read_handoff(value) == (request_, False)


def test_C74_bye_without_a_type_ends_the_conversation() -> None:
    assert read_handoff({"bye": {}}) == (None, True)
    assert read_return({"handoff": {"bye": {}}}).hangup
