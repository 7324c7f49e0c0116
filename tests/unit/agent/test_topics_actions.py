"""What the `topics` brain understands of actions, answers and values."""

import pytest

from warmline.agent.brains.topics.actions import Run, read_actions
from warmline.agent.brains.topics.language import SmallTalk, read_consent, small_talk, wants_human
from warmline.agent.brains.topics.slots import find_value, question_for
from warmline.agent.project.model import Parameter

X = (Run("fn", "x"),)


@pytest.mark.parametrize(
    "actions",
    [
        "Call {{fn:x}}.",
        "call {{fn:x}} immediately",
        "- Use {{fn:x}} to look it up. Do not invent anything.",
        "Ask for the postcode, then call {{fn:x}}.",
        "Once you have the postcode, call {{fn:x}}.",
        "After the customer provided the number, call {{fn:x}} with it.",
        "1. Ask for the name.\n2. Call {{fn:x}}.",
        "Call {{fn:x}}. Never call {{fn:y}}.",
        "Don't call {{fn:y}}. Call {{fn:x}}.",
    ],
)
def test_actions_at_once(actions: str) -> None:
    plan = read_actions(actions)
    assert (plan.at_once, plan.if_yes, plan.if_no, plan.needs_model) == (X, (), (), ())


@pytest.mark.parametrize(
    "actions",
    [
        "If the customer agrees, call {{fn:x}}.",
        "If the user says yes, call {{fn:x}}",
        "When they confirm: call {{fn:x}}.",
        "Call {{fn:x}} if the caller accepts the offer.",
        "If the customer would like that then call {{fn:x}}.",
        "If the customer agrees, ask for the reading and call {{fn:x}}.",
    ],
)
def test_actions_after_consent(actions: str) -> None:
    plan = read_actions(actions)
    assert (plan.at_once, plan.if_yes, plan.needs_model) == ((), X, ())


def test_actions_after_a_no() -> None:
    plan = read_actions('If they agree, call {{fn:x}}.\nIf the customer declines, say "All right."')
    assert (plan.if_yes, plan.if_no, plan.decline) == (X, (), "All right.")
    plan = read_actions("If the customer says yes, call {{fn:x}}. Otherwise, call {{fn:y}}.")
    assert (plan.if_yes, plan.if_no) == (X, (Run("fn", "y"),))
    plan = read_actions("If the user does not want that, call {{fn:x}}.")
    assert (plan.if_yes, plan.if_no) == ((), X)


def test_questions_in_actions() -> None:
    plan = read_actions("Ask whether the customer would like to switch. If they agree, call {{fn:x}}.")
    assert plan.ask == "Would you like to switch?"
    assert read_actions('Ask: "Shall I do it?" If they agree, call {{fn:x}}.').ask == "Shall I do it?"


def test_handoffs_and_several_functions() -> None:
    plan = read_actions("Call {{fn:x}} and {{fn:y}}, then {{ho:Billing Desk}}.")
    assert plan.at_once == (Run("fn", "x"), Run("fn", "y"), Run("ho", "Billing Desk"))


def test_conditions_that_need_a_model_are_left_out_and_listed() -> None:
    plan = read_actions("Be kind. If the account is closed, call {{fn:x}}.")
    assert plan.at_once == ()
    assert plan.needs_model == ("If the account is closed, call {{fn:x}}.",)


def test_instructions_without_functions_are_nothing() -> None:
    plan = read_actions("Do not solve the dispute yourself. Stay polite.")
    assert (plan.at_once, plan.ask, plan.needs_model) == ((), "", ())


@pytest.mark.parametrize(
    ("text", "consent"),
    [
        ("yes", True),
        ("Yes please!", True),
        ("ok", True),
        ("sure, go ahead", True),
        ("that would be great", True),
        ("I'd like that", True),
        ("of course", True),
        ("Yeah I would", True),
        ("ja gerne", True),
        ("no", False),
        ("No, thanks", False),
        ("nope", False),
        ("maybe later", False),
        ("not now", False),
        ("I don't want that", False),
        ("what tariffs do you have", None),
        ("", None),
        ("LS6 3AB", None),
    ],
)
def test_consent(text: str, consent: bool | None) -> None:
    assert read_consent(text) is consent


