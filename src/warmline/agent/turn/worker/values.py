"""The value classes and exceptions of the project format (agent-project.md §5.4 and §5.8)."""

from dataclasses import asdict, dataclass, field
from typing import Any


class SMSIntegrationNotFound(Exception):
    """No SMS connection is configured."""


class SMSMissingAssistantAccess(Exception):
    """The project may not use the SMS connection."""


class MissingTemplate(Exception):
    """There is no SMS template of that name."""


class MissingHandoff(Exception):
    """There is no handoff of that name."""


class PromptLLMCallLimitError(Exception):
    """Too many model calls in one turn."""


class ChatCompletionError(Exception):
    """A model call failed."""


class SecretNotFound(Exception):
    """There is no secret of that name."""


class MissingAccess(Exception):
    """The project may not read the secret."""


class InvalidInput(Exception):
    """An argument has a wrong form."""


class ExtractionError(Exception):
    """Nothing could be extracted."""


class NotConfigured(Exception):
    """The ability belongs to a hosted service that is not connected here."""


@dataclass
class Attachment:
    """A link or an image beside a message; `content_type` is image, weblink or unspecified."""

    content_url: str
    content_type: str = "unspecified"
    title: str = ""
    preview_image_url: str = ""
    call_to_action: str = ""

    def to_dict(self) -> dict[str, str]:
        """Give the attachment as a dict."""
        return {key: value for key, value in asdict(self).items() if value}


@dataclass
class ChatCallAction:
    """A button that dials a number."""

    contact_number: str
    title: str | None = None


@dataclass
class MetricEvent:
    """A metric that was written."""

    name: str
    value: Any = None


@dataclass
class SMSTemplate:
    """A text for an SMS with its sender."""

    name: str
    content: str
    phone_number: str = ""


@dataclass
class HandoffConfig:
    """An entry of `config/handoffs.yaml`."""

    sip_type: str = ""
    sip_config: dict[str, Any] = field(default_factory=dict)
    sip_headers: dict[str, str] = field(default_factory=dict)


@dataclass
class UserInput:
    """Something the customer said."""

    text: str
    role: str = "user"

    def to_dict(self) -> dict[str, str]:
        """Give it as {type, text}."""
        return {"type": "user_input", "text": self.text}

    def to_string(self) -> str:
        """Give it as a line of a transcript."""
        return f"User: {self.text}"


@dataclass
class AgentResponse:
    """Something the virtual agent or a live agent said."""

    text: str
    role: str = "agent"

    def to_dict(self) -> dict[str, str]:
        """Give it as {type, text}."""
        return {"type": "agent_response", "text": self.text}

    def to_string(self) -> str:
        """Give it as a line of a transcript."""
        return f"Agent: {self.text}"


class Variant(dict[str, Any]):
    """The attributes of a variant; a missing one is None."""

    def __getattr__(self, name: str) -> Any:
        """Give the attribute."""
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set the attribute for this call."""
        self[name] = value


class _Voice:
    """A voice setting: accepted, without effect on text channels (agent-project.md §11.4)."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self.args = args
        self.settings = settings


class CustomVoice(_Voice):
    """A voice."""


class ElevenLabsVoice(_Voice):
    """A voice."""


class RimeVoice(_Voice):
    """A voice."""


class CartesiaVoice(_Voice):
    """A voice."""


class PlayHTVoice(_Voice):
    """A voice."""


class MinimaxVoice(_Voice):
    """A voice."""


class HumeVoice(_Voice):
    """A voice."""


class GoogleVoice(_Voice):
    """A voice."""


class VoiceWeighting(_Voice):
    """A voice with its share."""
