"""A flow as a picture: a box for each step with a row for each way out of it, joined by lines."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from warmline.studio.views.flow_ways import Place, PlaceKind, Way, WayKind, Ways
from warmline.studio.views.layered import Box, Link, lay_out

WIDTH, HEAD, ROW = 208, 48, 26
_LEFT = 64
"""Room for the sign of the start."""
_NAME, _LABEL = 23, 26
"""Signs of a name and of a row that fit into a box."""


@dataclass(frozen=True, slots=True)
class Row:
    """The ways out of a step that have the same name, "" for those of its own code; `y` is the middle's."""

    label: str
    full: str
    y: float


@dataclass(frozen=True, slots=True)
class Shape:
    """A box of the picture."""

    place: Place
    name: str
    x: float
    y: float
    height: float
    rows: tuple[Row, ...]
    unreached: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the picture, with the kind of place that it leads to."""

    path: str
    kind: PlaceKind


@dataclass(frozen=True, slots=True)
class Graph:
    """All that the template draws. `start` is where the start's line ends, None without a start."""

    shapes: tuple[Shape, ...]
    lines: tuple[Line, ...]
    start: tuple[float, float] | None
    width: float
    height: float
    box: int = WIDTH
    head: int = HEAD


def graph_of(ways: Ways) -> Graph:
    """Lay out a flow."""
    numbers = {place: number for number, place in enumerate(ways.places)}
    labels = [_labels(ways.ways, place) for place in ways.places]
    boxes = [Box(WIDTH, HEAD + ROW * len(own), HEAD / 2) for own in labels]
    links = [
        Link(
            numbers[way.origin],
            numbers[way.target],
            HEAD + ROW * (labels[numbers[way.origin]].index(_label(way)) + 0.5),
        )
        for way in ways.ways
    ]
    drawing = lay_out(boxes, links, left=_LEFT)
    shapes = []
    for place, own, (x, y), box in zip(ways.places, labels, drawing.corners, boxes, strict=True):
        rows = tuple(Row(fit(name, _LABEL), name, y + HEAD + ROW * (i + 0.5)) for i, name in enumerate(own))
        unreached = place.name in ways.unreached and place.kind not in (PlaceKind.FLOW, PlaceKind.LEAVE)
        shapes.append(Shape(place, fit(place.name, _NAME), x, y, box.height, rows, unreached))
    start = None
    if ways.start is not None:
        x, y = drawing.corners[numbers[ways.start]]
        start = (x, y + HEAD / 2)
    lines = tuple(Line(path, way.target.kind) for path, way in zip(drawing.paths, ways.ways, strict=True))
    return Graph(tuple(shapes), lines, start, drawing.width, drawing.height)


def _labels(ways: Sequence[Way], place: Place) -> list[str]:
    """Give the names of the ways out of a place, each once."""
    return list(dict.fromkeys(_label(way) for way in ways if way.origin == place))


def _label(way: Way) -> str:
    return "" if way.kind is WayKind.STEP else way.name


def fit(text: str, room: int) -> str:
    """Cut a text to what fits; wide signs take twice the room."""
    taken = 0
    for index, sign in enumerate(text):
        taken += 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        if taken > room:
            return text[: max(0, index - 1)].rstrip() + "…"
    return text
