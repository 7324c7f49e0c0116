"""Prints what happened inside a turn, for the author who is trying a project."""

from collections.abc import Mapping

import typer

from warmline.domain.turn import TraceEntry, TurnOutcome

_LONGEST = 300


def print_trace(outcome: TurnOutcome, duration_ms: float) -> None:
    """Print the trace of a turn that took `duration_ms`: times are milliseconds since it began."""
    topic = f"topic {outcome.topic!r} " if outcome.topic else ""
    why = f"({outcome.why}) " if outcome.why else ""
    _line(f"{topic}{why}{duration_ms:.1f} ms")
    for entry in outcome.trace:
        if not _shown_elsewhere(entry, outcome):
            _line(f"{entry.at_ms:>6} ms  {entry.kind:<9} {_data(entry)}")
    for call in outcome.calls:
        for log in call.logs:
            _line(f"           {call.name} {log.get('level')}: {log.get('content')}")
    for name, value in outcome.metrics:
        _line(f"           metric {name} = {value!r}")


def _shown_elsewhere(entry: TraceEntry, outcome: TurnOutcome) -> bool:
    """Tell whether an entry is among the texts and findings, which are shown in any case."""
    findings = [(finding.rule, finding.text) for finding in outcome.findings]
    is_finding = entry.kind == "error" and (entry.data.get("rule"), entry.data.get("text")) in findings
    return entry.kind == "said" or is_finding


def _data(entry: TraceEntry) -> str:
    if entry.kind == "tool":
        arguments = entry.data.get("arguments")
        given = ", ".join(f"{k}={v!r}" for k, v in arguments.items()) if isinstance(arguments, Mapping) else ""
        return f"{entry.data.get('name')}({given})"
    return "  ".join(f"{key}={_short(value)}" for key, value in entry.data.items() if value not in (None, "", [], {}))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _line(text: str) -> None:
    typer.secho(f"  {text}", dim=True)
