"""Numbers beside other answers, in default steps without a language model (agent-project.md §8.5)."""

import pytest

from support.agent_projects import Open, calling, texts
from support.flow_projects import default_step_file, flow_file, step_file

BOOK = {
    "config/entities.yaml": """
        entities:
          - {name: room, description: Size, entity_type: enum, config: {options: [small, large]}}
          - {name: guests, description: How many people come, entity_type: numeric, config: {min: 1, max: 8}}
          - {name: arrival, description: When they come, entity_type: time, config: {end_time: "20:00"}}
    """,
    "flows/book/flow_config.yaml": flow_file("book", "Collect"),
    "flows/book/steps/collect.yaml": default_step_file(
        "Collect", "Collect what is needed.", "room, guests, arrival", "Known -> Confirm: room, guests, arrival"
    ),
    "flows/book/steps/confirm.yaml": step_file("Confirm", 'Ask: "A $room room for $guests, shall I book it?"'),
    **calling(("reserve", 'conv.goto_flow("book")')),
}
TOO_MANY = "I'm sorry, I could not use that: the most is 8. Could you tell me your guests, please?"
HOW_MANY, WHEN = "Could you tell me your guests, please?", "Could you tell me your arrival, please?"


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        ("a large one for 12 people", TOO_MANY),
        ("12 people, large", TOO_MANY),
        ("large, we are twelve people", TOO_MANY),
        ("a large one. Twenty five people!", TOO_MANY),
        ("for my people a large one, 12 guests", TOO_MANY),
        ("a large one for 4 people", WHEN),
        ("a large one at 22:00", HOW_MANY),
        ("large, 2 dogs", HOW_MANY),
        ("large, 2 come", HOW_MANY),
    ],
)
async def test_a_number_beside_another_answer_is_read_by_its_word(talk_to: Open, said: str, answered: str) -> None:
    talk = talk_to(BOOK, language="en-GB")
    await talk.say("please run reserve now")
    assert texts(await talk.say(said)) == [answered]
