"""Function utterances in a brain's own words, where a project wants that (agent-project.md §8.6)."""

from typing import Protocol, runtime_checkable

from warmline.agent.project.experimental import section
from warmline.agent.turn.brain import Brain, Situation
from warmline.agent.turn.draft import Draft


@runtime_checkable
class Rephraser(Protocol):
    """A brain that can put a text into words that follow from the conversation."""

    async def rephrase(self, situation: Situation, text: str) -> str:
        """Give the text in other words, or as it is where that fails; never raises for a model's trouble."""
        ...


async def rephrase_said(draft: Draft, since: int, brain: Brain, situation: Situation) -> None:
    """Rephrase what was said after the first `since` texts of a turn: on webchat, with `llm_wrapped_utterances`."""
    wanted = section(situation.project.experimental, "webchat").get("llm_wrapped_utterances") is True
    if not wanted or not situation.channel.startswith("webchat") or not isinstance(brain, Rephraser):
        return
    for index in range(since, draft.said):
        draft.reword(index, await brain.rephrase(situation, draft.text(index)))
