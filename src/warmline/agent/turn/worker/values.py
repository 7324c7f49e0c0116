"""The value classes of the project format (agent-project.md §5.8)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Attachment:
    """A link or an image beside a message; `content_type` is image, weblink, video, graph or unspecified."""

    content_url: str
    content_type: str = "unspecified"
    title: str = ""
    preview_image_url: str = ""
    call_to_action: str = ""
    chart_spec: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
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
class OutgoingSMS:
    """A text message that was asked for."""

    to_number: str
    from_number: str = ""
    content: str = ""
    content_id: str = ""


@dataclass
class OutgoingSMSTemplate:
    """A text message by template that was asked for."""

    to_number: str
    template: str


@dataclass
class SMSReceived:
    """A text message that came in."""

    from_number: str
    to_number: str
    text: str


@dataclass
class GenericExternalEvent:
    """Something that another system told."""

    ext_event_id: str
    send_to_llm: bool = False
    created_at: str = ""
    data: Any = None
    content_type: str = ""


@dataclass
class FlowTransition:
    """A move between flows."""

    goto_flow: str | None = None
    exit_flow: bool = False


@dataclass
class StepTransition:
    """A move inside a flow."""

    goto_step: str | None = None


@dataclass
class Transition:
    """A move."""

    exit_flow: bool = False
    goto_flow: str | None = None
    goto_step: str | None = None


@dataclass
class Handoff:
    """A handoff that was asked for."""

    handoff: Any = None
    reason: str = ""
    destination: str = ""


@dataclass
class EntityValidationResult:
    """What is known of an entity; `value` is always text."""

    id: str = ""
    name: str = ""
    valid: bool = True
    value: str = ""
    type: str = ""
    error: str = ""
    details: Any = None

    @property
    def is_valid(self) -> bool:
        """The same as `valid`."""
        return self.valid

    @property
    def message(self) -> str:
        """The same as `error`."""
        return self.error


@dataclass
class Address:
    """A postal address."""

    street_number: str = ""
    street_name: str = ""
    city: str = ""
    state: str = ""
    postcode: str = ""
    country: str = ""


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


class Entities(dict[str, EntityValidationResult]):
    """The entities that are known; a missing one is None as an attribute."""

    def __getattr__(self, name: str) -> EntityValidationResult | None:
        """Give the entity."""
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self.get(name)


class ReadOnly(dict[str, Any]):
    """A dict that functions can read but not change."""

    def _refuse(self, *args: Any, **named: Any) -> Any:
        raise TypeError("this is read-only")

    __setitem__ = __delitem__ = update = setdefault = pop = popitem = clear = __ior__ = _refuse

    def fields(self) -> list[str]:
        """Give the names of what it holds."""
        return list(self)

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Be copied and kept as an ordinary dict."""
        return dict, (dict(self),)


def read_only(values: Mapping[str, Any]) -> ReadOnly:
    """Give `values` as a dict that cannot be changed."""
    return ReadOnly(values)
