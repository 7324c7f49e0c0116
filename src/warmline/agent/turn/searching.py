"""What a brain that finds topics by what the customer says shows of it, so that it can be tried without a turn."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from warmline.agent.brains.topics.retrieval import Retriever


@runtime_checkable
class Searcher(Protocol):
    """A brain with a retriever; None where the brain that it stands for has none."""

    @property
    def retriever(self) -> "Retriever | None":
        """What finds the topics."""
        ...
