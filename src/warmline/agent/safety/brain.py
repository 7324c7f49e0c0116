"""A brain behind safety filters, whichever brain it is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from warmline.agent.project.model import Project
from warmline.agent.safety.port import Direction, SafetyFilter, SafetyUnavailable, Verdict
from warmline.agent.safety.stream import JudgedStream
from warmline.agent.turn.brain import Brain, CallHandoff, Move, Situation, Speak
from warmline.agent.turn.rephrasing import Rephraser
from warmline.agent.turn.searching import Searcher
from warmline.domain.turn import Finding

if TYPE_CHECKING:
    from warmline.agent.brains.topics.retrieval import Retriever

PHRASES = {
    "refused": "I'm sorry, I can't help with that here. Is there something else that I can do for you?",
    "refused_answer": "I'm sorry, I can't answer that. Is there something else that I can do for you?",
    "in_need": "I'm sorry that you are going through this. I can't help with it here, but you don't have to be alone "
    "with it: please talk to somebody you trust, or call your local emergency number now.",
}
"""What customers read when a filter stops a text; `chat/phrases.yaml`, a Warmline extension, may replace them."""


class SafeBrain:
    """Judges what the customer writes before the brain sees it, and what the brain wants said."""

    def __init__(self, project: Project, brain: Brain, judge: SafetyFilter) -> None:
        """Guard `brain` by `judge`."""
        self._brain = brain
        self._judge = judge
        self._chat = project.chat_safety.levels
        self._sms = project.sms_safety.levels

    @property
    def retriever(self) -> "Retriever | None":
        """What finds the brain's topics; None where it has none."""
        return self._brain.retriever if isinstance(self._brain, Searcher) else None

    async def next_move(self, situation: Situation) -> Move:
        """Choose the next move of the turn; see `warmline.agent.turn.brain.Brain`."""
        levels = self._levels(situation)
        notes: list[Finding] = []
        if not situation.results and situation.text.strip():
            verdict = await self._verdict(situation.text, levels, Direction.INPUT, notes)
            if verdict is not None:
                phrase = "in_need" if verdict.category == "self_harm" else "refused"
                return _refusal(situation, phrase, verdict, Direction.INPUT, notes, situation.memory)
        move = await self._judged_move(situation, levels)
        verdict = await self._verdict(_spoken(move), levels, Direction.OUTPUT, notes) if levels else None
        if verdict is not None:
            return _refusal(situation, "refused_answer", verdict, Direction.OUTPUT, notes, move.memory)
        return replace(move, findings=(*move.findings, *notes)) if notes else move

    async def rephrase(self, situation: Situation, text: str) -> str:
        """Give the brain's wording of a text; the text itself where the brain has none or it must not be said."""
        if not isinstance(self._brain, Rephraser):
            return text
        reworded = await self._brain.rephrase(situation, text)
        levels = self._levels(situation)
        stopped = await self._verdict(reworded, levels, Direction.OUTPUT, []) if levels else None
        return reworded if stopped is None else text

    def _levels(self, situation: Situation) -> Mapping[str, str]:
        return self._sms if situation.channel.startswith("sms") else self._chat

    async def _judged_move(self, situation: Situation, levels: Mapping[str, str]) -> Move:
        """Ask the brain; nothing that it streams is shown before it is judged."""
        if not levels or situation.stream is None:
            return await self._brain.next_move(situation)

        async def passes(text: str) -> bool:
            return await self._verdict(text, levels, Direction.OUTPUT, []) is None

        stream = JudgedStream(situation.stream, passes)
        try:
            move = await self._brain.next_move(replace(situation, stream=stream.add))
        except BaseException:
            stream.stop()
            raise
        await stream.drain()
        return move

    async def _verdict(
        self, text: str, levels: Mapping[str, str], direction: Direction, notes: list[Finding]
    ) -> Verdict | None:
        if not text.strip():
            return None
        try:
            return await self._judge.judge(text, levels, direction)
        except SafetyUnavailable as problem:
            # The rules have judged already; an outage of the endpoint must not silence the agent.
            notes.append(Finding(rule="safety-unavailable", text=str(problem)))
            return None


def _spoken(move: Move) -> str:
    utterance = move.text if isinstance(move, Speak) else move.utterance if isinstance(move, CallHandoff) else ""
    return f"{move.before}\n{utterance}"


def _refusal(
    situation: Situation,
    phrase: str,
    verdict: Verdict,
    direction: Direction,
    notes: list[Finding],
    memory: Mapping[str, object],
) -> Move:
    why = f"The safety filter stopped the {direction.value}: {verdict.category}, judged by {verdict.judge}."
    notes.append(Finding(rule=f"safety-{direction.value}", text=why))
    own = situation.project.phrases.get(phrase)
    text = situation.render(own.value) if own else PHRASES[phrase]
    return Speak(text=text, why=why, memory=memory, findings=tuple(notes))
