"""Files of flows for small projects, and a brain that follows a script in the place of one that thinks."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import indent

from support.agent_projects import Talk, write_project
from warmline.agent.project.model import Project
from warmline.agent.turn.brain import Move, Situation, Speak
from warmline.agent.turn.engine import ProjectEngine
from warmline.agent.turn.limits import PoolSettings


def flow_file(name: str, start_step: str) -> str:
    """Give the source of a `flow_config.yaml`."""
    return f"name: {name}\ndescription: A flow.\nstart_step: {start_step}\n"


def step_file(name: str, prompt: str) -> str:
    """Give the source of an advanced step."""
    return f"step_type: advanced_step\nname: {name}\nprompt: |-\n{indent(prompt, '  ')}\n"


def default_step_file(name: str, prompt: str, entities: str, *conditions: str) -> str:
    """Give the source of a default step.

    Args:
        name: of the step.
        prompt: what it tells the model.
        entities: names with commas.
        conditions: each as "name -> child step: required entities with commas"; no child step leaves the flow.
    """
    lines = [f"step_type: default_step\nname: {name}\nprompt: {prompt!r}", f"extracted_entities: [{entities}]"]
    lines.append("conditions:")
    for condition in conditions:
        way, _, required = condition.partition(":")
        label, _, child = (part.strip() for part in way.partition("->"))
        lines.append(f"  - name: {label}\n    description: {label}\n    required_entities: [{required.strip()}]")
        kind = "step_condition" if child else "exit_flow_condition"
        lines.append(f"    condition_type: {kind}" + (f"\n    child_step: {child}" if child else ""))
    return "\n".join(lines) + "\n"


def flow_function(name: str, body: str, parameters: str = "", *, step: bool = False) -> str:
    """Give the source of a transition function, or of a function step."""
    decorators = "" if step else '@func_description("Test.")\n'
    for parameter in parameters.split(",") if parameters else ():
        decorators += f'@func_parameter("{parameter.partition(":")[0].strip()}", "A value.")\n'
    signature = ", ".join(["conv: Conversation", "flow: Flow", *([parameters] if parameters else [])])
    return f"from _gen import *\n\n\n{decorators}def {name}({signature}):\n{indent(body, '    ')}\n"


class ScriptedBrain:
    """Makes the moves of a script, in their order; then says "(end)". `seen` are the situations it was asked in."""

    def __init__(self, *moves: Move | Callable[[Situation], Move]) -> None:
        """Follow `moves`."""
        self.seen: list[Situation] = []
        self._moves: Iterator[Move | Callable[[Situation], Move]] = iter(moves)

    def follow(self, *moves: Move | Callable[[Situation], Move]) -> None:
        """Follow another script from now on."""
        self._moves = iter(moves)

    async def next_move(self, situation: Situation) -> Move:
        """Make the script's next move."""
        self.seen.append(situation)
        move = next(self._moves, None)
        if move is None:
            return Speak(text="(end)")
        return move(situation) if callable(move) else move

    @property
    def places(self) -> list[tuple[str, str] | None]:
        """Where the conversation was, as (flow, step), each time the brain was asked."""
        return [(s.position.flow.name, s.position.step.name) if s.position else None for s in self.seen]


@asynccontextmanager
async def scripted(root: Path, files: dict[str, str], brain: ScriptedBrain, **settings: str) -> AsyncIterator[Talk]:
    """Open a conversation with a project whose brain follows a script."""

    def build(project: Project) -> ScriptedBrain:
        return brain

    running = ProjectEngine(write_project(root, files), build, settings=PoolSettings(size=1, most=2, limit_s=5.0))
    try:
        yield Talk(running, **settings)
    finally:
        await running.close()
