"""Runs one function with a sample conversation, for the author who tries it. Nothing is kept, nothing is sent."""

import pickle
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from warmline.agent.project.model import Flow, Function, FunctionKind, Project
from warmline.agent.turn.arguments import coerce_arguments
from warmline.agent.turn.draft import Draft
from warmline.agent.turn.flows import Navigation
from warmline.agent.turn.functions import Functions
from warmline.agent.turn.loaded import Loaded
from warmline.agent.turn.memory import Memory
from warmline.agent.turn.routing import route_handoff
from warmline.agent.turn.worker.state import platform_state, state_texts
from warmline.domain.turn import HistoryItem, TurnInput, TurnKind, TurnOutcome

_SESSION = "function-trial"
"""What a tried function finds as `conv.id`."""
_KINDS = {FunctionKind.START: TurnKind.START, FunctionKind.END: TurnKind.END}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The conversation that a tried function finds.

    `state` holds plain values for `conv.state`, `entities` the values that were collected. `step` is where in its flow
    a transition function is called, "" for the flow's first step. `text` is what the customer wrote last. Texts that
    are "" leave the project's default.
    """

    channel: str = "webchat.polyai"
    environment: str = "sandbox"
    language: str = ""
    variant: str = ""
    caller_number: str = ""
    text: str = ""
    step: str = ""
    state: Mapping[str, object] = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of it.

    `returned` is the value that the function returned, `content` what the brain would be told of it. `outcome` is what
    the function would cause, its handoff routed; its only call has the logs and the changed names of the state.
    `state` is `conv.state` afterwards, as texts. `place` is the flow and step where the conversation would be.
    """

    returned: object
    content: str
    failed: bool
    outcome: TurnOutcome
    state: Mapping[str, str]
    place: tuple[str, str] | None
    took_ms: int


async def try_function(loaded: Loaded, function: Function, arguments: Mapping[str, object], sample: Sample) -> Tried:
    """Run `function` in the project's own workers, under the limits of every call.

    What the function asks of the server meanwhile is answered as in a conversation: HTTP APIs and the model are called.

    Raises:
        ArgumentWrong: an argument is missing or does not fit.
    """
    given = coerce_arguments(function, arguments)
    draft = Draft(_memory(loaded.project, function, sample))
    turn = _turn(function, sample)
    navigation = Navigation(loaded.project, draft)
    functions = Functions(loaded.project, loaded.pool, turn, draft, _nothing, loaded.services, navigation)
    began = time.perf_counter()
    wishes, result = await functions.call(function, given)
    took_ms = round((time.perf_counter() - began) * 1000)
    outcome = draft.outcome()
    if outcome.handoff is not None:
        request, findings = route_handoff(loaded.project, outcome.handoff)
        outcome = replace(outcome, handoff=request, findings=(*outcome.findings, *findings))
    own = [e for e in outcome.trace if e.kind == "returned" and e.data["name"] == function.name]
    position = navigation.position
    return Tried(
        returned=own[-1].data["value"] if own else None,
        content=result.content,
        failed=wishes is None,
        outcome=outcome,
        state=draft.memory.texts,
        place=(position.flow.name, position.step.name) if position else None,
        took_ms=took_ms,
    )


async def _nothing() -> None:
    """Nobody waits for the function."""


def _memory(project: Project, function: Function, sample: Sample) -> Memory:
    flow = flow_of(project, function)
    step = None
    if flow is not None:
        step = function.name if function.kind is FunctionKind.STEP else sample.step or flow.start_step.value
    # As if other functions had run before, so that only what this one changes shows as changed.
    there = platform_state(
        sample.caller_number or None, None, _SESSION, sample.language or project.default_language or None
    )
    state = {**there, **sample.state}
    return Memory(
        state={key: pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL) for key, value in state.items()},
        texts=state_texts(state),
        flow=flow.name if flow else None,
        step=step,
        entities=dict(sample.entities),
    )


def flow_of(project: Project, function: Function) -> Flow | None:
    """Give the flow that a transition function or function step belongs to; None for other functions."""
    if function.kind not in (FunctionKind.TRANSITION, FunctionKind.STEP):
        return None
    folder = function.file.split("/")[1]
    return next((flow for flow in project.flows if flow.folder == folder), None)


def _turn(function: Function, sample: Sample) -> TurnInput:
    return TurnInput(
        turn_id=_SESSION,
        session_id=_SESSION,
        kind=_KINDS.get(function.kind, TurnKind.MESSAGE),
        text=sample.text,
        channel=sample.channel,
        environment=sample.environment,
        language=sample.language or None,
        variant=sample.variant or None,
        caller_number=sample.caller_number or None,
        history=(HistoryItem(role="user", text=sample.text),) if sample.text else (),
    )
