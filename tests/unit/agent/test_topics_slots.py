"""Values for parameters, as far as they can be told apart in one message."""

import pytest

from warmline.agent.brains.topics.actions import read_actions
from warmline.agent.brains.topics.slots import named_number
from warmline.agent.project.model import Parameter

NIGHTS = Parameter(name="nights", type="integer")
GUESTS = Parameter(name="guests", type="integer")


@pytest.mark.parametrize(
    ("text", "nights", "guests"),
    [
        ("3 nights for 2 guests", "3", "2"),
        ("2 adult guests, one night", "", "2"),
        ("1 night please", "1", ""),
        ("7", "", ""),
        ("", "", ""),
    ],
)
def test_a_number_belongs_to_the_parameter_that_is_named_after_it(text: str, nights: str, guests: str) -> None:
    assert (named_number(NIGHTS, text).strip(), named_number(GUESTS, text).strip()) == (nights, guests)


def test_a_quote_of_several_sentences_is_one_thing_to_say() -> None:
    plan = read_actions('Say "We have it. It is blue. Shall I book it?"\nIf the guest agrees, call {{ft:book}}.')
    assert "We have it. It is blue. Shall I book it?" in f"{plan.say} {plan.ask}"
    assert [run.name for run in plan.if_yes] == ["book"]


def test_at_once_is_no_condition() -> None:
    plan = read_actions("Call {{fn:start}} at once.")
    assert ([run.name for run in plan.at_once], plan.needs_model) == (["start"], ())
