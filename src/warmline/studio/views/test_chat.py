"""What a test chat shows: its lines as a phone would get them, and what happened inside each turn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from warmline.domain import events as e
from warmline.domain.effects import SendText
from warmline.domain.line import Line as Phone
from warmline.domain.segments import Segments, segments
from warmline.domain.texting import texts
from warmline.studio.views.transcript import Line, Who, lines

_PHONE = Phone(connection_id="", number="", customer="", mms=True)
_WHO: Mapping[type[e.Event], Who] = {
    e.VirtualAgentMessage: Who.VIRTUAL_AGENT,
    e.LiveAgentMessage: Who.LIVE_AGENT,
}


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the test chat. `parts` is what it takes as a text, None on other channels and where none is sent."""

    line: Line
    parts: Segments | None = None
    media: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened inside a turn, for reading. `kind` is a key below `trace.` in the texts.

    `rows` are pairs of a name and a value; `more` holds long texts by their titles.
    """

    kind: str
    at_ms: int
    text: str = ""
    rows: tuple[tuple[str, object], ...] = ()
    more: tuple[tuple[str, str], ...] = ()
    file: str = ""
    line: int = 0


def said(log: Sequence[e.Recorded]) -> list[Said]:
    """The lines of a chat as a web page shows them."""
    return [Said(line) for line in lines(log)]


def texted(log: Sequence[e.Recorded]) -> list[Said]:
    """The lines of a chat as texts, by the rules of SMS in Warmline's own wording (messaging-protocol.md §17)."""
    shown: list[Said] = []
    spoken: list[e.Recorded] = []
    queue_told = False
    by_sequence = {line.sequence: line for line in lines(log)}
    for index, recorded in enumerate(log):
        event = recorded.event
        if isinstance(event, e.VirtualAgentMessage):
            spoken.append(recorded)
            continue
        shown += _texts(spoken, queue_told)
        spoken = []
        line = by_sequence.get(recorded.sequence)
        if isinstance(event, e.UserMessage) and line is not None:
            shown.append(Said(line, segments(line.text)))
        elif line is not None and line.who is Who.NEWS:
            shown.append(Said(line))
        if not isinstance(event, e.UserMessage):
            # The text for an agent who leaves says whether the conversation is over.
            over = isinstance(event, e.LiveAgentLeft) and index + 1 < len(log)
            shown += _texts(log[index : index + 2] if over else [recorded], queue_told)
        queue_told = queue_told or isinstance(event, e.QueueStatusChanged)
    return [*shown, *_texts(spoken, queue_told)]


def _texts(group: Sequence[e.Recorded], queue_told: bool) -> Iterator[Said]:
    if not group:
        return
    who = _WHO.get(type(group[0].event), Who.SYSTEM)
    sent: tuple[SendText, ...] = texts(_PHONE, [recorded.event for recorded in group], queue_told=queue_told)
    for text in sent:
        line = Line(at=group[-1].at, who=who, text=text.text, sequence=group[0].sequence)
        yield Said(line, segments(text.text), text.media)


def web_address(address: str) -> str:
    """The address when a browser may safely follow it, "" otherwise: an agent or a function may have written it."""
    try:
        return address if urlsplit(address).scheme in ("http", "https") else ""
    except ValueError:
        return ""


def steps(record: Mapping[str, object], names: Mapping[str, str]) -> list[Step]:
    """Everything that a turn's record tells, in order: its trace, then logs, metrics and what else was found.

    Args:
        record: as `conversation.turns` writes it for a test chat.
        names: the connections' names by id.
    """
    found = [_step(entry, names) for entry in _list(record, "trace") if entry.get("kind") != "said"]
    last = found[-1].at_ms if found else 0
    for call in _list(record, "calls"):
        for log in _list(call, "logs"):
            text = f"{call.get('name')} {log.get('level', '')}: {log.get('content', '')}"
            found.append(Step(kind="log", at_ms=last, text=text))
    metrics = record.get("metrics")
    for metric in metrics if isinstance(metrics, list) else ():
        found.append(Step(kind="metric", at_ms=last, rows=((str(metric[0]), metric[1]),)))
    told = {step.text for step in found if step.kind == "error"}
    for finding in _list(record, "findings"):
        step = _error(last, finding)
        if step.text not in told:
            found.append(step)
    return found


def _list(data: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    value = data.get(key)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _step(entry: Mapping[str, object], names: Mapping[str, str]) -> Step:
    kind, at_ms = str(entry.get("kind")), int(str(entry.get("at_ms", 0)))
    given = entry.get("data")
    data: Mapping[str, object] = given if isinstance(given, Mapping) else {}
    step = Step(kind=kind, at_ms=at_ms)
    match kind:
        case "retrieved":
            return replace(step, rows=_topics(data.get("topics")))
        case "prompt":
            return _prompt(step, data)
        case "tool":
            arguments = data.get("arguments")
            return replace(step, text=str(data.get("name")), rows=_rows(arguments))
        case "returned":
            took = f"{data.get('duration_ms', 0)} ms"
            return replace(step, text=str(data.get("name")), rows=(("value", data.get("value")), ("took", took)))
        case "moved":
            return replace(step, text=f"{_place(data, 'from')} → {_place(data, 'to')}")
        case "handoff":
            return _handoff(step, data, names)
        case "error":
            return _error(at_ms, data)
        case _:
            return replace(step, rows=_rows(data))


def _rows(data: object) -> tuple[tuple[str, object], ...]:
    if not isinstance(data, Mapping):
        return ()
    return tuple((str(key), value) for key, value in data.items() if value not in (None, "", [], {}))


def _topics(topics: object) -> tuple[tuple[str, object], ...]:
    """Both brains tell what they found, each in its way."""
    if isinstance(topics, Mapping):
        return tuple((str(name), distance) for name, distance in topics.items())
    rows: list[tuple[str, object]] = []
    for one in topics if isinstance(topics, list) else ():
        near = f" · “{one['nearest']}”" if one.get("nearest") else ""
        rows.append((str(one.get("topic")), f"{float(one.get('distance', 0)):.3f}{near}"))
    return tuple(rows)


def _prompt(step: Step, data: Mapping[str, object]) -> Step:
    messages = [(str(m.get("role")), _words(m.get("content"))) for m in _list(data, "messages")]
    long = {"messages", "answer", "model"}
    answer = [("answer", _words(data.get("answer")))] if data.get("answer") else []
    rows = _rows({key: value for key, value in data.items() if key not in long})
    return replace(step, text=str(data.get("model", "")), rows=rows, more=(*messages, *answer))


def _words(content: object) -> str:
    return content if isinstance(content, str) else "" if content is None else repr(content)


def _place(data: Mapping[str, object], end: str) -> str:
    return " / ".join(str(part) for part in (data.get(f"{end}_flow"), data.get(f"{end}_step")) if part) or "–"


def _handoff(step: Step, data: Mapping[str, object], names: Mapping[str, str]) -> Step:
    connection = str(data.get("connection", ""))
    kind = "handoff" if data.get("sent") else "handoff_held"
    shown = {key: value for key, value in data.items() if key not in ("connection", "sent", "by_client")}
    where = "" if data.get("by_client") else names.get(connection, connection)
    return replace(step, kind=kind, text=where, rows=_rows(shown))


def _error(at_ms: int, data: Mapping[str, object]) -> Step:
    return Step(
        kind="error",
        at_ms=at_ms,
        text=": ".join(str(part) for part in (data.get("rule"), data.get("text")) if part),
        file=str(data.get("file") or ""),
        line=int(str(data.get("line") or 0)),
    )
