"""What a line of a conversation says: as plain text, and as the widget shows it."""

import html
import re

from markupsafe import Markup, escape

from warmline.studio.views.transcript import Line, Who

_CODE = re.compile(r"`([^`\n]+)`")
_BOLD = re.compile(r"\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*")
_SLANTED = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])")


def plain_text(line: Line) -> str:
    """The text; those of live agents are stored as HTML."""
    return html.unescape(line.text) if line.who is Who.LIVE_AGENT else line.text


def widget_text(line: Line) -> str:
    """The text with its bold and slanted words and its code, which the widget shows of agents' messages only."""
    return plain_text(line) if line.who is Who.CUSTOMER else formatted(plain_text(line))


def formatted(text: str) -> Markup:
    """A text with its bold and slanted words and its code, as the widget shows them; all else as it was written."""
    safe = str(escape(text))
    safe = _CODE.sub(r"<code>\1</code>", safe)
    safe = _BOLD.sub(r"<strong>\1</strong>", safe)
    # Escaped above: only these tags are added.
    return Markup(_SLANTED.sub(r"<em>\1</em>", safe))
