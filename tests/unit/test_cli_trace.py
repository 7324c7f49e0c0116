"""What `warmline chat --trace` prints of a turn."""

import pytest

from warmline.cli.trace import print_trace
from warmline.domain.turn import Finding, TraceEntry, TurnOutcome


def test_what_went_wrong_on_the_way_is_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = TurnOutcome(
        findings=(Finding(rule="tool-loop", text="It still calls functions."),),
        trace=(
            TraceEntry(at_ms=3, kind="error", data={"rule": "function-not-found", "text": "It called `nowhere`."}),
            TraceEntry(at_ms=4, kind="said", data={"text": "Shown as the agent's."}),
            TraceEntry(at_ms=9, kind="error", data={"rule": "tool-loop", "text": "It still calls functions."}),
        ),
    )
    print_trace(outcome, 12.0)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert printed[1].split() == ["3", "ms", "error", "rule='function-not-found'", "text='It", "called", "`nowhere`.'"]
