"""What a test chat in the Studio keeps from the outside world, and notes in the trace instead."""

from dataclasses import replace

from warmline.domain.commands import HandoffPlan
from warmline.domain.effects import SendText
from warmline.domain.messages import Say
from warmline.domain.turn import TraceEntry, TurnOutcome
from warmline.ports import TEST_CHAT_ALONE, SessionInfo

HELD_BACK = "Here a human would take over. This test chat hands nothing over."
"""Answers a turn that does nothing but hand over."""


def held_back(
    info: SessionInfo, outcome: TurnOutcome, plan: HandoffPlan | None, texts: tuple[SendText, ...]
) -> tuple[HandoffPlan | None, tuple[SendText, ...], TurnOutcome]:
    """Take the texts out of a turn, and the handoff where the session is to stay alone.

    Args:
        info: of a test chat's session.
        plan: where the conversation would go, None for nowhere.
        texts: what would be sent to phones.

    Returns:
        What is left of plan, texts and outcome. The outcome's trace tells of everything, sent or not.
    """
    alone = info.connector_id == TEST_CHAT_ALONE
    at_ms = outcome.trace[-1].at_ms if outcome.trace else 0
    trace = list(outcome.trace)
    if plan is not None:
        data = {
            "connection": plan.connection_id,
            "destination": plan.destination,
            "reason": plan.reason,
            "options": dict(plan.options or {}),
            "by_client": plan.by_client,
            "sent": not alone,
        }
        trace.append(TraceEntry(at_ms=at_ms, kind="handoff", data=data))
    trace += [TraceEntry(at_ms=at_ms, kind="text", data={"to": t.customer, "text": t.text}) for t in texts]
    outcome = replace(outcome, trace=tuple(trace))
    if alone and plan is not None:
        says = outcome.says or (Say(text=HELD_BACK),)
        return None, (), replace(outcome, handoff=None, says=says)
    return plan, (), outcome
