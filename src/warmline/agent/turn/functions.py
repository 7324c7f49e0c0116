"""Runs the project's functions for a turn and applies what they ask for."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from warmline.agent.project.integrations import environment_of
from warmline.agent.project.model import Function, FunctionKind, Project
from warmline.agent.turn import protocol
from warmline.agent.turn.arguments import ArgumentWrong, coerce_arguments
from warmline.agent.turn.asks import Asks
from warmline.agent.turn.brain import CallFunction, FunctionResult
from warmline.agent.turn.draft import Draft
from warmline.agent.turn.flows import Navigation
from warmline.agent.turn.pool import WorkerPool
from warmline.agent.turn.returns import Wishes, read_return
from warmline.agent.turn.services import Services
from warmline.agent.turn.tools import find_function
from warmline.domain.turn import Finding, FunctionCall, HandoffRequest, SmsRequest, TurnInput


class Functions:
    """The functions of one turn. What they ask for goes into the turn's draft."""

    def __init__(
        self,
        project: Project,
        pool: WorkerPool,
        turn: TurnInput,
        draft: Draft,
        before_functions: Callable[[], Awaitable[None]],
        services: Services,
        navigation: Navigation,
    ) -> None:
        """Serve `turn`; `before_functions` is awaited once, before the first function starts."""
        self._project = project
        self._pool = pool
        self._turn = turn
        self._draft = draft
        self._navigation = navigation
        self._asks = Asks(services, project, turn, pool.settings.asks, draft.trace)
        self._before_functions: Callable[[], Awaitable[None]] | None = before_functions

    async def call_by_name(self, move: CallFunction) -> tuple[Wishes | None, FunctionResult]:
        """Run the function that a brain chose; see `call`."""
        position = self._navigation.position
        function = find_function(self._project, position, move.name)
        if function is None:
            broken = (position.flow.broken_functions if position else {}).get(move.name)
            broken = broken or self._project.broken_functions.get(move.name)
            text = f"There is no function `{move.name}`."
            finding = broken.finding() if broken else Finding(rule="function-not-found", text=text)
            self._draft.tell(finding)
            return None, FunctionResult(name=move.name, error=finding.text)
        try:
            arguments = coerce_arguments(function, move.arguments)
        except ArgumentWrong as wrong:
            self._draft.find("function-arguments", f"{wrong}.", function)
            return None, FunctionResult(name=move.name, error=str(wrong))
        return await self.call(function, arguments)

    async def call(self, function: Function, arguments: Mapping[str, object]) -> tuple[Wishes | None, FunctionResult]:
        """Run a function and apply what it asks for.

        Returns:
            What it asked for (its utterance is already said), or None when it failed; then nothing that it
            wrote counts. And the result for the brain.
        """
        if self._before_functions is not None:
            before, self._before_functions = self._before_functions, None
            await before()
        conversation = self._conversation()
        call = protocol.Call(
            file=function.file,
            in_flow=function.kind in (FunctionKind.TRANSITION, FunctionKind.STEP),
            limit_s=self._pool.settings.limit_s,
            arguments=dict(arguments),
            conversation=conversation,
            state=self._draft.memory.state,
        )
        self._draft.trace("tool", {"name": function.name, "kind": function.kind, "arguments": dict(arguments)})
        reply = await self._pool.call(call, partial(self._asks, language=conversation.language or ""))
        self._record(function, arguments, reply)
        if reply.failure is not None:
            return None, FunctionResult(name=function.name, error=reply.failure.text)
        wishes = self._apply(function, reply)
        said = wishes.utterance is not None
        self._draft.trace("returned", {"name": function.name, "value": reply.value, "duration_ms": reply.duration_ms})
        if any(reply.changes.values()):
            self._draft.trace("state", {"function": function.name, **reply.changes})
        return wishes, FunctionResult(name=function.name, content=wishes.content, said=said)

    def _conversation(self) -> protocol.Conversation:
        turn, memory = self._turn, self._draft.memory
        return protocol.Conversation(
            id=turn.session_id,
            env=turn.environment,
            env_settings=environment_of(turn.environment),
            channel_type=turn.channel,
            caller_number=turn.caller_number,
            callee_number=turn.callee_number,
            started_at_ms=turn.started_at,
            language=memory.language or turn.language or self._project.default_language or None,
            variant=self.variant,
            integration_attributes=dict(turn.integration_attributes),
            context=dict(turn.context),
            history=[(item.role, item.text) for item in turn.history],
            metrics=memory.metrics,
            flow=memory.flow,
            step=memory.step,
            entities=memory.entities,
            disabled_topics=memory.disabled_topics,
            memory=memory.customer,
            at_ms=turn.at,
        )

    @property
    def variant(self) -> str | None:
        """The name of the active variant; the default one when none was chosen (agent-project.md §5.1)."""
        chosen = self._draft.memory.variant or self._turn.variant
        return chosen if chosen in self._project.variants else self._project.default_variant

    def _record(self, function: Function, arguments: Mapping[str, object], reply: protocol.Reply) -> None:
        failure = reply.failure
        for warning in reply.warnings:
            place = warning.file or function.file
            line = warning.line or function.line
            self._draft.tell(
                Finding(rule=warning.rule, text=f"`{function.name}`: {warning.text}", file=place, line=line)
            )
        if (refused := self._asks.take_refused()) is not None:
            self._draft.find("function-asks", refused, function)
        if failure is not None:
            finding = Finding(
                rule=failure.rule,
                text=f"`{function.name}` failed. {failure.text}",
                file=failure.file or function.file,
                line=failure.line or function.line,
            )
            self._draft.tell(finding)
        self._draft.calls.append(
            FunctionCall(
                name=function.name,
                duration_ms=reply.duration_ms,
                error=f"{failure.rule}: {failure.text}" if failure else "",
                arguments=arguments,
                logs=tuple(reply.logs),
                state_changes={kind: tuple(names) for kind, names in reply.changes.items()},
            )
        )

    def _apply(self, function: Function, reply: protocol.Reply) -> Wishes:
        """Apply in the order of agent-project.md §8.2.8; `conv` members win over returned keys."""
        wishes, effects, draft = read_return(reply.value, reply.odd), reply.effects, self._draft
        for rule, text in wishes.oddities:
            draft.find(rule, text, function)
        self._set_variant(wishes.variant or effects.variant, function)
        draft.memory.language = effects.language or draft.memory.language
        draft.memory.state, draft.memory.texts = reply.state or {}, reply.texts
        draft.memory.kept = reply.kept
        for name, value in effects.metrics:
            draft.metric(name, value)
        if effects.disabled_topics is not None:
            draft.memory.disabled_topics = effects.disabled_topics
        draft.sms += [SmsRequest(**sms) for sms in effects.sms]
        wishes = replace(
            wishes,
            goto_flow=effects.goto_flow or wishes.goto_flow,
            goto_step=effects.goto_step or wishes.goto_step,
            exit_flow=effects.exit_flow or wishes.exit_flow,
            utterance=effects.say if effects.say is not None else wishes.utterance,
        )
        self._navigation.apply(wishes, function)
        draft.show(effects.attachments, effects.suggestions, effects.call_actions)
        if effects.handoff is not None:
            utterance = effects.handoff["utterance"]
            wishes = replace(wishes, utterance=utterance if wishes.utterance is None else wishes.utterance)
        if wishes.utterance:
            draft.say(wishes.utterance)
        self._hand_off(wishes, effects, function)
        draft.end = draft.end or wishes.hangup
        return wishes

    def _set_variant(self, name: str | None, function: Function) -> None:
        if name is None:
            return
        if name not in self._project.variants:
            self._draft.find("unknown-variant", f"There is no variant `{name}`.", function)
            return
        self._draft.memory.variant = name

    def _hand_off(self, wishes: Wishes, effects: protocol.Effects, function: Function) -> None:
        if effects.handoff is not None:
            request = HandoffRequest(
                integration=None,
                destination=effects.handoff["destination"],
                reason=effects.handoff["reason"],
                options=effects.handoff["options"],
            )
            self._ask_for_human(request, function)
        elif wishes.handoff is not None:
            self._ask_for_human(wishes.handoff, function)
        elif wishes.handoff_error:
            self._draft.handoff_error = True
            self._draft.find("handoff-malformed", f"{wishes.handoff_error}.", function, function.handoff_line)

    def _ask_for_human(self, request: HandoffRequest, function: Function) -> None:
        self._draft.handoff = replace(request, file=function.file, line=function.handoff_line)
