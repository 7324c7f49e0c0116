"""Lays out a directed graph in columns: what follows stands to the right, ways back run beneath.

The steps are those of Sugiyama, Tagawa and Toda (1981): break cycles, give layers, reduce crossings by barycentres,
give coordinates. Everything is in the units of the drawing, and the same input always gives the same picture.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

COLUMN_GAP, ROW_GAP, LANE = 76, 28, 16
_SIDE = 40
"""Room beside the boxes for ways that run back."""
_PLACE_HOLDER = 12
"""Height that a long edge takes in the columns that it passes."""
_SWEEPS = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A node to be placed. `entry` is how far below its top edges come in."""

    width: float
    height: float
    entry: float


@dataclass(frozen=True, slots=True)
class Link:
    """An edge from a node's right side, `port` below its top, to another node's left side."""

    source: int
    target: int
    port: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """Where the boxes' upper left corners are, an SVG path for each link, and the size of it all."""

    corners: tuple[tuple[float, float], ...]
    paths: tuple[str, ...]
    width: float
    height: float


@dataclass
class _Work:
    """The graph while it is laid out. Numbers from `len(boxes)` on are place holders of long edges."""

    boxes: Sequence[Box]
    links: Sequence[Link]
    layer: list[int] = field(default_factory=list)
    chains: dict[int, list[int]] = field(default_factory=dict)
    columns: list[list[int]] = field(default_factory=list)
    top: dict[int, float] = field(default_factory=dict)

    def height(self, node: int) -> float:
        return self.boxes[node].height if node < len(self.boxes) else _PLACE_HOLDER

    def entry(self, node: int) -> float:
        return self.boxes[node].entry if node < len(self.boxes) else _PLACE_HOLDER / 2


def lay_out(boxes: Sequence[Box], links: Sequence[Link], *, margin: float = 24, left: float = _SIDE) -> Drawing:
    """Place the boxes, the first one leftmost, and draw the links. Parts without a link between them stand apart."""
    corners = [(0.0, 0.0)] * len(boxes)
    paths = [""] * len(links)
    width, top = 0.0, margin
    for part in _parts(len(boxes), links):
        number = {node: index for index, node in enumerate(part)}
        own = [index for index, link in enumerate(links) if link.source in number]
        work = _Work(
            [boxes[node] for node in part],
            [replace(links[i], source=number[links[i].source], target=number[links[i].target]) for i in own],
        )
        _give_layers(work)
        _reach_through(work)
        _order(work)
        _give_tops(work, top)
        drawing = _draw(work, left)
        for node, corner in zip(part, drawing.corners, strict=True):
            corners[node] = corner
        for index, path in zip(own, drawing.paths, strict=True):
            paths[index] = path
        width, top = max(width, drawing.width), drawing.height + ROW_GAP
    return Drawing(tuple(corners), tuple(paths), width, round(top - ROW_GAP + margin, 1) if boxes else 0)


def _parts(count: int, links: Sequence[Link]) -> list[list[int]]:
    """Give the nodes that hang together, by their first one."""
    beside: dict[int, list[int]] = defaultdict(list)
    for link in links:
        beside[link.source].append(link.target)
        beside[link.target].append(link.source)
    seen: set[int] = set()
    parts = []
    for root in range(count):
        part, waiting = [], [root]
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                part.append(node)
                waiting += beside[node]
        if part:
            parts.append(sorted(part))
    return parts


def _give_layers(work: _Work) -> None:
    """Give each node the column after its farthest predecessor; links that close a cycle do not count."""
    followers: dict[int, list[int]] = defaultdict(list)
    for link in work.links:
        followers[link.source].append(link.target)
    state = [0] * len(work.boxes)
    finished: list[int] = []
    backward: set[tuple[int, int]] = set()
    for root in range(len(work.boxes)):
        stack = [(root, iter(followers[root]))] if not state[root] else []
        state[root] = state[root] or 1
        while stack:
            node, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                state[node] = 2
                finished.append(node)
                stack.pop()
            elif state[following] == 1:
                backward.add((node, following))
            elif state[following] == 0:
                state[following] = 1
                stack.append((following, iter(followers[following])))
    work.layer = [0] * len(work.boxes)
    for node in reversed(finished):
        for following in followers[node]:
            if (node, following) not in backward:
                work.layer[following] = max(work.layer[following], work.layer[node] + 1)


def _reach_through(work: _Work) -> None:
    """Put a place holder into every column that a forward link passes."""
    work.columns = [[] for _ in range(max(work.layer) + 1)]
    for node, layer in enumerate(work.layer):
        work.columns[layer].append(node)
    for index, link in enumerate(work.links):
        first, last = work.layer[link.source], work.layer[link.target]
        if last > first:
            work.chains[index] = [link.source]
            for layer in range(first + 1, last):
                work.layer.append(layer)
                work.columns[layer].append(len(work.layer) - 1)
                work.chains[index].append(len(work.layer) - 1)
            work.chains[index].append(link.target)


