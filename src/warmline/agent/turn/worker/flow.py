"""`flow`: how a transition function or a function step moves (agent-project.md §5.9)."""

from warmline.agent.turn.worker.conv import Conversation
from warmline.agent.turn.worker.executors import Executor
from warmline.agent.turn.worker.plain import plain_text


class Flow:
    """The flow that the conversation is in."""

    def __init__(self, conv: Conversation) -> None:
        """Move the conversation of `conv`."""
        self._conv = conv
        self.current_step = conv.current_step
        self.functions: Executor = conv.executor_of_flow(self)

    def goto_step(self, step_name: str, label: str | None = None) -> None:
        """Go to a step or function step of the current flow after the function; the last call wins."""
        self._conv.effects.goto_step = plain_text(step_name)

    def exit_flow(self) -> None:
        """Leave the flow after the function; a `goto_flow` or `goto_step` of the same function wins."""
        self._conv.exit_flow()
