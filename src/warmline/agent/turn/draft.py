"""The outcome of a turn while it is being made."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from warmline.agent.project.model import Function
from warmline.agent.turn.memory import Memory, write_memory
from warmline.domain.messages import Attachment, AttachmentKind, CallAction, Say
from warmline.domain.turn import Finding, FunctionCall, HandoffRequest, SmsRequest, TraceEntry, TurnOutcome

# Whatever RFC 3986 allows stays; blanks and the like are encoded.
_URL_SAFE = "!#$%&'()*+,/:;=?@[]~-._"


class Draft:
    """What the turn has decided so far. `memory` is changed in place and written at the end."""

    def __init__(self, memory: Memory) -> None:
        """Start from the memory of the turn before."""
        self.memory = memory
        self.handoff: HandoffRequest | None = None
        self.handoff_error = False
        self.end = False
        self.failed = False
        self.topic = ""
        self.why = ""
        self.calls: list[FunctionCall] = []
        self.findings: list[Finding] = []
        self.sms: list[SmsRequest] = []
        self._says: list[Say] = []
        self._began = time.perf_counter()
        self._trace: list[TraceEntry] = []
        self._metrics: list[tuple[str, object]] = []
        self._attachments: list[Attachment] = []
        self._suggestions: tuple[str, ...] = ()
        self._call_actions: tuple[CallAction, ...] = ()
        self._language = memory.language
        self._variant = memory.variant

    @property
    def over(self) -> bool:
        """True when nothing more may happen in this turn."""
        return self.failed or self.end or self.handoff_error or self.handoff is not None

    @property
    def spoken(self) -> bool:
        """True when something was said."""
        return bool(self._says)

    @property
    def said(self) -> int:
        """How many texts were said."""
        return len(self._says)

    def text(self, index: int) -> str:
        """Give the text that was said at this place."""
        return self._says[index].text

    def reword(self, index: int, text: str) -> None:
        """Say `text` instead of what was said at this place, with everything beside it."""
        if text.strip():
            self._says[index] = replace(self._says[index], text=text.strip())

    def say(self, text: str, suggestions: Sequence[str] = ()) -> None:
        """Say `text` with everything that waits to be shown beside it; nothing when it is empty."""
        if not text.strip():
            return
        self.trace("said", {"text": text.strip()})
        self._say(text.strip(), tuple(suggestions) or self._suggestions)

    def _say(self, text: str, suggestions: tuple[str, ...]) -> None:
        self._says.append(
            Say(
                text=text,
                attachments=tuple(self._attachments),
                suggestions=suggestions,
                call_actions=self._call_actions,
            )
        )
        self._attachments, self._suggestions, self._call_actions = [], (), ()

    def show(
        self,
        attachments: Sequence[Mapping[str, str]],
        suggestions: Sequence[str] | None,
        call_actions: Sequence[Mapping[str, str]],
    ) -> None:
        """Keep these until something is said; suggestions replace earlier ones unless they are None."""
        self._attachments += [_attachment(item) for item in attachments]
        if suggestions is not None:
            self._suggestions = tuple(suggestions)
        if call_actions:
            self._call_actions = tuple(
                CallAction(contact_number=item["contact_number"], title=item.get("title", "")) for item in call_actions
            )

    def metric(self, name: str, value: object) -> None:
        """Record a metric."""
        self._metrics.append((name, value))
        self.memory.metrics = [*self.memory.metrics, (name, value)]

    def find(self, rule: str, text: str, function: Function | None = None, line: int = 0) -> None:
        """Tell the operator something, at a function's definition or at `line` of its file."""
        place = (function.file, line or function.line) if function else ("", 0)
        self.tell(Finding(rule=rule, text=text, file=place[0], line=place[1]))

    def tell(self, finding: Finding) -> None:
        """Tell the operator something."""
        self.findings.append(finding)
        self.trace("error", {"rule": finding.rule, "text": finding.text, "file": finding.file, "line": finding.line})

    def trace(self, kind: str, data: Mapping[str, object]) -> None:
        """Note for the trace that this happens now; the kinds are those of `TraceEntry`."""
        self._trace.append(TraceEntry(at_ms=round((time.perf_counter() - self._began) * 1000), kind=kind, data=data))

    def silence(self) -> None:
        """Take back everything that the customer would notice: the session is over."""
        self._says.clear()
        self._attachments, self._suggestions, self._call_actions = [], (), ()
        self.handoff, self.handoff_error, self.end, self.failed = None, False, False, False

    def outcome(self) -> TurnOutcome:
        """Give the finished outcome."""
        if self._attachments or self._suggestions or self._call_actions:
            self._say("", self._suggestions)
        changed_language = self.memory.language if self.memory.language != self._language else None
        changed_variant = self.memory.variant if self.memory.variant != self._variant else None
        return TurnOutcome(
            says=tuple(self._says),
            handoff=self.handoff,
            handoff_error=self.handoff_error,
            end=self.end,
            failed=self.failed,
            memory=write_memory(self.memory),
            language=changed_language,
            variant=changed_variant,
            topic=self.topic,
            why=self.why,
            calls=tuple(self.calls),
            metrics=tuple(self._metrics),
            findings=tuple(self.findings),
            sms=tuple(self.sms),
            trace=tuple(self._trace),
        )


def _attachment(item: Mapping[str, str]) -> Attachment:
    image = item.get("content_type") == "image"
    return Attachment(
        content_url=quote(item.get("content_url", ""), safe=_URL_SAFE),
        kind=AttachmentKind.IMAGE if image else AttachmentKind.URL,
        title=item.get("title", ""),
        preview_image_url=quote(item.get("preview_image_url", ""), safe=_URL_SAFE),
        call_to_action=item.get("call_to_action", ""),
    )