def _neighbours(work: _Work) -> tuple[Mapping[int, list[tuple[int, float]]], Mapping[int, list[tuple[int, float]]]]:
    """Give what stands before and after each node, with how far below that one's top the link is."""
    before: dict[int, list[tuple[int, float]]] = defaultdict(list)
    after: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for index, chain in work.chains.items():
        for position, (node, following) in enumerate(pairwise(chain)):
            port = work.links[index].port if position == 0 else _PLACE_HOLDER / 2
            before[following].append((node, port))
            after[node].append((following, work.entry(following)))
    return before, after


def _order(work: _Work) -> None:
    """Order each column by where the neighbours stand, from left to right and back, so that few links cross."""
    before, after = _neighbours(work)
    for sweep in range(_SWEEPS):
        rightwards = sweep % 2 == 0
        beside = before if rightwards else after
        place = {node: float(rank) for column in work.columns for rank, node in enumerate(column)}
        for column in work.columns if rightwards else reversed(work.columns):
            wanted = {}
            for node in column:
                at = [place[other] + port / 1000 for other, port in beside[node]]
                wanted[node] = sum(at) / len(at) if at else place[node]
            column.sort(key=lambda node: wanted[node])
            place |= {node: float(rank) for rank, node in enumerate(column)}


def _give_tops(work: _Work, margin: float) -> None:
    """Move each column's nodes towards their neighbours without changing their order."""
    for column in work.columns:
        at = margin
        for node in column:
            work.top[node] = at
            at += work.height(node) + ROW_GAP
    before, after = _neighbours(work)
    for sweep in range(_SWEEPS):
        rightwards = sweep % 2 == 0
        beside = before if rightwards else after
        for column in work.columns if rightwards else reversed(work.columns):
            wanted = {}
            for node in column:
                at_all = [work.top[other] + port - work.entry(node) for other, port in beside[node]]
                wanted[node] = sum(at_all) / len(at_all) if at_all else work.top[node]
            _settle(work, column, wanted)
    highest = min(work.top.values())
    for node in work.top:
        work.top[node] += margin - highest


def _settle(work: _Work, column: Sequence[int], wanted: Mapping[int, float]) -> None:
    """Give the tops that are wanted, pushed apart where nodes would overlap: half downwards, half upwards."""
    down: list[float] = []
    for position, node in enumerate(column):
        above = down[-1] + work.height(column[position - 1]) + ROW_GAP if position else wanted[node]
        down.append(max(wanted[node], above))
    up: list[float] = []
    for position in range(len(column) - 1, -1, -1):
        node = column[position]
        limit = up[-1] - work.height(node) - ROW_GAP if up else wanted[node]
        up.append(min(wanted[node], limit))
    up.reverse()
    for position, node in enumerate(column):
        work.top[node] = (down[position] + up[position]) / 2


def _draw(work: _Work, left: float) -> Drawing:
    count = len(work.boxes)
    widths = [max((work.boxes[n].width for n in column if n < count), default=0.0) for column in work.columns]
    starts = [left + sum(widths[:i]) + COLUMN_GAP * i for i in range(len(widths))]
    floor = max(work.top[node] + work.height(node) for node in work.top)
    lanes = 0
    paths: list[str] = []
    for index, link in enumerate(work.links):
        if index in work.chains:
            paths.append(_forward(work, work.chains[index], link, starts, widths))
        else:
            source = (starts[work.layer[link.source]] + work.boxes[link.source].width, work.top[link.source])
            target = (starts[work.layer[link.target]], work.top[link.target] + work.entry(link.target))
            lanes += 1
            paths.append(_backward((source[0], source[1] + link.port), target, floor + LANE * lanes, lanes % 5))
    corners = tuple((starts[work.layer[node]], round(work.top[node], 1)) for node in range(count))
    return Drawing(corners, tuple(paths), starts[-1] + widths[-1] + _SIDE, floor + LANE * lanes)


def _forward(work: _Work, chain: Sequence[int], link: Link, starts: Sequence[float], widths: Sequence[float]) -> str:
    x = starts[work.layer[link.source]] + work.boxes[link.source].width
    y = work.top[link.source] + link.port
    parts = [f"M{x:g} {y:.1f}"]
    for node in chain[1:]:
        column = work.layer[node]
        to_x, to_y = starts[column], work.top[node] + work.entry(node)
        middle = (x + to_x) / 2
        parts.append(f"C{middle:g} {y:.1f} {middle:g} {to_y:.1f} {to_x:g} {to_y:.1f}")
        x, y = to_x, to_y
        if node >= len(work.boxes):
            x += widths[column]
            parts.append(f"H{x:g}")
    return "".join(parts)


def _backward(source: tuple[float, float], target: tuple[float, float], lane: float, shift: int) -> str:
    """Go down to a lane below all boxes, back, and up again, with round corners."""
    (x, y), (to_x, to_y) = source, target
    out, into, r = x + 12 + shift * 5, to_x - 14 - shift * 5, 8
    return (
        f"M{x:g} {y:.1f}H{out - r:g}Q{out:g} {y:.1f} {out:g} {y + r:.1f}V{lane - r:.1f}"
        f"Q{out:g} {lane:.1f} {out - r:g} {lane:.1f}H{into + r:g}Q{into:g} {lane:.1f} {into:g} {lane - r:.1f}"
        f"V{to_y + r:.1f}Q{into:g} {to_y:.1f} {into + r:g} {to_y:.1f}H{to_x:g}"
    )
