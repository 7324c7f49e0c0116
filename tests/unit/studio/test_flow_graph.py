"""The picture of a flow: what leads where, and that no two boxes ever share a place."""

import random
import re
from itertools import combinations
from pathlib import Path

import pytest

from support.agent_projects import EXAMPLES, function_file, write_project
from support.flow_projects import default_step_file, flow_file, flow_function, step_file
from warmline.agent.project.loader import load_project
from warmline.agent.project.model import Flow
from warmline.studio.views.flow_graph import fit, graph_of
from warmline.studio.views.flow_ways import PlaceKind, WayKind, Ways, entered_from, ways_of
from warmline.studio.views.layered import COLUMN_GAP, Box, Link, lay_out

FILES = {
    "functions/enter.py": function_file("enter", "conv.goto_flow('order')"),
    "functions/leave.py": function_file("leave", "return {'transition': {'goto_flow': 'other'}}"),
    "config/entities.yaml": "entities:\n  - name: size\n    entity_type: free_text\n    description: d\n",
    "flows/order/flow_config.yaml": flow_file("order", "ask"),
    "flows/order/steps/ask.yaml": default_step_file(
        "ask", "Ask.", "size", "known -> look: size", "stop", "lost -> nowhere"
    ),
    "flows/order/steps/confirm.yaml": step_file("confirm", "Call {{ft:again}}, {{fn:leave}} or {{fn:enter}}."),
    "flows/order/steps/alone.yaml": step_file("alone", "Nobody comes here."),
    "flows/order/functions/again.py": flow_function("again", "flow.goto_step('ask' if conv.state.x else 'confirm')"),
    "flows/order/function_steps/look.py": flow_function("look", "flow.goto_step('confirm')", step=True),
    "flows/other/flow_config.yaml": flow_file("other", "only"),
    "flows/other/steps/only.yaml": step_file("only", "Talk."),
}


@pytest.fixture
def order(tmp_path: Path) -> tuple[Flow, Ways]:
    """A flow with every kind of way."""
    project = load_project(write_project(tmp_path, FILES))
    flow = project.flow("order")
    assert flow is not None
    assert entered_from(project, flow) == ["functions/enter.py"]
    return flow, ways_of(project, flow)


def test_all_ways_of_a_flow_are_found(order: tuple[Flow, Ways]) -> None:
    _, ways = order
    found = [(way.origin.name, way.kind, way.name, way.target.kind, way.target.name) for way in ways.ways]
    assert found == [
        ("ask", WayKind.CONDITION, "known", PlaceKind.FUNCTION, "look"),
        ("ask", WayKind.CONDITION, "stop", PlaceKind.LEAVE, ""),
        ("ask", WayKind.CONDITION, "lost", PlaceKind.MISSING, "nowhere"),
        ("confirm", WayKind.FUNCTION, "again", PlaceKind.DEFAULT, "ask"),
        ("confirm", WayKind.FUNCTION, "again", PlaceKind.ADVANCED, "confirm"),
        ("confirm", WayKind.FUNCTION, "leave", PlaceKind.FLOW, "other"),
        ("confirm", WayKind.FUNCTION, "enter", PlaceKind.DEFAULT, "ask"),
        ("look", WayKind.STEP, "look", PlaceKind.ADVANCED, "confirm"),
    ]
    assert ways.start is not None
    assert (ways.start.name, ways.start.file) == ("ask", "flows/order/steps/ask.yaml")
    assert ways.unreached == {"alone"}
    assert [way.origin.name for way in ways.into("ask")] == ["confirm", "confirm"]
    assert ways.out_of("ask")[0].needs == ("size",)


def test_each_way_has_a_row_and_a_line(order: tuple[Flow, Ways]) -> None:
    _, ways = order
    graph = graph_of(ways)
    rows = {shape.place.name: [row.full for row in shape.rows] for shape in graph.shapes}
    assert rows["ask"] == ["known", "stop", "lost"]
    assert rows["confirm"] == ["again", "leave", "enter"], "a function that leads to two places has one row"
    assert rows["look"] == [""]
    assert len(graph.lines) == len(ways.ways)
    assert [shape.place.name for shape in graph.shapes if shape.unreached] == ["alone"]
    assert graph.start is not None


@pytest.mark.parametrize("name", ["corner-cycles", "harbour-dental", "pine-and-salt"])
def test_the_flows_of_the_examples_hang_together(name: str) -> None:
    project = load_project(EXAMPLES / name)
    for flow in project.flows:
        ways = ways_of(project, flow)
        assert not ways.unreached, flow.name
        assert all(place.kind is not PlaceKind.MISSING for place in ways.places)
        assert graph_of(ways).width > 0


def test_boxes_never_share_a_place_and_lines_stay_inside() -> None:
    dice = random.Random(7)
    for count in (1, 2, 5, 12, 40):
        boxes = [Box(200, 48 + 26 * dice.randrange(5), 24) for _ in range(count)]
        pairs = [(dice.randrange(count), dice.randrange(count)) for _ in range(2 * count)]
        links = [Link(a, b, boxes[a].height - 13) for a, b in pairs]
        drawing = lay_out(boxes, links)
        assert drawing == lay_out(boxes, links), "the same input gives the same picture"
        placed = list(zip(drawing.corners, boxes, strict=True))
        for ((x, y), box), ((other_x, other_y), other) in combinations(placed, 2):
            beside = x + box.width + COLUMN_GAP <= other_x or other_x + other.width + COLUMN_GAP <= x
            assert beside or y + box.height < other_y or other_y + other.height < y
        for (x, y), box in placed:
            assert x >= 0
            assert y >= 0
            assert x + box.width <= drawing.width
            assert y + box.height <= drawing.height
        for path, (a, b) in zip(drawing.paths, pairs, strict=True):
            (x, y), (to_x, to_y) = drawing.corners[a], drawing.corners[b]
            assert path.startswith(f"M{x + 200:g} {y + boxes[a].height - 13:.1f}")
            numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
            assert min(numbers) >= 0
            assert max(numbers) <= max(drawing.width, drawing.height)
            ends = [f"{to_x:g} {to_y + 24:.1f}", f"H{to_x:g}"]
            assert any(path.endswith(end) for end in ends)


def test_a_long_chain_runs_from_left_to_right() -> None:
    boxes = [Box(200, 48, 24)] * 300
    drawing = lay_out(boxes, [Link(n, n + 1, 24) for n in range(299)])
    assert [x for x, _ in drawing.corners] == sorted(x for x, _ in drawing.corners)
    assert len({y for _, y in drawing.corners}) == 1
    assert lay_out([], []).width == 0


def test_texts_are_cut_to_what_fits() -> None:
    assert fit("short", 5) == "short"
    assert fit("longer than that", 8) == "longer…"
    assert fit("住所確認", 4) == "住…"
