"""Draws the handoff table: the text of `docs/handoff.md`. Pure, so that a test can hold the document to the table."""

from warmline.domain.handoff import TRANSITIONS, HandoffInput, HandoffState, Transition

_INTRO = """\
# The handoff

<!-- Generated from src/warmline/domain/handoff.py by `make docs`: change the table there. -->

A handoff is one attempt to move a session to a human. Everything that may happen to it, in every state, stands in one
table (`src/warmline/domain/handoff.py`), and the code plays its steps. An input that a state does not list changes
nothing, and neither does news of an earlier handoff, news older than what was applied, or a deadline before its time.
When the session goes on after a live agent, that agent's last words are shown for one more minute.
"""


def handoff_document() -> str:
    """The states as a Mermaid diagram, then one table per state."""
    return "\n".join([_INTRO, _diagram(), "", *(_section(state) for state in HandoffState)])


def _diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {HandoffState.REQUESTED}: virtual agent hands over"]
    for state, row in TRANSITIONS.items():
        arrows: dict[HandoffState, list[HandoffInput]] = {}
        for given, transition in row.items():
            if transition.to is not state:
                arrows.setdefault(transition.to, []).append(given)
        for to, inputs in arrows.items():
            lines.append(f"    {state} --> {to}: {', '.join(inputs)}")
    lines += [f"    {HandoffState.ENDED} --> [*]", "```"]
    return "\n".join(lines)


def _section(state: HandoffState) -> str:
    rows = [_row(state, given, transition) for given, transition in TRANSITIONS[state].items()]
    head = ["| When | then, in this order | and it is |", "|---|---|---|"]
    return "\n".join([f"## {state}", "", *head, *rows, ""])


def _row(state: HandoffState, given: HandoffInput, transition: Transition) -> str:
    to = "the same" if transition.to is state else f"**{transition.to}**"
    return f"| {given} | {' · '.join(transition.steps)} | {to} |"
