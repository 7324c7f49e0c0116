"""Where a conversation is in the project's flows, and how it moves (agent-project.md §8.3)."""

from warmline.agent.project.model import Flow, Function, Project
from warmline.agent.turn.brain import Position
from warmline.agent.turn.draft import Draft
from warmline.agent.turn.returns import Wishes


class Navigation:
    """The position of one session. It is kept in the memory by names; flows are not stacked."""

    def __init__(self, project: Project, draft: Draft) -> None:
        """Move the conversation whose turn is being made in `draft`."""
        self._project = project
        self._draft = draft
        self.moves = 0
        """Times that a step was entered in this turn."""

    @property
    def position(self) -> Position | None:
        """Where the conversation is. A place that no longer exists since a reload is left, with a finding."""
        memory = self._draft.memory
        if memory.flow is None:
            return None
        flow = self._project.flow(memory.flow)
        step = flow.find(memory.step or "") if flow else None
        if flow is not None and step is not None:
            return Position(flow, step)
        text = f"The step `{memory.step}` of the flow `{memory.flow}` no longer exists; the flow was left."
        self._draft.find("position-lost", text)
        memory.flow = memory.step = None
        return None

    def apply(self, wishes: Wishes, function: Function) -> None:
        """Move as `function` asked; entering a flow or step wins over leaving (agent-project.md §7.2)."""
        if wishes.goto_flow is not None:
            self._enter(wishes.goto_flow, wishes.goto_step, function)
        elif wishes.goto_step is not None:
            self._go_to_step(wishes.goto_step, function)
        elif wishes.exit_flow:
            self._exit(function)

    def _enter(self, name: str, step: str | None, function: Function) -> None:
        flow = self._project.flow(name)
        if flow is None:
            self._draft.find("unknown-flow", f"There is no flow `{name}`; the conversation stays.", function)
            return
        if step is not None and flow.find(step) is None:
            self._draft.find("unknown-step", f"The flow `{name}` has no step `{step}`; it starts anew.", function)
            step = None
        start = step or flow.start_step.value
        if flow.find(start) is None:
            text = f"The flow `{name}` has no start step `{start}`; the conversation stays."
            self._draft.find("unknown-step", text, function)
            return
        self._move(flow, start)

    def _go_to_step(self, name: str, function: Function) -> None:
        position = self.position
        if position is None:
            self._draft.find("step-outside-flow", f"There is no flow to go to step `{name}` in.", function)
        elif position.flow.find(name) is None:
            text = f"The flow `{position.flow.name}` has no step `{name}`; the conversation stays."
            self._draft.find("unknown-step", text, function)
        else:
            self._move(position.flow, name)

    def _exit(self, function: Function) -> None:
        if self._draft.memory.flow is None:
            self._draft.find("exit-outside-flow", "There is no flow to exit from; nothing happens.", function)
        else:
            self.leave()

    def go_to_child(self, name: str) -> bool:
        """Go to the step `name` of the current flow; False when there is none."""
        position = self.position
        if position is None or position.flow.find(name) is None:
            return False
        self._move(position.flow, name)
        return True

    def go_back(self, position: Position | None) -> None:
        """Return to where the conversation was before a function step that failed; out of the flow for None."""
        if position is None:
            self.leave()
        else:
            self._move(position.flow, position.step.name)

    def leave(self) -> None:
        """Leave the flow."""
        memory = self._draft.memory
        self._draft.trace("moved", {"from_flow": memory.flow, "from_step": memory.step, "to_flow": None})
        memory.flow = memory.step = None

    def _move(self, flow: Flow, step: str) -> None:
        memory = self._draft.memory
        self._draft.trace(
            "moved",
            {"from_flow": memory.flow, "from_step": memory.step, "to_flow": flow.name, "to_step": step},
        )
        memory.flow, memory.step = flow.name, step
        self.moves += 1
