"""One turn from its input to its outcome (agent-project.md §6 and §8.2)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from warmline.agent.project.experimental import retrieval_settings
from warmline.agent.project.model import Function
from warmline.agent.turn.brain import (
    CallFunction,
    CallHandoff,
    FunctionResult,
    GiveUp,
    Move,
    Position,
    SaveEntities,
    SendTemplate,
    Situation,
    Speak,
    TakeCondition,
)
from warmline.agent.turn.collecting import Collecting
from warmline.agent.turn.customers import Remembering
from warmline.agent.turn.draft import Draft
from warmline.agent.turn.entities import Setting
from warmline.agent.turn.flows import Navigation
from warmline.agent.turn.functions import Functions
from warmline.agent.turn.loaded import Loaded
from warmline.agent.turn.memory import read_memory
from warmline.agent.turn.render import Scope, fill_in, harmless, render, without_audio_tags
from warmline.agent.turn.rephrasing import rephrase_said
from warmline.agent.turn.returns import Wishes
from warmline.agent.turn.tools import SMS_TOOL
from warmline.domain.turn import HandoffRequest, SmsRequest, TurnInput, TurnKind, TurnOutcome

DEFAULT_GREETING = "Hello, how can I help?"
"""What greets when the project has no greeting (agent-project.md §2.14)."""
_MOST_MOVES = 10
"""Moves of a brain in one turn that do not end it; more are a loop (agent-project.md §8.2.9)."""
_MOST_STEPS = 20
"""Function steps that one turn may enter; more are a loop (agent-project.md §8.4)."""


@dataclass(frozen=True, slots=True)
class _Steps:
    """What function steps came to: content for the brain, why one failed, and whether they ended the turn."""

    content: str = ""
    error: str = ""
    ended: bool = False


class TurnRun:
    """Runs one turn. Used once."""

    def __init__(
        self,
        loaded: Loaded,
        turn: TurnInput,
        before_functions: Callable[[], Awaitable[None]],
        stream: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare the turn; `stream` takes pieces of the answer as they come.

        Raises:
            msgspec.MsgspecError: `turn.memory` is not what an earlier turn returned.
        """
        self._loaded = loaded
        self._project = loaded.project
        self._turn = turn
        self._draft = Draft(read_memory(turn.memory))
        self._stream = stream
        self._navigation = Navigation(self._project, self._draft)
        self._functions = Functions(
            self._project, loaded.pool, turn, self._draft, before_functions, loaded.services, self._navigation
        )
        self._collecting = Collecting(self._project, self._draft, self._navigation)
        self._now = datetime.fromtimestamp(turn.at / 1000, UTC) if turn.at is not None else datetime.now(UTC)
        self._customer = Remembering(self._project, loaded.services.memory, turn, self._draft)
        written = [item.text for item in turn.history if item.role == "user"]
        self._customer_wrote = "\n".join(
            text for text in (turn.text, *written) if "{{" in text or "$" in text or "<" in text
        )
        self._pending = ""
        self._steps_entered = 0

    async def run(self) -> TurnOutcome:
        """Run the turn to its end."""
        match self._turn.kind:
            case TurnKind.START:
                await self._start()
            case TurnKind.MESSAGE:
                await self._answer(self._turn.text)
            case TurnKind.END:
                await self._finish()
        return self._draft.outcome()

    async def _start(self) -> None:
        """Run the start function, then greet."""
        wishes, variant = Wishes(), self._turn.variant
        if variant and variant not in self._project.variants:
            # A client may name one of another platform (messaging-protocol.md §16: `VARIANT-…`).
            self._draft.find("unknown-variant", f"There is no variant `{variant}`: the default variant counts.")
        await self._customer.recall()
        if self._project.start_function is not None:
            done, _ = await self._functions.call(self._project.start_function, {})
            wishes = done or Wishes()
            # It may be the start function that finds out who the customer is.
            await self._customer.recall()
        if self._draft.over or wishes.utterance:
            return
        if wishes.utterance is None:
            self._greet()
        elif wishes.goto_flow or wishes.short_listen:
            # The project silenced the greeting to let its first step speak.
            words = await self._answer("", silent=True)
            self._draft.failed = False
            if not self._draft.spoken and not self._draft.over:
                self._greet(words)

    def _greet(self, otherwise: str = DEFAULT_GREETING) -> None:
        """Say the configured greeting; `otherwise` when it is no more than a placeholder for a voice."""
        channels = [self._project.chat, self._project.voice]
        if self._turn.channel.startswith("sms"):
            channels.insert(0, self._project.sms)
        greeting = next((c.greeting.value for c in channels if c.greeting), DEFAULT_GREETING)
        self._draft.say(without_audio_tags(self._render(greeting)) or otherwise or DEFAULT_GREETING)

    async def _finish(self) -> None:
        if self._project.end_function is not None:
            await self._functions.call(self._project.end_function, {})
        await self._customer.keep()
        self._draft.silence()

    async def _answer(self, text: str, *, silent: bool = False) -> str:
        """Ask the brain for moves until the turn is over.

        Returns:
            On a silent turn the words of the brain, which do not count (agent-project.md §6).
        """
        results: list[FunctionResult] = []
        self._pending, self._draft.memory.content = self._draft.memory.content, ""
        before = await self._run_function_steps(None)
        ended = before.ended
        self._pending = _joined(self._pending, before.content)
        self._draft.failed = self._draft.failed or bool(before.error)
        if ended:
            self._draft.memory.content = self._pending
        while not (ended or self._draft.over):
            situation = self._situation(text, tuple(results), silent)
            move = await self._loaded.brain.next_move(situation)
            self._note(move, silent)
            if not silent:
                self._draft.say(move.before)
            match move:
                case Speak() if silent:
                    return move.text
                case Speak():
                    self._draft.say(move.text, move.suggestions)
                    return ""
                case CallHandoff():
                    self._draft.say("" if move.utterance == "N/A" else move.utterance)
                    self._draft.handoff = HandoffRequest(
                        integration=None, destination=move.destination, reason=move.reason
                    )
                case GiveUp() if silent:
                    return ""
                case GiveUp():
                    self._draft.failed = True
                case _ if len(results) >= _MOST_MOVES:
                    self._draft.find("function-loop", f"More than {_MOST_MOVES} function calls in one turn.")
                    self._draft.failed = True
                case _:
                    origin, moves = self._navigation.position, self._navigation.moves
                    said = self._draft.said
                    result, ended = await self._do(move)
                    await rephrase_said(self._draft, said, self._loaded.brain, situation)
                    if not ended and self._navigation.moves > moves:
                        steps = await self._run_function_steps(origin)
                        content = _joined(result.content, steps.content)
                        result, ended = replace(result, content=content, error=steps.error), steps.ended
                    results.append(result)
                    if ended:
                        self._draft.memory.content = result.content
        return ""

    async def _do(self, move: Move) -> tuple[FunctionResult, bool]:
        """Carry out a move that brings a result; tell also whether it ended the turn."""
        match move:
            case CallFunction():
                wishes, result = await self._functions.call_by_name(move)
                return replace(result, content=harmless(result.content, self._scope)), _ends_turn(wishes)
            case SaveEntities():
                return self._collecting.save(move, Setting(self._language, self._now.date())), False
            case TakeCondition():
                return self._collecting.take(move), False
            case SendTemplate():
                return self._send_template(move), False
        raise AssertionError(f"not a move with a result: {type(move).__name__}")

    def _send_template(self, move: SendTemplate) -> FunctionResult:
        """Send an SMS template to a number, the customer's own where none is given (agent-project.md §3)."""
        template = self._project.sms_templates.get(move.template)
        to = move.to if move.to not in ("", "N/A") else self._turn.caller_number or ""
        if template is None:
            return FunctionResult(name=SMS_TOOL, error=f"There is no text message `{move.template}`.")
        if not to:
            return FunctionResult(name=SMS_TOOL, error="No phone number is known; ask the customer for it.")
        sender = template.numbers.get(self._turn.environment.replace("-", "_"), "")
        text = self._render(template.text.value)
        self._draft.sms.append(SmsRequest(to=to, text=text, from_number=sender, template=template.name))
        return FunctionResult(name=SMS_TOOL, content="The text message will be sent.")

    async def _run_function_steps(self, origin: Position | None) -> _Steps:
        """Run the function step at the current position, and those that it leads to (agent-project.md §8.4).

        Args:
            origin: where the conversation was before. It goes back there when a step fails, so that the customer
                is not held by what fails again and again; out of the flow when there is no such place.
        """
        contents: list[str] = []
        ended = False
        while not (ended or self._draft.over):
            position, moves = self._navigation.position, self._navigation.moves
            if position is None or not isinstance(position.step, Function):
                break
            self._steps_entered += 1
            if self._steps_entered > _MOST_STEPS:
                text = f"More than {_MOST_STEPS} function steps in one turn."
                self._draft.find("step-loop", text, position.step)
                self._navigation.go_back(origin)
                self._draft.failed = True
                break
            wishes, result = await self._functions.call(position.step, {})
            if wishes is None:
                self._navigation.go_back(origin)
                return _Steps(content=_joined(*contents), error=result.error)
            contents.append(harmless(result.content, self._scope))
            ended = _ends_turn(wishes)
            if self._navigation.moves == moves:
                break
        return _Steps(content=_joined(*contents), ended=ended)

    def _note(self, move: Move, silent: bool) -> None:
        """Keep what the move tells about the turn; the first topic of a turn counts."""
        self._draft.memory.brain = dict(move.memory)
        for finding in move.findings:
            self._draft.tell(finding)
        if move.topic and not self._draft.topic and not silent:
            self._draft.topic, self._draft.why = move.topic, move.why
            self._count_topic(move.topic, move.distance or 0.0)

    def _count_topic(self, topic: str, distance: float) -> None:
        """Note a confident match as the metric that projects read in their end function (agent-project.md §8.2.3)."""
        settings = retrieval_settings(self._project)
        if distance > settings.qa_threshold or topic in settings.qa_exclusions:
            return
        # One for each stay in a topic, not one for each question that it asks.
        answered = [value for name, value in self._draft.memory.metrics if name == "QA"]
        if not answered or answered[-1] != topic:
            self._draft.metric("QA", topic)

    def _situation(self, text: str, results: tuple[FunctionResult, ...], silent: bool) -> Situation:
        memory, turn = self._draft.memory, self._turn
        return Situation(
            project=self._project,
            text=text,
            channel=turn.channel,
            language=self._language,
            memory=memory.brain,
            session_id=turn.session_id,
            turn_id=turn.turn_id,
            turn_kind=turn.kind,
            silent=silent,
            environment=turn.environment,
            variant=self._functions.variant,
            caller_number=turn.caller_number,
            now=self._now,
            history=turn.history,
            results=results,
            pending_content=self._pending,
            position=self._navigation.position,
            entities=self._collecting.values,
            state=memory.texts,
            disabled_topics=frozenset(memory.disabled_topics),
            fill_in=lambda text: fill_in(text, self._scope),
            render=self._render,
            trace=self._draft.trace,
            # What is streamed must be the beginning of what the turn says first.
            stream=None if self._draft.spoken else self._stream,
        )

    @property
    def _language(self) -> str:
        return self._draft.memory.language or self._turn.language or self._project.default_language

    def _render(self, text: str) -> str:
        return render(text, self._scope).text

    @property
    def _scope(self) -> Scope:
        return Scope(
            channel=self._turn.channel,
            language=self._language,
            state=self._draft.memory.texts,
            variant=self._project.variants.get(self._functions.variant or "", {}),
            entities=self._draft.memory.entities,
            translations=self._project.translations,
            customer=self._customer_wrote,
        )


def _ends_turn(wishes: Wishes | None) -> bool:
    """Tell whether a function that asked for `wishes` has answered the customer."""
    return wishes is not None and wishes.utterance is not None and wishes.end_turn


def _joined(*contents: str) -> str:
    return "\n\n".join(content for content in contents if content)