@pytest.mark.parametrize(
    "text",
    [
        "I want to speak to a person",
        "can I talk to a human please",
        "agent",
        "Human!",
        "put me through to someone",
        "transfer me",
        "I need an agent",
        "get me a real person",
        "let me chat with a representative",
        "connect me to customer service",
    ],
)
def test_wish_for_a_human(text: str) -> None:
    assert wants_human(text)


@pytest.mark.parametrize(
    "text", ["I am a person", "what does an agent cost", "how do I talk to my meter", "my human rights", "hello", ""]
)
def test_no_wish_for_a_human(text: str) -> None:
    assert not wants_human(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Hi there", SmallTalk.HELLO),
        ("good morning", SmallTalk.HELLO),
        ("thank you very much", SmallTalk.THANKS),
        ("Thanks, that's all", SmallTalk.GOODBYE),
        ("bye", SmallTalk.GOODBYE),
        ("hi, my power is out", None),
        ("thanks for nothing, my bill is wrong", None),
    ],
)
def test_small_talk(text: str, kind: SmallTalk | None) -> None:
    assert small_talk(text) is kind


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (Parameter(name="postcode", type="string"), "I live at LS6 3AB, help", "LS6 3AB"),
        (Parameter(name="zip", type="string"), "it's 94107", "94107"),
        (Parameter(name="place", type="string", description="The postal code"), "ls63ab", "ls63ab"),
        (Parameter(name="email", type="string"), "write to a.b@c.co please", "a.b@c.co"),
        (Parameter(name="phone", type="string"), "call +44 20 7946 0000.", "+44 20 7946 0000"),
        (Parameter(name="order_number", type="string"), "it is ORD-0017", "ORD-0017"),
        (Parameter(name="order_number", type="string"), "I forgot", None),
        (Parameter(name="reading", type="integer"), "it's 45,210 now", 45210),
        (Parameter(name="amount", type="number"), "12.50 pounds", 12.5),
        (Parameter(name="amount", type="number"), "a lot", None),
        (Parameter(name="postcode", type="string"), "no idea", None),
    ],
)
def test_values_in_messages(parameter: Parameter, text: str, value: object) -> None:
    assert find_value(parameter, text, asked=True) == value


def test_free_text_and_yes_or_no_only_count_when_asked_for() -> None:
    name, consent = Parameter(name="name", type="string"), Parameter(name="wants", type="boolean")
    assert find_value(name, "Ada Lovelace", asked=False) is None
    assert find_value(name, " Ada Lovelace ", asked=True) == "Ada Lovelace"
    assert find_value(consent, "yes", asked=False) is None
    assert find_value(consent, "no", asked=True) is False


def test_questions_give_the_example_of_the_description() -> None:
    parameter = Parameter(name="order_number", type="string", description="The order, such as ORD-1")
    assert question_for(parameter, "Your {name}?") == "Your order number? (For example ORD-1.)"


@pytest.mark.parametrize(
    "text", ["why do you ask?", "no thanks", "thanks a lot", "I don't know", "never mind", "cancel"]
)
def test_what_is_no_value(text: str) -> None:
    assert find_value(Parameter(name="colour", type="string", description="The colour."), text, asked=True) is None


@pytest.mark.parametrize(
    ("prompt", "question"),
    [
        (
            "Ask what the patient needs - a check-up, or a cleaning.",
            "Please tell me what you need - a check-up, or a cleaning.",
        ),
        ("Say you are sorry, and ask what is wrong with the bike.", "Please tell me what is wrong with the bike."),
        ("Ask on which day the guest would like to come.", "Please tell me on which day you would like to come."),
        ("Ask the caller when they moved in.", "Please tell me when you moved in."),
        ("Ask if the customer has an account.", "Please tell me whether you have an account."),
        ('Ask "Which one?"', "Which one?"),
    ],
)
def test_what_a_prompt_wants_asked(prompt: str, question: str) -> None:
    assert read_actions(prompt).ask == question


@pytest.mark.parametrize(
    ("prompt", "question"),
    [
        ("Ask for the patient's full name.", "Please tell me your full name."),
        ("Ask the customer for their postcode and then call {{ft:x}}.", "Please tell me your postcode."),
        (
            "Ask for how many nights and for how many guests.\nThen call {{ft:x}}.",
            "Please tell me how many nights and for how many guests.",
        ),
    ],
)
def test_what_a_prompt_wants_asked_for(prompt: str, question: str) -> None:
    plan = read_actions(prompt)
    assert (plan.ask, plan.wants) == ("", question)
