"""Finds the topics for a turn as a project's settings ask (agent-project.md §8.2.2 and §10, `ragdoll`).

The router's probabilities become distances, of which the settings speak: 0 is a sentence of the topic itself, 0.4, the
format's usual threshold, is where the router has learned that a message is no longer about the topic, and 1 is nothing
in common. So a project's own threshold makes its agent answer less or more readily than the router would.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from warmline.agent.brains.topics.meaning import Encoder
from warmline.agent.brains.topics.router import Candidate, Router
from warmline.agent.project.experimental import USUAL_THRESHOLD, for_channel, retrieval_settings, section, texts
from warmline.agent.project.model import Project, Topic

_FEWEST_CLASSES = 8
"""With fewer topics than this a probability of one in this many is what chance gives."""


@dataclass(frozen=True, slots=True)
class Found:
    """A topic that a message may be about, and how far away it is; `example` is its sentence nearest to it."""

    topic: Topic
    distance: float
    probability: float
    example: str
    exact: bool = False


class Retriever:
    """The topics of one version of a project, ready to be searched. Building one computes."""

    def __init__(self, project: Project, encoder: Encoder | None = None) -> None:
        """Fit a router to the project's enabled topics, those of its variants included."""
        self.settings = retrieval_settings(project)
        self.topics = {_key(topic): topic for topic in project.topics if topic.enabled}
        self.router = Router([(key, sentences(topic)) for key, topic in self.topics.items()], encoder)
        ragdoll = section(project.experimental, "ragdoll")
        self._exclusions = section(ragdoll, "channel_topic_exclusions")

    def candidates(self, variant: str | None) -> dict[str, Topic]:
        """Give the topics that a conversation in `variant` may use, by name.

        A variant's own topic takes the place of a general one of the same name (agent-project.md §1, W73).
        """
        general = {topic.name: topic for topic in self.topics.values() if not topic.variant}
        own = {topic.name: topic for topic in self.topics.values() if variant and topic.variant == variant}
        return {**general, **own}

    def find(
        self,
        messages: Sequence[str],
        *,
        channel: str = "",
        variant: str | None = None,
        disabled: frozenset[str] = frozenset(),
        most: int | None = None,
    ) -> tuple[Found, ...]:
        """Give the nearest topics, nearest first, whatever their distance.

        Args:
            messages: the customer's message and then earlier ones, newest first. The earlier ones count together
                with the message, for "and what does that cost?".
            channel: the channel type, for the project's exclusions.
            variant: the active variant, whose own topics count too.
            disabled: names of topics to leave out.
            most: how many at most, `top_k` unless given.
        """
        excluded = disabled | frozenset(texts(for_channel(self._exclusions, channel)))
        allowed = {_key(topic) for name, topic in self.candidates(variant).items() if name not in excluded}
        shut_out = frozenset(self.topics) - allowed
        found: dict[str, Found] = {}
        queries = dict.fromkeys((messages[0], " ".join(reversed(messages)))) if messages else ()
        for query in queries:
            for one in self._nearest(query, shut_out, self.settings.top_k if most is None else most):
                key = _key(one.topic)
                if key not in found or one.distance < found[key].distance:
                    found[key] = one
        nearest = sorted(found.values(), key=lambda one: one.distance)
        return tuple(nearest[: self.settings.top_k if most is None else most])

    def _nearest(self, query: str, shut_out: frozenset[str], most: int) -> list[Found]:
        found: list[Found] = []
        left = 1.0
        for candidate in self.router.nearest(query, shut_out, most):
            # What the probability would be if it were none of the nearer ones: so a second topic counts too.
            share = candidate.probability / left if left > 0 else 0.0
            chance = 1 / max(_FEWEST_CLASSES, len(self.topics))
            if found and candidate.probability < chance and not candidate.exact:
                share = candidate.probability
            found.append(self._found(candidate, share))
            left -= candidate.probability
        return found

    def _found(self, candidate: Candidate, share: float) -> Found:
        return Found(
            topic=self.topics[candidate.topic],
            distance=0.0 if candidate.exact else self.distance(share),
            probability=candidate.probability,
            example=candidate.example,
            exact=candidate.exact,
        )

    def distance(self, probability: float) -> float:
        """Give the distance that a probability stands for."""
        edge = self.router.threshold
        if probability >= edge:
            return round(USUAL_THRESHOLD * (1 - probability) / max(1 - edge, 1e-9), 4)
        return round(1 - (1 - USUAL_THRESHOLD) * max(probability, 0.0) / edge, 4)


def sentences(topic: Topic) -> list[str]:
    """Give the sentences that are about a topic: what customers ask, and its name."""
    return [*topic.example_queries, topic.name.replace("_", " ").replace("/", " ")]


def _key(topic: Topic) -> str:
    return f"{topic.variant}\n{topic.name}" if topic.variant else topic.name
