"""Cuts a finished text into streaming chunks."""

import re

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+(?=\S)")
_UNSAFE = re.compile(r"[*_`~|\\\[\]()<>]|https?:|^\s*(?:[-+]\s|#|\d+[.)]\s)", re.MULTILINE)


def chunk_text(text: str) -> tuple[str, ...]:
    """Cut at sentence ends; each piece keeps its trailing white space, so that joining gives `text` back.

    Texts with Markdown, HTML or links stay whole: no boundary may fall inside a token
    (messaging-protocol.md §7, checks A3 and A4).
    """
    if _UNSAFE.search(text):
        return (text,)
    pieces: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        pieces.append(text[start : match.end()])
        start = match.end()
    pieces.append(text[start:])
    return tuple(pieces)
