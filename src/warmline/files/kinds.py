"""What a file is, judged by its bytes, and what it may be called (webex-byoc.md §13). Pure."""

import re
from types import MappingProxyType

from warmline.domain.errors import RuleViolation

EXTENSIONS = MappingProxyType(
    {
        "image/png": ("png",),
        "image/jpeg": ("jpg", "jpeg"),
        "image/gif": ("gif",),
        "image/webp": ("webp",),
        "application/pdf": ("pdf",),
        "text/plain": ("txt",),
        "text/csv": ("csv",),
    }
)
"""The types that are known by their bytes, and the extensions that go with them; the first one is used for names."""

IMAGES = frozenset(kind for kind in EXTENSIONS if kind.startswith("image/"))
"""Types that widgets show as pictures."""

UNKNOWN = "application/octet-stream"
_MAX_NAME = 180
_DANGEROUS = re.compile(r"html|xml|script|svg", re.IGNORECASE)
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")
_STRAY = re.compile(r"[\x00-\x1f\x7f-\x9f<>\[\]\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class FileRefused(RuleViolation):
    """A file that is not taken; `status` is the HTTP answer (415 its type, 413 its size, 400 no file)."""

    def __init__(self, code: str, status: int, public_message: str) -> None:
        super().__init__(code, public_message=public_message)
        self.status = status


def clean_name(name: str) -> str:
    """A file's name without path, control characters and markup, at most 180 characters (§13.2)."""
    last = re.split(r"[/\\]", name)[-1]
    cleaned = " ".join(_STRAY.sub("", last).split()).lstrip(".")
    if len(cleaned) > _MAX_NAME:
        stem, dot, ending = cleaned.rpartition(".")
        keep = len(dot) + len(ending) if stem and len(ending) <= 10 else 0
        cleaned = cleaned[: _MAX_NAME - keep] + (cleaned[-keep:] if keep else "")
    return cleaned or "unnamed"


def extension(name: str) -> str:
    """The extension in lower case without the dot, "" when there is none that a URL could carry."""
    found = re.search(r"\.([A-Za-z0-9]{1,10})$", name)
    return found[1].lower() if found else ""


def sniffed(content: bytes) -> str:
    """The type that the bytes show: one of `EXTENSIONS` ("text/plain" for any text), else "" (not known)."""
    head = content[:16]
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"%PDF-"):
        return "application/pdf"
    return "text/plain" if _is_text(content) else ""


def identify(name: str, content: bytes) -> str:
    """The type of a customer's file, which its name must not contradict.

    Raises:
        FileRefused: nothing in it, a type that is not taken, or bytes that are not what the name says.
    """
    if not content:
        raise FileRefused("file_empty", 400, "This file is empty.")
    kind, ending = sniffed(content), extension(name)
    if not kind:
        raise FileRefused("file_type", 415, "Files of this type cannot be sent.")
    if kind == "text/plain" and ending == "csv":
        kind = "text/csv"
    if ending and ending not in EXTENSIONS[kind]:
        known = any(ending in endings for endings in EXTENSIONS.values())
        text = "This file is not what its name says." if known else "Files of this type cannot be sent."
        raise FileRefused("file_type_mismatch" if known else "file_type", 415, text)
    return kind


def delivered_type(declared: str, content: bytes) -> str:
    """The type under which an agent's file is handed on: what its bytes show, else what was said of it.

    What a browser could run is handed on as plain bytes.
    """
    kind = sniffed(content)
    if kind and kind != "text/plain":
        return kind
    said = declared.partition(";")[0].strip().lower()
    if not _TYPE.fullmatch(said) or said in IMAGES or _DANGEROUS.search(said):
        return kind if kind and not _DANGEROUS.search(said) else UNKNOWN
    return said


def _is_text(content: bytes) -> bool:
    if b"\0" in content or content[:512].lstrip().lower().startswith((b"<!doctype", b"<html", b"<svg", b"<?xml")):
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
