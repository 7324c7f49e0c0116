"""The `topics` brain: answers from topics and follows flows without a language model, the same way every time."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec

from warmline.agent.brains.topics import advanced_step, default_step
from warmline.agent.brains.topics.acting import (
    MOST_ASKED,
    ask_for,
    asked_parameter,
    for_the_customer,
    joined,
    named,
    phrase,
    run,
    speak,
    value_given,
)
from warmline.agent.brains.topics.language import ordinal, read_consent, small_talk, wants_human
from warmline.agent.brains.topics.meaning import Encoder
from warmline.agent.brains.topics.notes import Notes, Turn, place_of
from warmline.agent.brains.topics.retrieval import Found, Retriever, sentences
from warmline.agent.project.experimental import topic_functions_in_flow
from warmline.agent.project.model import Function, Project, Step, Topic
from warmline.agent.turn.brain import CallHandoff, GiveUp, Move, Position, Situation, Speak
from warmline.agent.turn.tools import ENTITIES_TOOL

_HUMAN_SHARE = 0.3
"""Share of a topic's sentences that must ask for a human to make it the topic for that wish."""
_CLOSE = 0.75
"""A second topic this close to the first, as a share of its probability, makes the answer doubtful."""


class TopicsBrain:
    """Routes a message to a topic, says its content, does what its actions name, and follows plain flows."""

    def __init__(self, project: Project, encoder: Encoder | None = None) -> None:
        """Fit the router to the project's topics; `encoder` tells it what sentences mean."""
        self.retriever = Retriever(project, encoder)
        self.router = self.retriever.router
        self._human_topic = _human_topic(self.retriever.candidates(None).values())

    async def next_move(self, situation: Situation) -> Move:
        """Choose the next move of the turn; see `warmline.agent.turn.brain.Brain`."""
        turn = Turn(situation, msgspec.convert(situation.memory, Notes))
        if situation.position is not None:
            return self._in_flow(turn, situation.position)
        if turn.notes.place:
            turn = turn.noting(Notes())
            if situation.results:
                return self._left_flow(turn)
        if situation.results:
            return self._after_function(turn)
        if not situation.text.strip():
            return Speak(text="", memory=situation.memory)
        return self._waited_for(turn) or self._routed(turn)

    # Flows

    def _in_flow(self, turn: Turn, position: Position) -> Move:
        situation, notes, place = turn.situation, turn.notes, place_of(position)
        if isinstance(position.step, Function):
            return GiveUp(why=f"the function step `{position.step.name}` leads nowhere")
        result = situation.results[-1] if situation.results else None
        if result is not None and result.error:
            return GiveUp(why=f"`{result.name}` failed", topic=notes.topic, memory=situation.memory)
        if result is None and (move := self._person_wanted(turn)):
            return move
        if notes.topic and notes.waiting and result is None and (move := self._waited_for(turn)):
            return move
        told = self._told(turn)
        if notes.place != place:
            # A question that has an answer of its own does not begin the step: the next message does.
            aside = self._aside(turn, position) if result is None and situation.text.strip() else None
            if aside is not None and aside[1]:
                return aside[0]
            left = notes.left if notes.place.partition("\n")[0] == position.flow.name else []
            outright = not notes.place and not notes.arguments
            return self._enter(turn.noting(Notes(place=place, left=left)), position.step, told, outright)
        if result is not None:
            return self._after_move(turn, position.step, told)
        if not situation.text.strip():
            return Speak(text="", memory=situation.memory)
        return self._answered(turn, position)

    def _told(self, turn: Turn) -> str:
        """Give what functions have returned for the customer."""
        situation = turn.situation
        result = situation.results[-1] if situation.results else None
        content = result.content if result else situation.pending_content
        # What came of collected entities is for a model; this brain asks again by itself.
        of_entities = result is not None and result.name == ENTITIES_TOOL
        return "" if of_entities else for_the_customer(situation.render(content))

    def _enter(self, turn: Turn, step: Step, told: str, outright: bool) -> Move:
        if turn.situation.position is not None and turn.situation.position.collects:
            return default_step.entered(turn, told, outright=outright)
        return advanced_step.entered(turn, told) or self._cannot(turn, step, "its prompt is not plain enough", told)

    def _after_move(self, turn: Turn, step: Step, told: str) -> Move:
        result = turn.situation.results[-1]
        if turn.situation.position is not None and turn.situation.position.collects:
            return default_step.after(turn)
        if result.content and not turn.notes.runs and (move := self._instructed(turn, result.content, told)):
            return move
        move = advanced_step.after(turn, result, told)
        return move or self._cannot(turn, step, f"what `{result.name}` returned is for a model", "")

    def _answered(self, turn: Turn, position: Position) -> Move:
        """Take the customer's message inside a flow."""
        assert isinstance(position.step, Step)
        if turn.notes.waiting == "person":
            turn = turn.noting(turn.notes.settled())
        step = default_step if position.collects else advanced_step
        aside = self._aside(turn, position)
        if aside is not None and aside[1]:
            return aside[0]
        move = step.answered(turn)
        if move is None and aside is not None:
            move = aside[0]
        return move or step.again(turn) or self._cannot(turn, position.step, "the answer was not understood", "")

    def _aside(self, turn: Turn, position: Position) -> tuple[Move, bool] | None:
        """Answer from a topic inside a flow, then repeat the question; tell also whether it is surely meant."""
        found = self._find(turn)
        if not found or found[0].distance > self.retriever.settings.in_flow_threshold:
            return None
        best, notes = found[0], turn.notes
        plan = Turn(turn.situation, _opened(best)).plan
        if plan.at_once and topic_functions_in_flow(turn.situation.project, position.flow.name, position.step.name):
            return self._open(turn, best), best.exact
        content = turn.situation.render(best.topic.content.value)
        if not content:
            return None
        opened = _opened(best)
        move = speak(turn, joined(content, notes.question), notes)
        return replace(move, topic=opened.topic, why=opened.why, distance=opened.distance), best.exact

    def _cannot(self, turn: Turn, step: Step, why: str, told: str) -> Move:
        """Offer a human where the step needs a language model, rather than invent something."""
        finding = advanced_step.cannot(step, why)
        if turn.situation.silent:
            return speak(turn, told, turn.notes.settled(), findings=(finding,))
        if not self._has_people(turn):
            text = joined(told, "" if told else phrase(turn, "dont_know"))
            return speak(turn, text, turn.notes.settled(), findings=(finding,))
        notes = turn.notes.settled(waiting="person")
        return speak(turn, joined(told, phrase(turn, "offer_person")), notes, findings=(finding,))

    def _left_flow(self, turn: Turn) -> Move:
        """Go on after a flow has been left."""
        result = turn.situation.results[-1]
        if result.error:
            return GiveUp(why=f"`{result.name}` failed")
        told = self._told(turn)
        if result.content and (move := self._instructed(turn, result.content, told)):
            return move
        if result.said or turn.situation.silent:
            return speak(turn, "" if result.said else told, Notes())
        return speak(turn, told or phrase(turn, "declined"), Notes())

    def _instructed(self, turn: Turn, content: str, told: str) -> Move | None:
        """Follow what a function returned as instructions; None when there is nothing to follow in it."""
        turn = turn.noting(turn.notes.settled(instructions=content))
        plan = turn.plan
        if not (plan.at_once or plan.waits or plan.ask):
            return None
        said = "" if told and plan.ask and told in (plan.ask, plan.say) else told
        return advanced_step.entered(turn, "" if said == turn.situation.render(plan.say) else said)

    # Topics

    def _waited_for(self, turn: Turn) -> Move | None:
        """Take the message as the answer to what was asked; None when it is none."""
        notes, text = turn.notes, turn.situation.text
        if self._has_people(turn) and wants_human(text):
            return None
        if notes.waiting == "choice":
            chosen = self._chosen(turn)
            return self._open(turn, chosen) if chosen else None
        if notes.waiting == "person":
            return self._person_wanted(turn)
        if notes.instructions and notes.waiting:
            return advanced_step.answered(turn)
        topic = self._topics(turn).get(notes.topic)
        if topic is None or (notes.waiting and self._is_about_another(turn, topic)):
            return None
        if notes.waiting == "consent":
            consent = read_consent(text)
            if consent is not None:
                return self._consented(turn, topic, consent)
        if notes.waiting == "value":
            return self._value_given(turn)
        return None

    def _topics(self, turn: Turn) -> dict[str, Topic]:
        return self.retriever.candidates(turn.situation.variant)

    def _find(self, turn: Turn, only: Iterable[str] | None = None) -> tuple[Found, ...]:
        """Give the topics nearest to the message, at most two."""
        situation, settings = turn.situation, self.retriever.settings
        said = [item.text for item in situation.history if item.role == "user"]
        if said and said[-1] == situation.text:
            said.pop()
        earlier = list(reversed(said[-settings.previous_inputs :])) if settings.previous_inputs else []
        disabled = situation.disabled_topics
        if only is not None:
            disabled = disabled | (frozenset(self._topics(turn)) - frozenset(only))
        found = self.retriever.find(
            [situation.text, *earlier],
            channel=situation.channel,
            variant=situation.variant,
            disabled=disabled,
            most=min(2, settings.top_k),
        )
        seen = [{"topic": f.topic.name, "distance": f.distance, "nearest": f.example} for f in found]
        situation.trace("retrieved", {"topics": seen})
        return found

    def _has_people(self, turn: Turn) -> bool:
        """Tell whether the project has a way to a human."""
        project = turn.situation.project
        return bool(self._human_topic or project.handoffs or project.handoff_routes)

    def _person_wanted(self, turn: Turn) -> Move | None:
        """Go to a human where the customer asks for one or accepts the offer; None when that is not so."""
        text, project = turn.situation.text, turn.situation.project
        accepted = turn.notes.waiting == "person" and read_consent(text)
        if not (self._has_people(turn) and (accepted or wants_human(text))):
            return None
        if self._human_topic:
            topic = self.retriever.candidates(None)[self._human_topic]
            return self._open(turn, Found(topic, 0.0, 1.0, "a direct wish for a human", exact=True))
        default = next((handoff.name for handoff in project.handoffs.values() if handoff.is_default), "default")
        return CallHandoff(destination=default, reason="a direct wish for a human", why="a direct wish for a human")

    def _is_about_another(self, turn: Turn, topic: Topic) -> bool:
        """Tell whether the message is surely about something else than `topic`."""
        found = self._find(turn)
        short = len(turn.situation.text.split()) <= 3
        return bool(
            found
            and found[0].distance <= self.retriever.settings.threshold
            and found[0].topic.name != topic.name
            and (found[0].exact or (not short and found[0].probability >= max(0.5, 2 * self.router.threshold)))
        )

    def _chosen(self, turn: Turn) -> Found | None:
        """Give the topic that the customer chose of those that were offered."""
        text, topics = turn.situation.text.strip(), self._topics(turn)
        named_so = [name for name in turn.notes.choices if name in topics and _label(topics[name]) == text]
        if named_so:
            return Found(topics[named_so[0]], 0.0, 1.0, text, exact=True)
        place = ordinal(text, len(turn.notes.choices))
        if place is not None and turn.notes.choices[place] in topics:
            return Found(topics[turn.notes.choices[place]], 0.0, 1.0, text, exact=True)
        found = self._find(turn, only=turn.notes.choices)
        if not found or found[0].distance > self.retriever.settings.threshold or _doubtful(found):
            return None
        return replace(found[0], example=text, exact=True)

    def _consented(self, turn: Turn, topic: Topic, consent: bool) -> Move:
        plan = turn.plan
        runs = plan.if_yes if consent else plan.if_no
        notes = Notes(topic=topic.name, why="the customer agreed" if consent else "the customer declined")
        if runs:
            return run(turn.noting(notes), named(runs), before=plan.accept if consent else plan.decline)
        said = (plan.accept if consent else plan.decline) or phrase(turn, "done" if consent else "declined")
        return speak(turn, turn.situation.render(said), notes)

    def _value_given(self, turn: Turn) -> Move | None:
        parameter = asked_parameter(turn)
        if parameter is None:
            return None
        if move := value_given(turn):
            return move
        found = self._find(turn)
        unknown = not found or found[0].distance > self.retriever.settings.threshold
        if turn.notes.asked < MOST_ASKED and unknown:
            return ask_for(turn, parameter, turn.notes.runs, turn.notes.arguments)
        return None

    def _routed(self, turn: Turn) -> Move:
        """Find the topic of a message that answers nothing asked before."""
        situation = turn.situation
        found = self._find(turn)
        exact = bool(found) and found[0].exact
        if not exact and (move := self._person_wanted(turn)):
            return move
        if not exact and (politeness := small_talk(situation.text)):
            return speak(turn, phrase(turn, politeness), Notes(why="small talk"))
        if not found or found[0].distance > self.retriever.settings.threshold:
            near = ", ".join(f"{one.topic.name} {one.probability:.0%}" for one in found)
            return speak(turn, phrase(turn, "dont_know"), Notes(why=f"nothing is close enough ({near})"))
        if _doubtful(found):
            choices = [one.topic.name for one in found]
            notes = Notes(waiting="choice", choices=choices, why=f"in doubt between {' and '.join(choices)}")
            return speak(turn, phrase(turn, "which_topic"), notes, tuple(_label(one.topic) for one in found))
        return self._open(turn, found[0])

    def _open(self, turn: Turn, found: Found) -> Move:
        """Answer from a topic: run what is to be run at once, else say its content."""
        turn = turn.noting(_opened(found))
        plan = Turn(turn.situation, turn.notes).plan
        if plan.at_once:
            return self._run(turn, named(plan.at_once))
        return self._content(turn)

    def _content(self, turn: Turn, fallback: str = "dont_know") -> Move:
        topic, plan, notes = self._topics(turn).get(turn.notes.topic), turn.plan, turn.notes
        text = turn.situation.render(joined(topic.content.value if topic else "", plan.say))
        if plan.ask and "?" not in text[-200:]:
            text = joined(text, turn.situation.render(plan.ask))
        if plan.if_yes or plan.if_no:
            notes = notes.settled(waiting="consent")
        return speak(turn, text or phrase(turn, fallback), notes)

    def _run(self, turn: Turn, runs: Sequence[str]) -> Move:
        topic = self._topics(turn).get(turn.notes.topic)
        return run(turn, runs, utterance=turn.situation.render(topic.content.value) if topic else "")

    def _after_function(self, turn: Turn) -> Move:
        """Go on after a function that said nothing, or that wants the turn to go on."""
        result, notes = turn.situation.results[-1], turn.notes
        if result.error:
            return GiveUp(topic=notes.topic, why=notes.why, memory={})
        if notes.runs:
            return self._run(turn, notes.runs)
        told = self._told(turn)
        if result.content and (move := self._instructed(turn, result.content, told)):
            return move
        if result.said:
            return Speak(text="", memory={})
        plain = Notes(topic=notes.topic, why=notes.why)
        if told or notes.topic not in self._topics(turn):
            return speak(turn, told or phrase(turn, "done"), plain)
        if notes.why.startswith("the customer "):
            # The topic's content was the offer; it has been said.
            return speak(turn, phrase(turn, "done"), plain)
        return self._content(turn, "done")


def _doubtful(found: Sequence[Found]) -> bool:
    """Tell whether two topics are about equally likely."""
    if len(found) < 2 or found[0].exact:
        return False
    return found[1].probability >= _CLOSE * found[0].probability


def _opened(found: Found) -> Notes:
    """Give the notes of a topic that was just found."""
    share = "is" if found.exact else f"{found.probability:.0%}, nearest"
    return Notes(topic=found.topic.name, why=f"{share}: {found.example}", distance=found.distance)


def _label(topic: Topic) -> str:
    """Give what a customer can read as the topic's name."""
    readable = topic.name.replace("_", " ").strip()
    return readable[:1].upper() + readable[1:]


def _human_topic(topics: Iterable[Topic]) -> str:
    """Give the topic whose sentences ask for a human most often; "" when none does."""
    shares = {topic.name: sum(map(wants_human, sentences(topic))) / len(sentences(topic)) for topic in topics}
    best = max(shares, key=lambda name: shares[name], default="")
    return best if best and shares[best] >= _HUMAN_SHARE else ""
