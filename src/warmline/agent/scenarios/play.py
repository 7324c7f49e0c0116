"""Plays scenarios with a project's engine."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum

from warmline.agent.models.access import LanguageModel
from warmline.agent.models.port import Message, ModelFailed, ModelRequest
from warmline.agent.scenarios.judge import Played, failures, judged
from warmline.agent.scenarios.mocks import MockedApis
from warmline.agent.scenarios.scenario import Scenario
from warmline.domain.turn import HistoryItem, TurnInput, TurnKind, TurnOutcome
from warmline.ports import TurnEngine

_MOST_TURNS = 25
"""Messages of a customer whom a model plays."""
_DONE = "END"
_CUSTOMER = f"""You play a customer who writes to a company's virtual agent. This is your situation:

{{scenario}}

Write only the customer's next message, as short as people write in a chat. Do not help the agent beyond what your
situation says. When your situation is settled, or cannot be, write {_DONE} and nothing else."""


class Status(StrEnum):
    """How a scenario went (agent-project.md §2.23)."""

    PENDING = "pending"
    """Not played: it needs a model, or is meant for another brain."""
    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a scenario. `problems` are the assertions that do not hold, `notes` what was left out."""

    scenario: Scenario
    status: Status
    duration_s: float = 0.0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()

    @property
    def wrong(self) -> bool:
        """True when somebody must look at it."""
        return self.status not in (Status.PASSED, Status.PENDING)


class Player:
    """Plays scenarios one after the other.

    Args:
        engine: runs the project; its services must use `apis`.
        brain: the name of the engine's brain.
        apis: answers for the project's APIs.
        model: plays customers and judges, None without one.
        limit_s: time for one scenario.
    """

    def __init__(
        self,
        engine: TurnEngine,
        *,
        brain: str,
        apis: MockedApis,
        model: LanguageModel | None = None,
        limit_s: float = 120.0,
    ) -> None:
        """Prepare a player."""
        self._engine = engine
        self._brain = brain
        self._apis = apis
        self._model = model
        self._limit_s = limit_s

    async def play(self, scenario: Scenario) -> Result:
        """Play one scenario and judge it; never raises for what the project or the model does."""
        if self._brain not in scenario.brains:
            return _pending(scenario, f"it is meant for the brain {' or '.join(scenario.brains)}")
        if scenario.turns is None and self._model is None:
            return _pending(scenario, "the customer is played by a model: give it `warmline: {turns: […]}` or a model")
        self._apis.use(scenario)
        started = time.perf_counter()
        played, notes, problems = Played(), [], list[str]()
        try:
            async with asyncio.timeout(self._limit_s):
                await self._converse(scenario, played)
                problems = list(failures(scenario, played))
                if scenario.prompt_assertions and self._model is None:
                    notes.append("prompt assertions are not judged without a model")
                elif self._model is not None:
                    problems += await judged(scenario, played, self._model)
            status = Status.FAILED if problems else Status.PASSED
        except TimeoutError:
            status, problems = Status.TIMED_OUT, [f"It took more than {self._limit_s:g} s."]
        except ModelFailed as error:
            status, problems = Status.ERRORED, [f"The model that plays or judges failed: {error}"]
        return Result(
            scenario=scenario,
            status=status,
            duration_s=time.perf_counter() - started,
            problems=tuple(problems),
            notes=tuple(notes),
            lines=tuple(played.lines),
        )

    async def _converse(self, scenario: Scenario, played: Played) -> None:
        session = _Session(self._engine, scenario)
        played.take(await session.turn(TurnKind.START))
        async for text in self._customer(scenario, played):
            played.lines.append(("customer", text))
            played.take(await session.turn(TurnKind.MESSAGE, text))
        end = await session.turn(TurnKind.END)
        played.metrics += end.metrics
        played.calls += end.calls

    async def _customer(self, scenario: Scenario, played: Played) -> AsyncIterator[str]:
        """Give what the customer writes, as long as there is somebody to write to."""
        for number in range(_MOST_TURNS if scenario.turns is None else len(scenario.turns)):
            if played.over:
                if scenario.turns is not None:
                    played.failures.append(f"It was over before the customer wrote “{scenario.turns[number]}”.")
                return
            text = scenario.turns[number] if scenario.turns is not None else await self._next(scenario, played)
            if scenario.turns is None and text.strip().strip(".").upper() in (_DONE, ""):
                return
            yield text

    async def _next(self, scenario: Scenario, played: Played) -> str:
        assert self._model is not None
        # To the model that plays the customer, the agent is the other side.
        roles = {"agent": "user", "customer": "assistant"}
        messages = (
            Message(role="system", content=_CUSTOMER.format(scenario=scenario.scenario)),
            *(Message(role=roles[who], content=text) for who, text in played.lines),
        )
        request = ModelRequest(messages=messages, model=self._model.endpoint.model, purpose="test")
        return (await self._model.port.complete(request)).text.strip()


class _Session:
    """One conversation with an engine."""

    def __init__(self, engine: TurnEngine, scenario: Scenario) -> None:
        self._engine = engine
        self._scenario = scenario
        self._id = str(uuid.uuid4())
        self._started_at = scenario.simulated_at or round(time.time() * 1000)
        self._history: list[HistoryItem] = []
        self._memory = b""

    async def turn(self, kind: TurnKind, text: str = "") -> TurnOutcome:
        if kind is TurnKind.MESSAGE:
            self._history.append(HistoryItem(role="user", text=text))
        scenario = self._scenario
        turn = TurnInput(
            turn_id=str(uuid.uuid4()),
            session_id=self._id,
            kind=kind,
            text=text,
            channel=scenario.channel,
            environment=scenario.environment,
            language=scenario.language,
            variant=scenario.variant,
            caller_number=scenario.caller_number,
            started_at=self._started_at,
            integration_attributes=scenario.integration_attributes,
            history=tuple(self._history),
            memory=self._memory,
            at=scenario.simulated_at,
        )
        outcome = await self._engine.run(turn, _nothing)
        self._memory = outcome.memory
        self._history += [HistoryItem(role="agent", text=say.text) for say in outcome.says]
        return outcome


async def _nothing() -> None:
    pass


def _pending(scenario: Scenario, why: str) -> Result:
    return Result(scenario=scenario, status=Status.PENDING, notes=(why,))
