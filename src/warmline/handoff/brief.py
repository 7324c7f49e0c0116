"""The handoff brief: what a live agent reads first (webex-byoc.md §7.3). Pure."""

import re
from collections.abc import Iterable

from warmline.domain import events as e
from warmline.domain.events import Recorded

TURNS = 20
"""How many lines of the conversation a brief tells; older ones are counted, not shown."""

_EMPHASIS = re.compile(r"(?<![\w*_])(\*{1,3}|_{1,3})(?=[^\s*_])(.+?)(?<=[^\s*_])\1(?![\w*_])")
_LINK = re.compile(r"\[([^\[\]]+)\]\(([^\s()]+(?:\([^\s()]*\)[^\s()]*)?)\)")


def compose(
    events: Iterable[Recorded],
    *,
    answered: int,
    through: int | None = None,
    reason: str = "",
    note: str = "",
    turns: int = TURNS,
) -> str:
    """Return the brief: note, reason, the last lines of the conversation, the customer's latest words.

    Args:
        events: the session's log in order, from wherever; only what was said matters.
        answered: sequence of the last customer message that belongs to the brief; later ones follow as
            messages of their own and are left out. 0: none was answered.
        through: sequence up to which the log is told; None: all of it.
        reason: why a human is wanted.
        note: text that the project's function wants on top (the option `brief`).
        turns: how many lines are told at most.

    Returns: never empty; longer than any platform takes in one message (see `split`).
    """
    lines, latest = _lines(events, answered, through)
    blocks = [note.strip(), f"Reason: {reason.strip()}" if reason.strip() else ""]
    if lines:
        shown = lines[-turns:]
        left_out = len(lines) - len(shown)
        head = f"Conversation so far ({left_out} earlier lines left out):" if left_out else "Conversation so far:"
        blocks.append("\n".join([head, *shown]))
    if latest:
        blocks.append(f"The customer's latest words: {_indented(latest)}")
    return "\n\n".join(block for block in blocks if block) or "A customer asks for a human."


def split(text: str, max_chars: int) -> list[str]:
    """Cut `text` into parts of at most `max_chars` Unicode code points, at line borders where there are any.

    A line that is too long is cut between words, a word that is too long anywhere. White space at the cuts
    goes away; nothing else does. A text that fits comes back as it is.
    """
    if max_chars < 1:
        raise ValueError("max_chars: must be at least 1")
    parts: list[str] = []
    rest = text
    while len(rest) > max_chars:
        cut = _cut(rest, max_chars)
        part = rest[:cut].rstrip()
        if part:
            parts.append(part)
        rest = rest[cut:].lstrip()
    if rest or not parts:
        parts.append(rest)
    return parts


def _cut(text: str, max_chars: int) -> int:
    # A border in the first half would leave a part nearly empty: better to cut inside a line, or a word.
    window = text[: max_chars + 1]
    for border in ("\n", " "):
        at = window.rfind(border)
        if at > max_chars // 2:
            return at
    return max_chars


def _lines(events: Iterable[Recorded], answered: int, through: int | None) -> tuple[list[str], str]:
    lines: list[str] = []
    latest = ""
    streamed = ""
    for recorded in events:
        if through is not None and recorded.sequence > through:
            break
        match recorded.event:
            case e.UserMessage(text=text) if recorded.sequence <= answered:
                latest = text.strip()
                lines.extend(_line("Customer", text))
            case e.VirtualAgentMessage(text=text):
                lines.extend(_line("Assistant", _unmarked(text)))
            case e.VirtualAgentChunk(text=text, complete=complete):
                streamed += text
                if complete:
                    lines.extend(_line("Assistant", _unmarked(streamed)))
                    streamed = ""
            case e.LiveAgentMessage(text=text):
                lines.extend(_line("Agent", text))
            case _:
                pass
    return lines, latest


def _line(who: str, text: str) -> list[str]:
    return [f"{who}: {_indented(text.strip())}"] if text.strip() else []


def _unmarked(text: str) -> str:
    # Contact centres show a brief as it is: the widget's Markdown would be noise there.
    return _LINK.sub(r"\1 (\2)", _EMPHASIS.sub(r"\2", text))


def _indented(text: str) -> str:
    # Indented, so that nobody can put a line into another's mouth by writing "Assistant: …" on a new line.
    return "\n  ".join(text.splitlines())
