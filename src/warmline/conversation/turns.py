"""Runs the virtual agent's turns: the handler of `RunTurn`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import msgspec
import structlog

from warmline import telemetry
from warmline.conversation.held_back import held_back
from warmline.conversation.metrics import TurnMetrics
from warmline.conversation.planning import Planned
from warmline.conversation.service import Conversations
from warmline.conversation.streaming import AnswerStream
from warmline.conversation.transcript import history
from warmline.domain.commands import ApplyTurn, HandoffPlan
from warmline.domain.effects import RunTurn, SendText
from warmline.domain.errors import StoreUnavailable
from warmline.domain.turn import Finding, HandoffRequest, SmsRequest, TurnInput, TurnKind, TurnOutcome
from warmline.ports import (
    Clock,
    Done,
    Ids,
    OutboxRow,
    Outcome,
    Settled,
    Settlement,
    Store,
    StoredSession,
    TurnEngine,
    TurnRecord,
)

_log = structlog.get_logger(__name__)

_THINKING_EVERY_S = 8.0
_HISTORY_EVENTS = 200
_START_RETRY_MAX_S = 30.0

Planner = Callable[[StoredSession, HandoffRequest], Planned]
"""Finds the connection for a wish for a human, or says why there is none."""

Texter = Callable[[StoredSession, SmsRequest], Awaitable[tuple[SendText, ...] | Finding]]
"""Resolves a wish for a text message to messages over a connection, or says why it cannot."""


class Turns:
    """Takes a session through one turn: input from the log, the project's engine, the outcome as a command."""

    def __init__(
        self,
        store: Store,
        conversations: Conversations,
        engines: Callable[[str], TurnEngine],
        plan: Planner,
        clock: Clock,
        ids: Ids,
        texter: Texter | None = None,
        metrics: TurnMetrics | None = None,
    ) -> None:
        self._metrics = metrics or TurnMetrics()
        self._texter = texter or _no_texts
        self._store = store
        self._conversations = conversations
        self._engines = engines
        self._plan = plan
        self._clock = clock
        self._ids = ids

    async def __call__(self, row: OutboxRow, settlement: Settlement) -> Outcome:
        """Run the turn of `row` and apply its outcome in the transaction that settles the row."""
        effect = row.effect
        if not isinstance(effect, RunTurn):
            raise TypeError(f"not a turn: {type(effect).__name__}")
        stored = await self._conversations.session(row.session_id)
        if stored is None or not stored.session.wants(effect):
            return Done()
        began = self._clock.now()
        async with self._thinking(row.session_id, effect.kind):
            with telemetry.part("turn.run", project=stored.info.project_id):
                outcome = await self._run(stored, effect)
        self._metrics.ran(stored.info.project_id, outcome, self._clock.now() - began)
        if outcome.failed and effect.kind is TurnKind.START:
            await self._clock.sleep(min(2.0 * 2**stored.session.start_failures, _START_RETRY_MAX_S))
        plan, outcome = self._planned(stored, outcome)
        texts, outcome = await self._texted(stored, outcome)
        if stored.info.is_test_chat:
            plan, texts, outcome = held_back(stored.info, outcome, plan, texts)
        _report(stored.session.id, outcome)
        record = TurnRecord(
            turn_id=effect.turn_id,
            memory=outcome.memory,
            record=_record(effect, outcome, began, self._clock.now(), traced=stored.info.is_test_chat),
            project_id=stored.info.project_id,
            # What people try out is no use of a topic.
            topic="" if stored.info.is_test_chat or stored.info.environment == "sandbox" else outcome.topic,
        )
        command = ApplyTurn(
            at=self._clock.now(),
            kind=effect.kind,
            outcome=outcome,
            message_ids=tuple(self._ids.uuid() for _ in outcome.says),
            answers=effect.sequence,
            plan=plan,
            texts=texts,
        )
        await self._conversations.apply(row.session_id, command, settle=settlement, turn=record)
        return Settled()

    async def _run(self, stored: StoredSession, effect: RunTurn) -> TurnOutcome:
        session_id = stored.session.id
        begin = await self._store.turn_start(session_id, effect.turn_id)
        if begin.functions_started or stored.session.stream is not None:
            what = "its functions began" if begin.functions_started else "a part of its answer was shown"
            finding = Finding(rule="turn_interrupted", text=f"the turn was interrupted after {what}")
            return TurnOutcome(failed=True, memory=begin.memory, findings=(finding,))
        after = max(0, stored.session.last_sequence - _HISTORY_EVENTS)
        log = await self._conversations.events(session_id, after)
        info = stored.info
        turn = TurnInput(
            turn_id=effect.turn_id,
            session_id=session_id,
            kind=effect.kind,
            text=effect.text,
            channel=stored.session.channel,
            environment=info.environment,
            language=stored.session.language or info.language or None,
            variant=info.variant or None,
            caller_number=info.caller_number or None,
            callee_number=stored.session.line.number if stored.session.line else None,
            started_at=stored.created_at,
            integration_attributes=info.integration_attributes,
            context=await self._store.context(session_id) if info.context_id else {},
            history=history(log, through=effect.sequence or None),
            memory=begin.memory,
            at=self._clock.now(),
        )

        async def mark() -> None:
            await self._store.mark_functions_started(session_id, effect.turn_id)

        stream = AnswerStream(self._conversations, self._clock, self._ids, session_id, effect)
        listens = stored.session.streaming and effect.kind is TurnKind.MESSAGE
        try:
            outcome = await self._engines(info.project_id).run(turn, mark, stream.add if listens else None)
            await stream.drain()
            return outcome
        except StoreUnavailable:
            # Tried again when the store is back; `turn_start` then tells whether functions had begun.
            await stream.drain()
            raise
        except Exception as error:
            await stream.drain()
            _log.exception("turn.engine_failed", session_id=session_id, turn_kind=effect.kind.value)
            finding = Finding(rule="engine_failed", text=type(error).__name__)
            return TurnOutcome(failed=True, memory=begin.memory, findings=(finding,))

    def _planned(self, stored: StoredSession, outcome: TurnOutcome) -> tuple[HandoffPlan | None, TurnOutcome]:
        if outcome.handoff is None:
            return None, outcome
        planned = self._plan(stored, outcome.handoff)
        return planned.plan, replace(outcome, findings=(*outcome.findings, *planned.findings))

    async def _texted(self, stored: StoredSession, outcome: TurnOutcome) -> tuple[tuple[SendText, ...], TurnOutcome]:
        texts: list[SendText] = []
        findings: list[Finding] = []
        for wish in outcome.sms:
            resolved = await self._texter(stored, wish)
            if isinstance(resolved, Finding):
                findings.append(resolved)
            else:
                texts.extend(resolved)
        return tuple(texts), replace(outcome, findings=(*outcome.findings, *findings))

    @contextlib.asynccontextmanager
    async def _thinking(self, session_id: str, kind: TurnKind) -> AsyncIterator[None]:
        """Show that an answer is coming, again and again while it takes long (messaging-protocol.md §6.2)."""
        if kind is TurnKind.END:
            yield
            return
        self._conversations.show(session_id, "thinking")

        async def again() -> None:
            while True:
                await self._clock.sleep(_THINKING_EVERY_S)
                self._conversations.show(session_id, "thinking")

        task = asyncio.create_task(again())
        try:
            yield
        finally:
            task.cancel()


async def _no_texts(_: StoredSession, wish: SmsRequest) -> Finding:
    return Finding(rule="sms_not_connected", text="this installation sends no text messages")


def _report(session_id: str, outcome: TurnOutcome) -> None:
    """Tell the operator where the mistakes are. What they say may hold customer data: that is in the turn's record."""
    harmful = outcome.failed or outcome.handoff_error or outcome.handoff is not None
    for finding in outcome.findings:
        log = _log.warning if harmful else _log.info
        log("turn.finding", session_id=session_id, rule=finding.rule, file=finding.file, line=finding.line)


def _record(effect: RunTurn, outcome: TurnOutcome, began: int, finished: int, *, traced: bool) -> bytes:
    trace = {"trace": outcome.trace} if traced else {}
    return msgspec.json.encode(
        {
            **trace,
            "turn_id": effect.turn_id,
            "kind": effect.kind.value,
            "sequence": effect.sequence,
            "began": began,
            "duration_ms": finished - began,
            "topic": outcome.topic,
            "why": outcome.why,
            "failed": outcome.failed,
            "calls": outcome.calls,
            "metrics": outcome.metrics,
            "findings": outcome.findings,
        },
        enc_hook=repr,
    )
