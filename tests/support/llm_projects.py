"""Small agent projects for a language model, and the answers that move them."""

from typing import Any

from support.agent_projects import CHAT, function_file, topic_file
from support.llm import LlmLab
from warmline.domain.turn import TurnOutcome
from warmline.emulators.llm.script import Answer, Call, When

AGENT = {
    "agent_settings/personality.yaml": "adjectives: {Polite: true}\n",
    "agent_settings/role.yaml": "value: Receptionist\n",
    "agent_settings/rules.txt": "Help with bookings. To end the chat call {{fn:hangup}}.\n",
    "functions/hangup.py": function_file("hangup", "return {'utterance': 'Goodbye.', 'hangup': True}"),
    **CHAT,
}
HOURS = topic_file("opening hours", "when are you open|what are your opening hours", content="Open from 8 to 18.")
PRICES = topic_file(
    "prices", "what does a table cost|how much is dinner", content="Tables are free.", actions="Call {{fn:price_list}}."
)
PARKING = topic_file("parking", "where can I park my car|is there a car park", content="Behind the house.")
TOPICS = {
    "topics/opening_hours.yaml": HOURS,
    "topics/prices.yaml": PRICES,
    "topics/parking.yaml": PARKING,
    "functions/price_list.py": function_file("price_list", "return 'Dinner is 20.'"),
}
FLOW = {
    "flows/booking/flow_config.yaml": "name: booking\ndescription: Books.\nstart_step: Start\n",
    "flows/booking/steps/start.yaml": """
        name: Start
        step_type: advanced_step
        prompt: Ask for the day, then call {{ft:save_day}}.
        """,
    "flows/booking/steps/done.yaml": """
        name: Done
        step_type: advanced_step
        prompt: Say that it is booked.
        """,
    "flows/booking/functions/save_day.py": function_file(
        "save_day", "conv.state.day = day\nflow.goto_step('Done')\nreturn 'Saved.'", "day: str"
    ).replace("conv: Conversation, ", "conv: Conversation, flow: Flow, "),
    "functions/book.py": function_file("book", "conv.goto_flow('booking')\nreturn 'The flow speaks next.'"),
    "agent_settings/rules.txt": "Bookings: call {{fn:book}}.\n",
    **CHAT,
}


def calls(name: str, arguments: Any = None, *, say: str = "", user: str = "", times: int | None = None) -> Answer:
    """Give an answer that calls one tool."""
    return Answer(when=When(user=user), say=say, calls=(Call(name=name, arguments=arguments or {}),), times=times)


def after(tool: str, say: str) -> Answer:
    """Give what is said after the tool `tool` returned."""
    return Answer(when=When(tool=tool), say=say)


def calling(body: str, parameters: str = "") -> dict[str, str]:
    """Give a project whose rules let the model call `act`."""
    return {
        **CHAT,
        "agent_settings/rules.txt": "Call {{fn:act}}.\n",
        "functions/act.py": function_file("act", body, parameters),
    }


def tool_results(lab: LlmLab) -> list[str]:
    """Give the tool results in the last request."""
    return [message["content"] for message in lab.last["messages"] if message["role"] == "tool"]


def traced(outcome: TurnOutcome, kind: str) -> list[Any]:
    """Give the data of all trace entries of one kind."""
    return [entry.data for entry in outcome.trace if entry.kind == kind]
