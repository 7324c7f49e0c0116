"""Where a language model is."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a model is. `base_url` ends before `/chat/completions`; `idle_s` is a streamed answer's longest silence.

    `models` maps names that projects use to names of the endpoint; every other name means `model`. `limit_s` is the
    time that models may take in one turn, retries included. `moderation_model` judges texts at the endpoint's
    `/moderations`; "" leaves that to the rules.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    models: Mapping[str, str] = field(default_factory=dict)
    limit_s: float = 30.0
    idle_s: float = 15.0
    moderation_model: str = ""

    def named(self, wanted: str) -> str:
        """Give the endpoint's name for a model that a project asks for (agent-project.md §10)."""
        return self.models.get(wanted, self.model)

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        key = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return {"Content-Type": "application/json", **key}
