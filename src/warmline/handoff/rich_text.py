"""What live agents write, made fit for customers: no markup but the widget's, no scripts. Pure.

Source of the allow-list: messaging-protocol.md §11; of the rules for SMS: webex-byoc.md §12.2.
"""

import html
import re

import nh3

_INLINE = {"a", "b", "i", "em", "strong", "code"}
_BLOCKS = {"p", "br", "div", "ul", "ol", "li", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "tr"}
_SCHEMES = {"http", "https", "mailto", "tel"}
_ADDRESS = re.compile(r"(?:https?://|mailto:|tel:)", re.IGNORECASE)
"""A link must say where it leads: a relative one would lead into the page that shows the chat."""

_MARKUP = re.compile(r"</?[a-zA-Z][^>]*>|<!--|&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,31});")
_TAG = re.compile(r"<(/?)([a-z0-9]+)([^>]*)>")
_TAG_START = re.compile(r"<(?![\s\d=])")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def customer_text(text: str, *, markup: bool = True) -> str:
    """Return an agent's text for the customer.

    Paragraphs, line breaks and list items become lines, entities become characters.

    Args:
        text: plain text or HTML, as the platform sent it.
        markup: keep bold, italic, code and links as HTML (webchat). False: words only (SMS).
    """
    if "<" not in text and "&" not in text:
        return text.strip()
    if not _MARKUP.search(text):
        return (_without_tag_starts(text) if markup else text).strip()
    kept = _BLOCKS | (_INLINE if markup else set())
    clean = nh3.clean(
        text,
        tags=kept,
        attributes={"a": {"href"}},
        attribute_filter=lambda _tag, _name, value: value if _ADDRESS.match(value.strip()) else None,
        url_schemes=_SCHEMES,
        link_rel=None,
        strip_comments=True,
    )
    return _Lines(markup).read(clean)


class _Lines:
    """Turns sanitised, hence well-formed, HTML into lines."""

    def __init__(self, markup: bool) -> None:
        self._markup = markup
        self._parts: list[str] = []
        self._lists: list[int | None] = []
        """One entry per open list: the next number of an ordered one, None for bullets."""

    def read(self, clean: str) -> str:
        at = 0
        for tag in _TAG.finditer(clean):
            self._words(clean[at : tag.start()])
            at = tag.end()
            self._tag(tag[0], tag[2], closing=bool(tag[1]))
        self._words(clean[at:])
        return _BLANK_LINES.sub("\n\n", "".join(self._parts)).strip()

    def _words(self, encoded: str) -> None:
        words = html.unescape(encoded).replace("\u00a0", " ")
        self._parts.append(_without_tag_starts(words) if self._markup else words)

    def _tag(self, tag: str, name: str, *, closing: bool) -> None:
        if name in _INLINE:
            self._parts.append(tag)
        elif name in ("ul", "ol"):
            if closing and self._lists:
                self._lists.pop()
            elif not closing:
                self._lists.append(1 if name == "ol" else None)
            self._parts.append("\n")
        elif name == "li":
            self._parts.append("" if closing else self._item())
        elif name in ("br", "div", "tr"):
            self._parts.append("\n")
        else:
            self._parts.append("\n\n")

    def _item(self) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return "\n- "
        self._lists[-1] = number + 1
        return f"\n{number}. "


def _without_tag_starts(words: str) -> str:
    # A decoded "&lt;script&gt;" must not become a tag for a reader that takes the text for HTML.
    return _TAG_START.sub("&lt;", words)
