"""The `topics` brain: answers from topics without a language model, the same way every time."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from warmline.agent.brains.topics.actions import Plan, read_actions
from warmline.agent.brains.topics.language import PHRASES, read_consent, small_talk, wants_human
from warmline.agent.brains.topics.router import Candidate, Router
from warmline.agent.brains.topics.slots import find_value, question_for
from warmline.agent.project.model import Parameter, Project, Topic
from warmline.agent.turn.brain import CallFunction, CallHandoff, GiveUp, Move, Situation, Speak

_MOST_ASKED = 2
"""Times that a value is asked for before the brain lets go."""
_HUMAN_SHARE = 0.3
"""Share of a topic's sentences that must ask for a human to make it the topic for that wish."""
_TELL = re.compile(r"^(?:please )?(?:tell|inform) the (?:customer|user|caller)(?: that)?[:,]?\s*", re.IGNORECASE)
_INSTRUCTION = re.compile(
    r"^(?:please )?(?:ask|say|call|do not|don't|never|always|you must|apologi[sz]e|proceed|continue|offer|use|let"
    r"|confirm|collect|go to|return|explain|if|then|now|the (?:customer|user|caller))\b",
    re.IGNORECASE,
)


class Notes(msgspec.Struct, omit_defaults=True):
    """What the brain keeps from one move to the next.

    `waiting` is "" or what the customer was asked for: "consent" to an offer of `topic`, the "value" of
    `parameter`, or the "choice" between `choices`. `runs` are still to be done, as "fn:name" or "ho:name".
    """

    topic: str = ""
    why: str = ""
    waiting: str = ""
    runs: list[str] = []
    arguments: dict[str, object] = {}
    parameter: str = ""
    asked: int = 0
    choices: list[str] = []


@dataclass(frozen=True, slots=True)
class _Turn:
    """A situation with the notes that belong to it."""

    situation: Situation
    notes: Notes


