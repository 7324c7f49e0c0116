"""Charts as plain numbers for an SVG template: columns, and the lines that help to read them."""

from collections.abc import Sequence
from dataclasses import dataclass

from warmline.ports import Column

WIDTH, NARROW, HEIGHT = 720, 320, 200
_LEFT, _BOTTOM, _TOP = 40, 24, 8
_STEPS = (1, 2, 5)
_LABEL = 64
"""A label and the room around it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One column: the whole, and the part of it that was handed over. Lengths in the units of the view box."""

    x: float
    width: float
    top: float
    height: float
    part_top: float
    part_height: float
    label: str
    column: Column


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across the chart at a round number."""

    y: float
    value: int


@dataclass(frozen=True, slots=True)
class Chart:
    """All that the template draws."""

    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    width: int
    height: int = HEIGHT
    left: int = _LEFT
    floor: int = HEIGHT - _BOTTOM


def chart(columns: Sequence[Column], labels: Sequence[str], width: int = WIDTH) -> Chart:
    """Lay out columns with their labels below; where they are too many for the width, only some labels are shown."""
    most = max((column.conversations for column in columns), default=0)
    step = _round_step(most)
    ceiling = max(step, -(-most // step) * step)
    room = HEIGHT - _BOTTOM - _TOP
    slot = (width - _LEFT) / max(1, len(columns))
    every = -(-len(columns) // ((width - _LEFT) // _LABEL)) or 1

    def length(value: int) -> float:
        return round(value / ceiling * room, 1)

    bars = tuple(
        Bar(
            x=round(_LEFT + index * slot + slot * 0.12, 1),
            width=round(slot * 0.76, 1),
            top=round(HEIGHT - _BOTTOM - length(column.conversations), 1),
            height=length(column.conversations),
            part_top=round(HEIGHT - _BOTTOM - length(column.handed_over), 1),
            part_height=length(column.handed_over),
            label=label if index % every == 0 else "",
            column=column,
        )
        for index, (column, label) in enumerate(zip(columns, labels, strict=True))
    )
    marks = tuple(Mark(round(HEIGHT - _BOTTOM - length(value), 1), value) for value in range(0, ceiling + 1, step))
    return Chart(bars, marks, width)


def _round_step(most: int) -> int:
    """The distance of lines: a round number of which up to five fit."""
    size = 1
    while True:
        for step in _STEPS:
            if most <= step * size * 5:
                return step * size
        size *= 10
