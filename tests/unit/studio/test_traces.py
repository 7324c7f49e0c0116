"""The trace of each event of a log."""

from warmline.domain import events as e
from warmline.studio.views.traces import traces
from warmline.telemetry import trace_id_of


def test_answers_and_confirmations_belong_to_the_message_they_are_about() -> None:
    facts: tuple[e.Event, ...] = (
        e.VirtualAgentMessage(message_id="greeting", text="Hello"),
        e.UserMessage(message_id="question", text="How much?"),
        e.VirtualAgentMessage(message_id="answer", text="Nothing.", answers=2),
        e.MessageReceived(message_id="question"),
        e.LiveAgentMessage(message_id="human", text="Indeed."),
        e.LanguageChanged(language_code="en-GB"),
    )
    log = [e.Recorded(sequence=n, id=str(n), at=n, event=fact) for n, fact in enumerate(facts, 1)]
    question = trace_id_of("question")
    assert traces(log) == ["", question, question, question, trace_id_of("human"), ""]
