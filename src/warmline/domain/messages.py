"""What people and agents say to each other: texts, attachments, suggestions, and who said them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class AttachmentKind(StrEnum):
    """How a widget shows an attachment (messaging-protocol.md §11)."""

    URL = "url"
    IMAGE = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A link or an image that belongs to a message; URLs are absolute and RFC 3986 encoded.

    Files that were sent have a `mime_type` and their `size` in bytes; `title` is then the file's name.
    """

    content_url: str
    kind: AttachmentKind = AttachmentKind.URL
    title: str = ""
    preview_image_url: str = ""
    call_to_action: str = ""
    mime_type: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRules:
    """Which files a contact centre takes with one message (webex-byoc.md §4). Bytes; `types` may end in `/*`."""

    max_count: int
    max_bytes: int
    max_total_bytes: int
    types: tuple[str, ...]

    def problem(self, files: Sequence[Attachment]) -> str:
        """Why these are not taken: "count", "size" or "type"; "" when they are."""
        if len(files) > self.max_count:
            return "count"
        if not all(self.takes(file.mime_type) for file in files):
            return "type"
        too_large = any(file.size > self.max_bytes for file in files)
        return "size" if too_large or sum(file.size for file in files) > self.max_total_bytes else ""

    def takes(self, mime_type: str) -> bool:
        """Whether files of this type are taken."""
        whole = mime_type.partition("/")[0] + "/*"
        return any(allowed in (mime_type, whole, "*/*") for allowed in self.types)


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
