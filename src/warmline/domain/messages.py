"""What people and agents say to each other: texts, attachments, suggestions, and who said them."""

from dataclasses import dataclass
from enum import StrEnum


class AttachmentKind(StrEnum):
    """How a widget shows an attachment (messaging-protocol.md §11)."""

    URL = "url"
    IMAGE = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A link or an image that belongs to a message; URLs are absolute and RFC 3986 encoded."""

    content_url: str
    kind: AttachmentKind = AttachmentKind.URL
    title: str = ""
    preview_image_url: str = ""
    call_to_action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAction:
    """A button that dials `contact_number` (messaging-protocol.md §11)."""

    contact_number: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAgent:
    """A human in the contact centre. `name` is "" when the platform does not tell it."""

    id: str
    name: str = ""
    avatar_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """One message of the virtual agent to the customer."""

    text: str
    attachments: tuple[Attachment, ...] = ()
    suggestions: tuple[str, ...] = ()
    call_actions: tuple[CallAction, ...] = ()

    @property
    def empty(self) -> bool:
        """True when there is nothing to show."""
        return not (self.text.strip() or self.attachments or self.suggestions or self.call_actions)
