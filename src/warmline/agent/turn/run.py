"""One turn from its input to its outcome (agent-project.md §6 and §8.2)."""

from collections.abc import Awaitable, Callable

from warmline.agent.turn.brain import CallFunction, CallHandoff, FunctionResult, GiveUp, Move, Situation, Speak
from warmline.agent.turn.draft import Draft
from warmline.agent.turn.functions import Functions
from warmline.agent.turn.loaded import Loaded
from warmline.agent.turn.memory import read_memory
from warmline.agent.turn.render import Scope, fill_in, render, without_audio_tags
from warmline.agent.turn.returns import Wishes
from warmline.domain.turn import HandoffRequest, TurnInput, TurnKind, TurnOutcome

DEFAULT_GREETING = "Hello, how can I help?"
"""What greets when the project has no greeting (agent-project.md §2.14)."""
_MOST_CALLS = 10
"""Function calls in one turn; more are a loop (agent-project.md §8.2.9)."""


class TurnRun:
    """Runs one turn. Used once."""

    def __init__(self, loaded: Loaded, turn: TurnInput, before_functions: Callable[[], Awaitable[None]]) -> None:
        """Prepare the turn.

        Raises:
            msgspec.MsgspecError: `turn.memory` is not what an earlier turn returned.
        """
        self._loaded = loaded
        self._project = loaded.project
        self._turn = turn
        self._draft = Draft(read_memory(turn.memory))
        self._functions = Functions(self._project, loaded.pool, turn, self._draft, before_functions, loaded.services)

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
        wishes = Wishes()
        if self._project.start_function is not None:
            done, _ = await self._functions.call(self._project.start_function, {})
            wishes = done or Wishes()
        if self._draft.over or wishes.utterance:
            return
        if wishes.utterance is None:
            self._greet()
        elif wishes.goto_flow or wishes.short_listen:
            # The project silenced the greeting to let its first step speak.
            await self._answer("", silent=True)
            if not self._draft.spoken and not self._draft.over:
                self._greet()

    def _greet(self) -> None:
        channels = [self._project.chat, self._project.voice]
        if self._turn.channel.startswith("sms"):
            channels.insert(0, self._project.sms)
        greeting = next((c.greeting.value for c in channels if c.greeting), DEFAULT_GREETING)
        self._draft.say(without_audio_tags(self._render(greeting)) or DEFAULT_GREETING)

    async def _finish(self) -> None:
        if self._project.end_function is not None:
            await self._functions.call(self._project.end_function, {})
        self._draft.silence()

    async def _answer(self, text: str, *, silent: bool = False) -> None:
        """Ask the brain for moves until the turn is over. On a silent turn its own words do not count."""
        results: list[FunctionResult] = []
        pending, self._draft.memory.content = self._draft.memory.content, ""
        while not self._draft.over:
            move = await self._loaded.brain.next_move(self._situation(text, tuple(results), pending))
            self._note(move, silent)
            match move:
                case Speak():
                    if not silent:
                        self._draft.say(move.text, move.suggestions)
                    return
                case CallHandoff():
                    self._draft.say("" if move.utterance == "N/A" else move.utterance)
                    self._draft.handoff = HandoffRequest(
                        integration=None, destination=move.destination, reason=move.reason
                    )
                case GiveUp():
                    self._draft.failed = True
                case CallFunction() if len(results) >= _MOST_CALLS:
                    self._draft.find("function-loop", f"More than {_MOST_CALLS} function calls in one turn.")
                    self._draft.failed = True
                case CallFunction():
                    wishes, result = await self._functions.call_by_name(move)
                    results.append(result)
                    if wishes is not None and wishes.utterance is not None and wishes.end_turn:
                        self._draft.memory.content = wishes.content
                        return

    def _note(self, move: Move, silent: bool) -> None:
        """Keep what the move tells about the turn; the first topic of a turn counts."""
        self._draft.memory.brain = dict(move.memory)
        if move.topic and not self._draft.topic and not silent:
            self._draft.topic, self._draft.why = move.topic, move.why
            # Projects read these events in their end function (agent-project.md §8.2.3): one for each stay in
            # a topic, not one for each question that it asks.
            answered = [value for name, value in self._draft.memory.metrics if name == "QA"]
            if not answered or answered[-1] != move.topic:
                self._draft.metric("QA", move.topic)

    def _situation(self, text: str, results: tuple[FunctionResult, ...], pending: str) -> Situation:
        return Situation(
            project=self._project,
            text=text,
            channel=self._turn.channel,
            language=self._language,
            memory=self._draft.memory.brain,
            history=self._turn.history,
            results=results,
            pending_content=pending,
            disabled_topics=frozenset(self._draft.memory.disabled_topics),
            fill_in=lambda text: fill_in(text, self._scope),
            render=self._render,
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
            translations=self._project.translations,
        )
