"""What a running function may ask of the server. A service that is None is answered as "not configured"."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from warmline.agent.project.model import Project
from warmline.domain.turn import HistoryItem


class ServiceFailed(Exception):
    """A service could not do its work; the message may be shown to the project's author, never to the customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question to the language model by `conv.utils.prompt_llm` (agent-project.md §5.6).

    `history` is the conversation so far, empty unless the function wants the model to see it. `json` asks for an
    answer that is one JSON object. `model` is the name that the function gave; any name is mapped to a configured
    model. `session_id` is for the accounting.
    """

    project: Project
    text: str
    session_id: str
    channel: str = ""
    language: str = ""
    history: tuple[HistoryItem, ...] = ()
    json: bool = False
    model: str = ""


class Model(Protocol):
    """Answers a single question with a language model, beside the conversation's own turns."""

    async def __call__(self, prompt: Prompt) -> str:
        """Give the model's answer as text.

        Raises:
            ServiceFailed: the model cannot be reached, refuses, or takes too long.
        """
        ...


class Secrets(Protocol):
    """Gives the secrets that the operator set for a project."""

    async def __call__(self, project_id: str, name: str) -> str | None:
        """Give the secret of that name; None when there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A call of `conv.api.<api>.<operation>` (agent-project.md §2.13).

    `path` holds the values for the path's variables: by position under "0", "1", … or by name. At most one of
    `json` and `data` is set; `json` may be any plain value when `has_json` is true.
    """

    project: Project
    environment: str
    api: str
    operation: str
    path: Mapping[str, str] = field(default_factory=dict)
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    json: object = None
    has_json: bool = False
    data: bytes = b""
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """What the configured API answered, whatever its status."""

    status: int
    reason: str = ""
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    elapsed_s: float = 0.0


class Apis(Protocol):
    """Calls the HTTP APIs that a project configures; `warmline test` puts a scenario's `api_mocks` here."""

    async def __call__(self, request: ApiRequest) -> ApiResponse:
        """Send the request and give the answer.

        Raises:
            ServiceFailed: the API or operation is not configured, or no answer came.
        """
        ...


class CustomerMemory(Protocol):
    """Keeps what a project remembers of a customer beyond one session (agent-project.md §10, `memory`)."""

    async def recall(self, project_id: str, customer: str) -> Mapping[str, object]:
        """Give what is remembered of the customer; empty for a new one."""
        ...

    async def keep(self, project_id: str, customer: str, values: Mapping[str, object]) -> None:
        """Remember these plain values in the place of the earlier ones."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services of one installation."""

    model: Model | None = None
    secrets: Secrets | None = None
    apis: Apis | None = None
    memory: CustomerMemory | None = None
