"""The document of the handoff comes from the table."""

from pathlib import Path

from warmline.domain.diagram import handoff_document
from warmline.domain.handoff import TRANSITIONS, HandoffState

DOCUMENT = Path(__file__).parents[3] / "docs" / "handoff.md"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == handoff_document(), "run `make docs`"


def test_every_transition_stands_in_the_document() -> None:
    rows = [line for line in handoff_document().splitlines() if line.startswith("| ") and "| When " not in line]
    assert len(rows) == sum(len(row) for row in TRANSITIONS.values())


def test_every_state_can_be_reached_in_the_diagram() -> None:
    arrows = [line for line in handoff_document().splitlines() if "-->" in line]
    for state in HandoffState:
        assert any(f"--> {state}:" in arrow for arrow in arrows)
