"""How many parts of an SMS a text takes at the carrier (messaging-protocol.md §17.6, GSM 03.38). Pure."""

from dataclasses import dataclass

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[]~|€\f")
"""These take two places of the alphabet."""


@dataclass(frozen=True, slots=True)
class Segments:
    """`encoding` is "GSM-7" or "UCS-2", `units` the places taken in it, `count` the number of parts."""

    encoding: str
    units: int
    count: int


def segments(text: str) -> Segments:
    """Count the parts of `text`: the fee, and what some phones show separately."""
    if all(character in _BASIC or character in _EXTENDED for character in text):
        sizes = [2 if character in _EXTENDED else 1 for character in text]
        return Segments("GSM-7", sum(sizes), _parts(sizes, single=160, part=153))
    sizes = [2 if ord(character) > 0xFFFF else 1 for character in text]
    return Segments("UCS-2", sum(sizes), _parts(sizes, single=70, part=67))


def _parts(sizes: list[int], *, single: int, part: int) -> int:
    """No character is divided between two parts."""
    if sum(sizes) <= single:
        return 1
    count, room = 1, part
    for size in sizes:
        if size > room:
            count, room = count + 1, part
        room -= size
    return count
