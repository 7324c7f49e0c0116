"""Which topics the model is told about (agent-project.md §8.2.2). The retriever is the `topics` brain's."""

from collections.abc import Iterable, Sequence

from warmline.agent.brains.topics.meaning import Encoder
from warmline.agent.brains.topics.retrieval import Found, Retriever
from warmline.agent.project.experimental import for_channel, section, texts
from warmline.agent.project.model import Project, Topic
from warmline.agent.turn.brain import Situation

_PREVIOUS_INPUTS = 2
"""How many earlier messages of the customer count unless the project says otherwise (agent-project.md §10)."""


class Knowledge:
    """The topics of one version of a project, as a model needs them."""

    def __init__(self, project: Project, encoder: Encoder | None = None) -> None:
        """Fit the retriever; takes a moment."""
        self.retriever = Retriever(project, encoder)
        ragdoll = section(project.experimental, "ragdoll")
        self._exclusions = section(ragdoll, "channel_topic_exclusions")

    def find(self, situation: Situation) -> tuple[Found, ...]:
        """Give the topics near to what the customer says now, the nearest first."""
        settings = self.retriever.settings
        if not situation.text.strip():
            return ()
        farthest = settings.threshold if situation.position is None else settings.in_flow_threshold
        found = self.retriever.find(
            _inputs(situation, settings.previous_inputs),
            channel=situation.channel,
            variant=situation.variant,
            disabled=situation.disabled_topics,
        )
        return tuple(one for one in found if one.distance <= farthest)

    @property
    def remembered(self) -> int:
        """How many retrievals stay in the prompt."""
        return max(1, self.retriever.settings.history_len)

    def kept(self, situation: Situation, retrievals: Sequence[Iterable[str]]) -> tuple[Topic, ...]:
        """Give the topics of these retrievals, the newest first, each once and only where it is still allowed."""
        excluded = situation.disabled_topics | frozenset(texts(for_channel(self._exclusions, situation.channel)))
        allowed = self.retriever.candidates(situation.variant)
        names = dict.fromkeys(name for names in retrievals for name in names)
        return tuple(allowed[name] for name in names if name in allowed and name not in excluded)


def _inputs(situation: Situation, previous: int | None) -> list[str]:
    """The customer's message, then those before it, the newest first."""
    said = [item.text for item in situation.history if item.role == "user"]
    if said and said[-1] == situation.text:
        said.pop()
    count = _PREVIOUS_INPUTS if previous is None else previous
    return [situation.text, *reversed(said[len(said) - min(count, len(said)) :])]
