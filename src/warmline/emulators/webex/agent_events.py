"""What agents do, told to subscriptions of `agent:*` (§12.1, §19.1)."""

from collections.abc import Iterable
from typing import Any

from warmline.emulators.webex.envelope import Event
from warmline.emulators.webex.events import sender_id
from warmline.emulators.webex.state import Agent, AgentState, Slot, World
from warmline.emulators.webex.webhooks import Webhooks

_CHANNEL = "customMessaging"
_WORDS = {Slot.OFFERED: "ringing", Slot.CONNECTED: "connected", Slot.WRAPUP: "wrapup"}
_DONE = {"consulting": "consult-done", "conferencing": "conference-done", "wrapup": "wrapup-done"}

_Doing = tuple[Slot, str]
"""What a conversation is to an agent, and the word for it in `currentState`."""


class AgentEvents:
    """Notices what has changed about an agent since it looked last, and publishes it."""

    def __init__(self, world: World, webhooks: Webhooks) -> None:
        self._world = world
        self._webhooks = webhooks
        self._states: dict[str, AgentState] = {}
        self._channel_states: dict[str, str] = {}
        self._doings: dict[str, dict[str, _Doing]] = {}
        world.agent_observers.append(self.look)

    def know(self, agents: Iterable[Agent]) -> None:
        """Take the present state of agents as told already."""
        for agent in agents:
            self._states[agent.spec.id], self._doings[agent.spec.id] = agent.state, self._doing(agent)
            self._channel_states[agent.spec.id] = _channel_state(agent)

    def look(self, agent: Agent) -> None:
        """Publish what is new about an agent."""
        agent_id = agent.spec.id
        before = self._states.get(agent_id, AgentState.LOGGED_OUT)
        doings, now = self._doings.get(agent_id, {}), self._doing(agent)
        self._states[agent_id], self._doings[agent_id] = agent.state, now
        if before is AgentState.LOGGED_OUT is not agent.state:
            self._publish(agent, "login")
        if agent.state is not before:
            self._publish(agent, "state_change", currentState=_state_word(agent.state))
        for task_id in {**doings, **now}:
            word = _change(agent, doings.get(task_id), now.get(task_id))
            if word:
                self._publish(agent, "channel_state_change", channelType=_CHANNEL, taskId=task_id, currentState=word)
        channel_state = _channel_state(agent)
        if channel_state != self._channel_states.get(agent_id, "LoggedOut"):
            self._publish(agent, "channelType_state_change", channelType=_CHANNEL, currentState=channel_state)
        self._channel_states[agent_id] = channel_state
        if agent.state is AgentState.LOGGED_OUT is not before:
            self._publish(agent, "logout")

    def _doing(self, agent: Agent) -> dict[str, _Doing]:
        found = {}
        for task_id, slot in agent.slots.items():
            task = self._world.tasks[task_id]
            word = _WORDS.get(slot, "connected")
            if word == "connected" and task.consulted_id is not None:
                word = "conferencing" if task.in_conference else "consulting"
            found[task_id] = (slot, word)
        return found

    def _publish(self, agent: Agent, action: str, **more: Any) -> None:
        event_type = f"agent:{action}"
        if not any(event_type in known.event_types for known in self._world.subscriptions.values()):
            return
        at_ms = self._world.clock.now_ms()
        data = {
            "agentId": sender_id(self._world, agent.spec.id),
            "agentName": f"{agent.spec.first_name} {agent.spec.last_name}",
            "createdTime": at_ms,
            **more,
        }
        event_id = self._world.ids.uuid("agent event")
        self._webhooks.publish(Event(event_type, agent.spec.id, at_ms, data, "subscriptions", event_id))


def _change(agent: Agent, before: _Doing | None, now: _Doing | None) -> str:
    """Return the state that an agent has come to in one conversation; '' when nothing has changed."""
    if before == now:
        return ""
    if now is None:
        word = before[1] if before else ""
        unanswered = "not-responding" if agent.state is AgentState.RONA else "available"
        return unanswered if word == "ringing" else _DONE.get(word, "available")
    if before and before[0] is now[0] and now[1] == "connected":
        return _DONE[before[1]]
    return now[1]


def _state_word(state: AgentState) -> str:
    return "not-responding" if state is AgentState.RONA else state.value.lower()


def _channel_state(agent: Agent) -> str:
    slots = set(agent.slots.values())
    if agent.state is AgentState.LOGGED_OUT:
        return "LoggedOut"
    for slot, word in (
        (Slot.CONNECTED, "Engaged"),
        (Slot.CONSULTED, "Engaged"),
        (Slot.OFFERED, "Reserved"),
        (Slot.WRAPUP, "WrapUp"),
    ):
        if slot in slots:
            return word
    return "Available" if agent.state is AgentState.AVAILABLE else "Idle"
