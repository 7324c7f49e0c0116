"""Small agent projects on disk, and conversations with them through the real engine."""

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

from warmline.agent import engine_for
from warmline.agent.models.access import LanguageModel
from warmline.agent.turn.engine import ProjectEngine
from warmline.agent.turn.limits import PoolSettings
from warmline.domain.turn import HistoryItem, TurnInput, TurnKind, TurnOutcome
from warmline.testing.messaging_client import PATIENCE_S

EXAMPLES = Path(__file__).parents[2] / "examples"
LUMEN = EXAMPLES / "lumen-energy"

PROJECT_YAML = "project_id: sample\naccount_id: tests\nregion: euw-1\n"


def write_project(root: Path, files: Mapping[str, str]) -> Path:
    """Write a project with `files`, path to content; `project.yaml` is added. Content may be indented."""
    for name, content in {"project.yaml": PROJECT_YAML, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(content).lstrip("\n"), encoding="utf-8")
    return root


def function_file(name: str, body: str, parameters: str = "") -> str:
    """Give the source of a function file; `body` is the indented text inside the function."""
    lines = "\n".join(f"    {line}" for line in dedent(body).strip().splitlines())
    described = "".join(
        f'@func_parameter("{parameter.partition(":")[0].strip()}", "A value.")\n'
        for parameter in parameters.split(",")
        if parameter.strip()
    )
    signature = f"conv: Conversation, {parameters}" if parameters else "conv: Conversation"
    return f'from _gen import *\n\n\n@func_description("Test.")\n{described}def {name}({signature}):\n{lines}\n'


def topic_file(name: str, queries: str, *, content: str = "", actions: str = "") -> str:
    """Give the source of a topic; `queries` are separated by "|"."""
    listed = "".join(f"  - {query.strip()!r}\n" for query in queries.split("|"))
    return f"name: {name!r}\nactions: {actions!r}\ncontent: {content!r}\nexample_queries:\n{listed}"


def calling(*bodies: tuple[str, str]) -> dict[str, str]:
    """Give the files of a project whose topic "run NAME" calls the function NAME, for each (NAME, body)."""
    files: dict[str, str] = {}
    for name, body in bodies:
        files[f"functions/{name}.py"] = function_file(name, body)
        files[f"topics/run_{name}.yaml"] = topic_file(
            f"run {name}", f"please run {name} now", actions=f"Call {{{{fn:{name}}}}}."
        )
    return files


def start_function(body: str) -> dict[str, str]:
    """Give the file of a start function."""
    return {"functions/start_function.py": function_file("start_function", body)}


CHAT = {"chat/configuration.yaml": "greeting:\n  welcome_message: Welcome!\n"}


class Talk:
    """One session with an engine: keeps the memory and the history from turn to turn."""

    def __init__(self, engine: ProjectEngine, session_id: str = "session-1", **settings: str) -> None:
        """Talk to `engine`; `settings` are further fields of the turns, such as `channel`."""
        self.engine = engine
        self.session_id = session_id
        self.settings = settings
        self.memory = b""
        self.history: list[HistoryItem] = []
        self.functions_announced = 0
        self.announcing_fails: Exception | None = None
        self.stream: Callable[[str], None] | None = None

    async def start(self) -> TurnOutcome:
        """Join."""
        return await self._turn(TurnKind.START, "")

    async def say(self, text: str) -> TurnOutcome:
        """Write something."""
        self.history.append(HistoryItem(role="user", text=text))
        return await self._turn(TurnKind.MESSAGE, text)

    async def end(self) -> TurnOutcome:
        """End the session."""
        return await self._turn(TurnKind.END, "")

    async def _turn(self, kind: TurnKind, text: str) -> TurnOutcome:
        turn = TurnInput(
            turn_id=f"turn-{len(self.history)}",
            session_id=self.session_id,
            kind=kind,
            text=text,
            history=tuple(self.history),
            memory=self.memory,
            **self.settings,
        )
        outcome = await self.engine.run(turn, self._before_functions, self.stream)
        self.memory = outcome.memory
        self.history += [HistoryItem(role="agent", text=say.text) for say in outcome.says]
        return outcome

    async def _before_functions(self) -> None:
        if self.announcing_fails is not None:
            raise self.announcing_fails
        self.functions_announced += 1


Open = Callable[..., Talk]
"""What the fixture `talk_to` gives: opens a conversation with a project made of files."""


def engine(root: Path, *, watch: bool = False, model: LanguageModel | None = None, **settings: float) -> ProjectEngine:
    """Give an engine for the project at `root` with few workers; with a `model`, the brain is `llm`."""
    defaults: dict[str, float] = {"size": 2, "most": 8, "limit_s": PATIENCE_S, "wait_s": PATIENCE_S}
    pool = PoolSettings(**{**defaults, **settings})  # type: ignore[arg-type]
    return engine_for(root, brain="llm" if model else "topics", watch=watch, settings=pool, model=model)


def texts(outcome: TurnOutcome) -> list[str]:
    """Give what was said."""
    return [say.text for say in outcome.says]


def rules(outcome: TurnOutcome) -> list[str]:
    """Give the rules of the findings."""
    return [finding.rule for finding in outcome.findings]