class TopicsBrain:
    """Routes a message to a topic, says its content and does what its actions name."""

    def __init__(self, project: Project) -> None:
        """Fit the router to the project's topics."""
        self._topics = {topic.name: topic for topic in project.topics if topic.enabled}
        self.router = Router([(topic.name, _sentences(topic)) for topic in self._topics.values()])
        self._human_topic = _human_topic(self._topics.values())
        self._labels = {_label(topic): topic.name for topic in self._topics.values()}

    async def next_move(self, situation: Situation) -> Move:
        """Choose the next move of the turn; see `warmline.agent.turn.brain.Brain`."""
        turn = _Turn(situation, msgspec.convert(situation.memory, Notes))
        if situation.results:
            return self._after_function(turn)
        if not situation.text.strip():
            return Speak(text="", memory=situation.memory)
        return self._waited_for(turn) or self._routed(turn)

    def _waited_for(self, turn: _Turn) -> Move | None:
        """Take the message as the answer to what was asked; None when it is none."""
        notes, text = turn.notes, turn.situation.text
        topic = self._topics.get(notes.topic)
        if self._human_topic and wants_human(text):
            return None
        if notes.waiting == "choice":
            name = self._chosen(notes.choices, text)
            return self._open(turn, Candidate(name, 1.0, text, exact=True)) if name else None
        if topic is None or (notes.waiting and self._is_about_another(turn, topic)):
            return None
        if notes.waiting == "consent":
            consent = read_consent(text)
            if consent is not None:
                return self._consented(turn, topic, consent)
        if notes.waiting == "value":
            return self._value_given(turn, topic)
        return None

    def _is_about_another(self, turn: _Turn, topic: Topic) -> bool:
        """Tell whether the message is surely about something else than `topic`."""
        best = self.router.route(turn.situation.text, turn.situation.disabled_topics).best
        short = len(turn.situation.text.split()) <= 3
        return (
            best is not None
            and best.topic != topic.name
            and (best.exact or (not short and best.probability >= max(0.5, 2 * self.router.threshold)))
        )

    def _chosen(self, choices: Sequence[str], text: str) -> str | None:
        if text.strip() in self._labels:
            return self._labels[text.strip()]
        routing = self.router.route(text, frozenset(self._topics) - frozenset(choices))
        return routing.best.topic if routing.best and not routing.doubtful else None

    def _consented(self, turn: _Turn, topic: Topic, consent: bool) -> Move:
        plan = self._plan(turn, topic)
        runs = plan.if_yes if consent else plan.if_no
        notes = Notes(topic=topic.name, why="the customer agreed" if consent else "the customer declined")
        if runs:
            return self._run(_Turn(turn.situation, notes), [f"{run.kind}:{run.name}" for run in runs])
        return self._speak(turn, plan.decline or self._phrase(turn, "declined"), notes)

    def _value_given(self, turn: _Turn, topic: Topic) -> Move | None:
        notes = turn.notes
        parameter = next((p for p in self._next_parameters(turn) if p.name == notes.parameter), None)
        if parameter is None:
            return None
        value = find_value(parameter, turn.situation.text, asked=True)
        if value is not None:
            arguments = {**notes.arguments, parameter.name: value}
            notes = Notes(topic=topic.name, why=notes.why, runs=notes.runs, arguments=arguments)
            return self._run(_Turn(turn.situation, notes), notes.runs)
        if notes.asked < _MOST_ASKED and self.router.route(turn.situation.text).best is None:
            return self._ask_for(turn, parameter, notes.runs, notes.arguments)
        return None

    def _routed(self, turn: _Turn) -> Move:
        """Find the topic of a message that answers nothing asked before."""
        situation = turn.situation
        routing = self.router.route(situation.text, situation.disabled_topics)
        exact = routing.best is not None and routing.best.exact
        if not exact and self._human_topic and wants_human(situation.text):
            return self._open(turn, Candidate(self._human_topic, 1.0, "a direct wish for a human", exact=True))
        if not exact and (politeness := small_talk(situation.text)):
            return self._speak(turn, self._phrase(turn, politeness), Notes(why="small talk"))
        if routing.best is None:
            near = ", ".join(f"{c.topic} {c.probability:.0%}" for c in routing.candidates)
            return self._speak(turn, self._phrase(turn, "dont_know"), Notes(why=f"nothing is close enough ({near})"))
        if routing.doubtful:
            choices = [candidate.topic for candidate in routing.candidates]
            notes = Notes(waiting="choice", choices=choices, why=f"in doubt between {' and '.join(choices)}")
            labels = tuple(_label(self._topics[name]) for name in choices)
            return self._speak(turn, self._phrase(turn, "which_topic"), notes, labels)
        return self._open(turn, routing.best)

    def _open(self, turn: _Turn, candidate: Candidate) -> Move:
        """Answer from a topic: run what is to be run at once, else say its content."""
        topic = self._topics[candidate.topic]
        share = "is" if candidate.exact else f"{candidate.probability:.0%}, nearest"
        notes = Notes(topic=topic.name, why=f"{share}: {candidate.example}")
        plan = self._plan(turn, topic)
        if plan.at_once:
            return self._run(_Turn(turn.situation, notes), [f"{run.kind}:{run.name}" for run in plan.at_once])
        return self._content(_Turn(turn.situation, notes), topic, plan)

    def _content(self, turn: _Turn, topic: Topic, plan: Plan, fallback: str = "dont_know") -> Move:
        text = turn.situation.render(topic.content.value)
        if plan.ask and "?" not in text[-200:]:
            text = f"{text} {plan.ask}".strip()
        notes = turn.notes
        if plan.if_yes or plan.if_no:
            notes = msgspec.structs.replace(notes, waiting="consent")
        return self._speak(turn, text or self._phrase(turn, fallback), notes)

    def _run(self, turn: _Turn, runs: Sequence[str]) -> Move:
        """Start the first of `runs`, after asking for what it needs."""
        situation, notes = turn.situation, turn.notes
        kind, _, name = runs[0].partition(":")
        if kind == "ho":
            utterance = situation.render(self._topics[notes.topic].content.value)
            memory = msgspec.to_builtins(Notes(topic=notes.topic))
            return CallHandoff(destination=name, utterance=utterance, topic=notes.topic, why=notes.why, memory=memory)
        arguments = dict(notes.arguments)
        function = situation.project.functions.get(name)
        for parameter in function.parameters if function else ():
            if parameter.name not in arguments:
                value = find_value(parameter, situation.text, asked=False)
                if value is None:
                    return self._ask_for(turn, parameter, runs, arguments)
                arguments[parameter.name] = value
        after = Notes(topic=notes.topic, why=notes.why, runs=list(runs[1:]))
        memory = msgspec.to_builtins(after)
        return CallFunction(name=name, arguments=arguments, topic=notes.topic, why=notes.why, memory=memory)

    def _ask_for(self, turn: _Turn, parameter: Parameter, runs: Sequence[str], arguments: Mapping[str, object]) -> Move:
        same = turn.notes.waiting == "value" and turn.notes.parameter == parameter.name
        notes = Notes(
            topic=turn.notes.topic,
            why=turn.notes.why,
            waiting="value",
            runs=list(runs),
            arguments=dict(arguments),
            parameter=parameter.name,
            asked=turn.notes.asked + 1 if same else 1,
        )
        return self._speak(turn, question_for(parameter, self._phrase(turn, "ask_for")), notes)

    def _next_parameters(self, turn: _Turn) -> tuple[Parameter, ...]:
        name = turn.notes.runs[0].partition(":")[2] if turn.notes.runs else ""
        function = turn.situation.project.functions.get(name)
        return function.parameters if function else ()

    def _after_function(self, turn: _Turn) -> Move:
        """Go on after a function that said nothing, or that wants the turn to go on."""
        result, notes = turn.situation.results[-1], turn.notes
        if result.error:
            return GiveUp(topic=notes.topic, why=notes.why, memory={})
        if notes.runs:
            return self._run(turn, notes.runs)
        if result.said:
            return Speak(text="", memory={})
        spoken = _for_the_customer(turn.situation.render(result.content))
        topic = self._topics.get(notes.topic)
        if spoken or topic is None:
            return self._speak(turn, spoken or self._phrase(turn, "done"), Notes(topic=notes.topic, why=notes.why))
        if notes.why.startswith("the customer "):
            # The topic's content was the offer; it has been said.
            return self._speak(turn, self._phrase(turn, "done"), Notes(topic=notes.topic, why=notes.why))
        return self._content(turn, topic, self._plan(turn, topic), "done")

    def _plan(self, turn: _Turn, topic: Topic) -> Plan:
        return read_actions(turn.situation.fill_in(topic.actions.value))

    def _phrase(self, turn: _Turn, key: str) -> str:
        own = turn.situation.project.phrases.get(key)
        return turn.situation.render(own.value) if own else PHRASES[key]

    def _speak(self, turn: _Turn, text: str, notes: Notes, suggestions: tuple[str, ...] = ()) -> Speak:
        memory = msgspec.to_builtins(notes)
        return Speak(text=text, suggestions=suggestions, topic=notes.topic, why=notes.why, memory=memory)


def _sentences(topic: Topic) -> list[str]:
    return [*topic.example_queries, topic.name.replace("_", " ").replace("/", " ")]


def _label(topic: Topic) -> str:
    """Give what a customer can read as the topic's name."""
    readable = topic.name.replace("_", " ").strip()
    return readable[:1].upper() + readable[1:]


def _human_topic(topics: Iterable[Topic]) -> str:
    """Give the topic whose sentences ask for a human most often; "" when none does."""
    shares = {topic.name: sum(map(wants_human, _sentences(topic))) / len(_sentences(topic)) for topic in topics}
    best = max(shares, key=lambda name: shares[name], default="")
    return best if best and shares[best] >= _HUMAN_SHARE else ""


def _for_the_customer(content: str) -> str:
    """Give what a function's content tells the customer; "" when it instructs a model instead."""
    told = _TELL.sub("", content.strip())
    if told == content.strip() and _INSTRUCTION.match(told):
        return ""
    return told[:1].upper() + told[1:]
