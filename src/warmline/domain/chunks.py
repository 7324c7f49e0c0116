"""Cuts a text into streaming chunks, finished or while it grows."""

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


def complete_sentences(text: str) -> str:
    """Give the beginning of a growing text that can be shown: whole sentences, with the white space after the last.

    It ends before anything that a later boundary might cut through (see `chunk_text`).
    """
    unsafe = _UNSAFE.search(text)
    limit = unsafe.start() if unsafe else len(text)
    return text[: max((m.end() for m in _SENTENCE_END.finditer(text) if m.end() <= limit), default=0)]
