"""A second agent in a conversation: asked for advice, then perhaps brought in, then perhaps given it (§12.1, §20.1)."""

from warmline.emulators.webex.errors import ActionError
from warmline.emulators.webex.publisher import Publisher
from warmline.emulators.webex.routing import Routing
from warmline.emulators.webex.state import Agent, Slot, Task, World


class Consulting:
    """Consultations and conferences. The agent who is asked takes part at once, without an offer."""

    def __init__(self, world: World, publisher: Publisher, routing: Routing) -> None:
        self._world = world
        self._publisher = publisher
        self._routing = routing

    def consult(self, agent: Agent, task: Task, to: Agent) -> None:
        """Show the conversation to another agent; the customer hears nothing of it.

        Raises:
            ActionError: 409 without the conversation, with a second agent already, or when `to` is not available.
        """
        self._routing.require(agent, task, Slot.CONNECTED, "is not connected to")
        if task.consulted_id is not None:
            raise ActionError(409, f"{task.consulted_id} is consulted already")
        self._routing.require_free(agent, to)
        task.consulted_id = to.spec.id
        to.slots[task.id] = Slot.CONSULTED
        self._tell(task, "consulting", agent, to)

    def confer(self, agent: Agent, task: Task) -> None:
        """Let the agent who is consulted talk to the customer too.

        Raises:
            ActionError: 409 without the conversation, or without a consultation.
        """
        self._routing.require(agent, task, Slot.CONNECTED, "is not connected to")
        second = self._second(task)
        if task.in_conference:
            raise ActionError(409, f"{second.spec.id} is in the conference already")
        task.in_conference = True
        self._tell(task, "conferencing", agent, second)

    def leave(self, agent: Agent, task: Task) -> None:
        """End the consultation or conference, as either of the two agents; the first one keeps the conversation.

        Raises:
            ActionError: 409 when this agent takes no part in one.
        """
        second = self._second(task)
        if agent is not second:
            self._routing.require(agent, task, Slot.CONNECTED, "is not connected to")
        self._routing.release_second(task)

    def hand_over(self, agent: Agent, task: Task) -> None:
        """Give the conversation to the agent who is consulted, who has it at once.

        Raises:
            ActionError: 409 without the conversation, or without a consultation.
        """
        self._routing.require(agent, task, Slot.CONNECTED, "is not connected to")
        second = self._second(task)
        action = "conference-transferred" if task.in_conference else "consult-done"
        task.agent_id, task.consulted_id, task.in_conference = second.spec.id, None, False
        del agent.slots[task.id]
        second.slots[task.id] = Slot.CONNECTED
        self._publisher.lifecycle(task, action)
        self._tell(task, "connected", agent, second)
        self._routing.fill(agent)

    def _second(self, task: Task) -> Agent:
        if task.consulted_id is None:
            raise ActionError(409, f"nobody is consulted about task {task.id}")
        return self._world.agents[task.consulted_id]

    def _tell(self, task: Task, action: str, *agents: Agent) -> None:
        self._publisher.lifecycle(task, action)
        for agent in agents:
            self._world.agent_changed(agent)
