"""The engine: runs the turns of one project folder and follows its changes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from warmline.agent.project.loader import fingerprint
from warmline.agent.project.model import Problem, Project
from warmline.agent.turn.brain import Brain
from warmline.agent.turn.limits import PoolSettings
from warmline.agent.turn.loaded import Loaded, load
from warmline.agent.turn.process import WorkerLost
from warmline.agent.turn.routing import route_handoff
from warmline.agent.turn.run import TurnRun
from warmline.agent.turn.searching import Searcher
from warmline.agent.turn.services import Services
from warmline.agent.turn.trying import Sample, Tried, try_function
from warmline.domain.errors import StoreUnavailable
from warmline.domain.turn import Finding, TraceEntry, TurnInput, TurnOutcome

if TYPE_CHECKING:
    from warmline.agent.brains.topics.retrieval import Retriever

_LOOK_AGAIN_S = 0.25
"""Seconds between two looks at the files when the engine follows changes."""
_log = structlog.get_logger(__name__)


class ProjectEngine:
    """Runs turns of the project in one folder; implements `warmline.ports.TurnEngine`."""

    def __init__(
        self,
        project_dir: Path,
        build_brain: Callable[[Project], Brain],
        *,
        settings: PoolSettings | None = None,
        services: Services | None = None,
        watch: bool = False,
    ) -> None:
        """Prepare an engine; nothing is read before `start` or the first turn.

        Args:
            project_dir: the folder that holds `project.yaml`.
            build_brain: makes the brain for a version of the project.
            settings: how functions run.
            services: what functions may ask of the server.
            watch: look for changed files before a turn and use them at once (development, demo).
        """
        self._root = project_dir.resolve()
        self._build_brain = build_brain
        self._settings = settings or PoolSettings()
        self._services = services or Services()
        self._watch = watch
        self._loaded: Loaded | None = None
        self._loading = asyncio.Lock()
        self._looked_at = 0.0

    async def start(self) -> None:
        """Load the project and bring up the first worker, so that the first turn is fast."""
        async with self._loading:
            if self._loaded is None:
                self._loaded = await self._load()

    @property
    def project(self) -> Project:
        """The version in use; an empty, unusable one before `start`."""
        return self._loaded.project if self._loaded else Project(root=self._root, usable=False)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the files of the version in use."""
        return self.project.problems

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the operator must know of the version in use, import failures included."""
        return self._loaded.findings if self._loaded else ()

    def workers(self) -> dict[str, int]:
        """How the function workers of the version in use are used; see `pool.WorkerPool.use`."""
        return self._loaded.pool.use() if self._loaded else {}

    @property
    def retriever(self) -> "Retriever | None":
        """What finds the topics of the version in use; None before `start` and for a brain that has none."""
        brain = self._loaded.brain if self._loaded else None
        return brain.retriever if isinstance(brain, Searcher) else None

    async def run(
        self,
        turn: TurnInput,
        before_functions: Callable[[], Awaitable[None]],
        stream: Callable[[str], None] | None = None,
    ) -> TurnOutcome:
        """Run one turn; see `warmline.ports.TurnEngine`. `stream` takes pieces of the answer as they come.

        Raises:
            StoreUnavailable: the turn can be run again when the store is back, unless functions had begun.
        """
        try:
            async with self._in_use() as loaded:
                if not loaded.project.usable:
                    return TurnOutcome(failed=True, memory=turn.memory, findings=loaded.findings)
                return _routed(loaded.project, await TurnRun(loaded, turn, before_functions, stream).run())
        except StoreUnavailable:
            raise
        except Exception as error:
            _log.exception("turn_failed", session_id=turn.session_id, turn_id=turn.turn_id, kind=turn.kind)
            finding = Finding(rule="turn-failed", text=f"The turn failed: {type(error).__name__}.")
            return TurnOutcome(failed=True, memory=turn.memory, findings=(finding,))

    async def try_function(self, file: str, arguments: Mapping[str, object], sample: Sample) -> Tried | None:
        """Run the function in `file` with a sample conversation; see `trying.try_function`. None: there is none.

        Raises:
            ArgumentWrong: an argument is missing or does not fit.
        """
        async with self._in_use() as loaded:
            modules = (module for module in loaded.project.modules if module.file == file)
            function = next((module.function for module in modules), None)
            return None if function is None else await try_function(loaded, function, arguments, sample)

    @asynccontextmanager
    async def _in_use(self) -> AsyncIterator[Loaded]:
        """Give the version to use, which stays until the block ends."""
        loaded = await self._current()
        loaded.users += 1
        try:
            yield loaded
        finally:
            loaded.users -= 1
            await self._close_if_unused(loaded)

    async def _current(self) -> Loaded:
        """Give the version to use, loading or reloading it where that is due."""
        if self._loaded is None:
            await self.start()
        elif self._watch:
            await self.refresh()
        assert self._loaded is not None
        return self._loaded

    async def refresh(self) -> None:
        """Load the project anew when its files have changed; turns that run go on with the old version."""
        if asyncio.get_running_loop().time() - self._looked_at >= _LOOK_AGAIN_S:
            await self.reload()

    async def reload(self) -> None:
        """Do the same at once, because somebody knows that files have changed."""
        async with self._loading:
            self._looked_at = asyncio.get_running_loop().time()
            old = self._loaded
            if old is not None and await asyncio.to_thread(fingerprint, self._root) == old.fingerprint:
                return
            new = await self._load()
            if old is not None and old.project.usable and not new.project.usable:
                # A half-written project must not silence a running demo.
                await new.pool.close()
                old.fingerprint = new.fingerprint
                return
            self._loaded = new
            if old is not None:
                old.replaced = True
                await self._close_if_unused(old)

    async def _load(self) -> Loaded:
        loaded = await asyncio.to_thread(load, self._root, self._build_brain, self._settings, self._services)
        try:
            await loaded.pool.start()
        except (WorkerLost, OSError) as error:
            # Answers that need no function still work, and the pool goes on trying.
            _log.error("function_worker_did_not_start", project=loaded.project.id, error=type(error).__name__)
        for found in loaded.findings:
            _log.warning(
                "project.problem",
                project=loaded.project.id,
                rule=found.rule,
                file=found.file,
                line=found.line,
                text=found.text,
            )
        _log.info("project_loaded", project=loaded.project.id, problems=len(loaded.findings))
        return loaded

    async def _close_if_unused(self, loaded: Loaded) -> None:
        if loaded.replaced and loaded.users == 0:
            await loaded.pool.close()

    async def close(self) -> None:
        """Stop the workers."""
        async with self._loading:
            if self._loaded is not None:
                await self._loaded.pool.close()


def _routed(project: Project, outcome: TurnOutcome) -> TurnOutcome:
    """Look the turn's wish for a human up in the project's routing table, whatever form it came in."""
    if outcome.handoff is None:
        return outcome
    request, findings = route_handoff(project, outcome.handoff)
    at_ms = outcome.trace[-1].at_ms if outcome.trace else 0
    trace = [TraceEntry(at_ms=at_ms, kind="error", data={"rule": f.rule, "text": f.text}) for f in findings]
    return replace(outcome, handoff=request, findings=(*outcome.findings, *findings), trace=(*outcome.trace, *trace))
