"""Queues and agents: who gets which task, and what an agent can do with it (§19.1, §20.5)."""

import functools

from warmline.emulators.webex import policy
from warmline.emulators.webex.encryption import outbound_link
from warmline.emulators.webex.errors import ActionError
from warmline.emulators.webex.publisher import Publisher
from warmline.emulators.webex.state import Agent, AgentState, Message, Slot, Status, Task, World


class Routing:
    """Parks, offers, connects, transfers and ends tasks. One task is offered to one agent at a time."""

    def __init__(self, world: World, publisher: Publisher) -> None:
        self._world = world
        self._publisher = publisher
        self._parked: dict[str, dict[str, Task]] = {}
        self._offers = 0

    # -- the organization's side

    def enqueue(self, task: Task, queue: str) -> None:
        """Park a task in a queue and offer it when somebody is free."""
        task.status, task.queue, task.agent_id = Status.PARKED, queue, None
        task.parked_ms = self._world.clock.now_ms()
        self._parked.setdefault(queue, {})[task.id] = task
        self._publisher.lifecycle(task, "parked")
        self._assign(queue)

    def waiting(self) -> dict[str, dict[str, int | None]]:
        """Return for each queue how many tasks wait, and since when (epoch ms) the first of them."""
        found: dict[str, dict[str, int | None]] = {}
        for queue in self._world.settings.queues:
            tasks = self._parked.get(queue.name, {})
            first = next(iter(tasks.values()), None)
            found[queue.name] = {"count": len(tasks), "since": first.parked_ms if first else None}
        return found

    def finish(self, task: Task, party: str, reason: str) -> None:
        """End an open task; the agent who had it goes to wrap-up."""
        if not task.open:
            return
        self._take_back(task)
        self._free_second(task)
        task.open, task.status = False, Status.ENDED
        task.terminating_party, task.reason = party, reason
        task.ended_ms = self._world.clock.now_ms()
        if task.flow_timer is not None:
            task.flow_timer.cancel()
        task.flow_steps = []
        self._world.open_conversations.pop(task.conversation, None)
        self._publisher.lifecycle(task, "ended", reason=reason, terminatingParty=party)
        agent = self._world.agents.get(task.agent_id or "")
        if agent is not None and task.id in agent.slots:
            agent.slots[task.id] = Slot.WRAPUP
            if self._world.settings.auto_wrapup:
                self.wrap_up(agent, task)
            else:
                self._world.agent_changed(agent)
        self._announce_transcript(task, self._world.settings.transcript_delay_ms)

    def resume(self, task: Task) -> None:
        """Go on with a task that was read back from the disk: queue, offer, news of its transcript."""
        if task.status is Status.PARKED:
            self._parked.setdefault(str(task.queue), {})[task.id] = task
        elif task.status is Status.OFFERED:
            left_ms = max(0, task.offer_deadline_ms - self._world.clock.now_ms())
            self._ring(self._world.agents[str(task.agent_id)], task, left_ms)
        elif task.ended_ms is not None and task.status is Status.ENDED:
            due_ms = task.ended_ms + self._world.settings.transcript_delay_ms
            if due_ms > self._world.clock.now_ms():
                self._announce_transcript(task, due_ms - self._world.clock.now_ms())

    def resume_agent(self, agent: Agent) -> None:
        """Go on with an agent who was read back from the disk."""
        self._offers = max(self._offers, agent.last_offer)
        if agent.state is AgentState.AVAILABLE:
            self.fill(agent)

    def heard(self, task: Task, message: Message) -> None:
        """Let the agent of a task hear a customer's message (agents that echo answer it)."""
        if not self._world.settings.echo_replies or task.status is not Status.CONNECTED:
            return
        self.say(self._world.agents[str(task.agent_id)], task, message.text)

    # -- the agent's side

    def log_in(self, agent: Agent) -> None:
        """Log an agent in (state Idle); the desktop loads the policies. Nothing happens when logged in already."""
        self.reload_desktop(agent)
        if agent.state is AgentState.LOGGED_OUT:
            self._set_state(agent, AgentState.IDLE)

    def log_out(self, agent: Agent) -> None:
        """Log an agent out.

        Raises:
            ActionError: 409 while the agent has conversations.
        """
        if agent.slots:
            raise ActionError(409, f"{agent.spec.id} still has {len(agent.slots)} conversation(s)")
        self._set_state(agent, AgentState.LOGGED_OUT)

    def reload_desktop(self, agent: Agent) -> None:
        """Give the agent's desktop the policies that are in force now (§3.2)."""
        agent.policies = {channel.name: channel.policy for channel in self._world.settings.channels}

    def set_state(self, agent: Agent, state: AgentState) -> None:
        """Make a logged-in agent Available or Idle.

        Raises:
            ActionError: 409 when the agent is logged out.
        """
        if agent.state is AgentState.LOGGED_OUT:
            raise ActionError(409, f"{agent.spec.id} is logged out")
        self._set_state(agent, state)
        if state is AgentState.AVAILABLE:
            self.fill(agent)

    def accept(self, agent: Agent, task: Task) -> None:
        """Accept an offer.

        Raises:
            ActionError: 409 when the task is not offered to this agent.
        """
        self.require(agent, task, Slot.OFFERED, "is not offered to")
        self._stop_ringing(task)
        task.status, task.was_connected = Status.CONNECTED, True
        agent.slots[task.id] = Slot.CONNECTED
        self._publisher.lifecycle(task, "connected")
        self._world.agent_changed(agent)

    def decline(self, agent: Agent, task: Task) -> None:
        """Refuse an offer: the agent's state becomes RONA, the task is parked again.

        Raises:
            ActionError: 409 when the task is not offered to this agent.
        """
        self.require(agent, task, Slot.OFFERED, "is not offered to")
        self._stop_ringing(task)
        del agent.slots[task.id]
        self._set_state(agent, AgentState.RONA)
        if self._world.settings.rona_emits_ended:
            self._publisher.lifecycle(task, "ended", reason="RONA Timer Expired", terminatingParty="System")
        self.enqueue(task, task.queue or agent.spec.queues[0])

    def say(self, agent: Agent, task: Task, text: str) -> None:
        """Send the agent's text to the customer.

        Raises:
            ActionError: 409 without the conversation, 400 for a text that the policy blocks in the desktop.
        """
        self.attach(agent, task, text, [])

    def attach(self, agent: Agent, task: Task, text: str, files: list[tuple[str, str, bytes]]) -> None:
        """Send text and files (name, MIME type, content) to the customer; malware and card numbers are removed.

        Raises:
            ActionError: 409 without the conversation, 400 for what the policy blocks in the desktop.
        """
        if not (task.in_conference and task.consulted_id == agent.spec.id):
            self.require(agent, task, Slot.CONNECTED, "is not connected to")
        rules = agent.policies.get(task.channel) or self._world.policy(task.channel)
        try:
            policy.check_text(rules, text)
            policy.check_files(rules, [mime for _, mime, _ in files], [len(data) for _, _, data in files])
        except policy.PolicyViolation as violation:
            raise ActionError(400, str(violation)) from violation
        kept = [
            self._world.store_file(name, mime, data) for name, mime, data in files if not policy.is_dropped(mime, data)
        ]
        message = Message(
            direction="OUTBOUND",
            sender_type="agent",
            alias_id=self._world.ids.uuid("message"),
            text=policy.masked(text),
            at=task.stamp(self._world.clock.now_ms()),
            files=kept,
            agent_id=agent.spec.id,
        )
        task.transcript.append(message)
        self._publisher.outbound(
            task, message, agent.spec.id, [(file, outbound_link(self._world, file)) for file in kept]
        )

    def transfer_to_queue(self, agent: Agent, task: Task, queue: str) -> None:
        """Give a conversation back to a queue.

        Raises:
            ActionError: 409 without the conversation, 404 for an unknown queue.
        """
        self.require(agent, task, Slot.CONNECTED, "is not connected to")
        if self._world.queue(queue) is None:
            raise ActionError(404, f"there is no queue {queue}")
        self.release_second(task)
        del agent.slots[task.id]
        self._world.agent_changed(agent)
        self.enqueue(task, queue)
        self.fill(agent)

    def transfer_to_agent(self, agent: Agent, task: Task, to: Agent) -> None:
        """Offer a conversation to another agent, who has to accept it.

        Raises:
            ActionError: 409 without the conversation, or when the other agent cannot take it.
        """
        self.require(agent, task, Slot.CONNECTED, "is not connected to")
        self.require_free(agent, to)
        self.release_second(task)
        del agent.slots[task.id]
        self._world.agent_changed(agent)
        self._offer(task, to)
        self.fill(agent)

    def end(self, agent: Agent, task: Task) -> None:
        """End a conversation as its agent.

        Raises:
            ActionError: 409 without the conversation.
        """
        self.require(agent, task, Slot.CONNECTED, "is not connected to")
        self.finish(task, "Agent", "Agent Left")

    def wrap_up(self, agent: Agent, task: Task, code: str = "") -> None:
        """Finish the wrap-up of an ended conversation, which frees its place.

        Args:
            code: id of one of the settings' wrap-up codes; '' means the first one.

        Raises:
            ActionError: 409 when the task is not in this agent's wrap-up, 400 for an unknown code.
        """
        self.require(agent, task, Slot.WRAPUP, "is not in wrap-up with")
        known = [item.id for item in self._world.settings.wrap_up_codes]
        if code and code not in known:
            raise ActionError(400, f"there is no wrap-up code {code}; there are {', '.join(known)}")
        task.wrap_up_code = code or next(iter(known), None)
        del agent.slots[task.id]
        self._world.agent_changed(agent)
        self._world.task_changed(task)
        self.fill(agent)

    # -- what every action asks first, and the second agent of a conversation

    def require(self, agent: Agent, task: Task, slot: Slot, words: str) -> None:
        """Make sure what a task is to an agent.

        Raises:
            ActionError: 409, in which `words` stand between the task and the agent.
        """
        if agent.slots.get(task.id) is not slot:
            raise ActionError(409, f"task {task.id} ({task.status}) {words} {agent.spec.id}")

    def require_free(self, agent: Agent, to: Agent) -> None:
        """Make sure that `to` can take a conversation of `agent`.

        Raises:
            ActionError: 409.
        """
        if to is agent or to.state is not AgentState.AVAILABLE or not to.has_room:
            raise ActionError(409, f"{to.spec.id} is not available")

    def release_second(self, task: Task) -> None:
        """End the consultation or conference of a task; nothing happens without one."""
        if task.consulted_id is None:
            return
        done = "conference-done" if task.in_conference else "consult-done"
        self._free_second(task)
        self._publisher.lifecycle(task, done)
        first = self._world.agents.get(task.agent_id or "")
        if first is not None:
            self._world.agent_changed(first)

    def fill(self, agent: Agent) -> None:
        """Offer an agent who has room what waits in their queues."""
        for queue in agent.spec.queues:
            self._assign(queue)

    # -- inside

    def _announce_transcript(self, task: Task, delay_ms: float) -> None:
        self._world.clock.after(delay_ms, functools.partial(self._publisher.transcript_ready, task))

    def _free_second(self, task: Task) -> None:
        second = self._world.agents.get(task.consulted_id or "")
        task.consulted_id, task.in_conference = None, False
        if second is not None:
            second.slots.pop(task.id, None)
            self._world.agent_changed(second)
            self.fill(second)

    def _set_state(self, agent: Agent, state: AgentState) -> None:
        agent.state, agent.since_ms = state, self._world.clock.now_ms()
        self._world.agent_changed(agent)

    def _assign(self, queue: str) -> None:
        """Offer the longest-waiting tasks of a queue while an agent is free for it."""
        waiting = self._parked.get(queue)
        while waiting:
            agent = self._free_agent(queue)
            if agent is None:
                return
            task = next(iter(waiting.values()))
            del waiting[task.id]
            self._offer(task, agent)

    def _free_agent(self, queue: str) -> Agent | None:
        free = [
            agent
            for agent in self._world.agents.values()
            if agent.state is AgentState.AVAILABLE and queue in agent.spec.queues and agent.has_room
        ]
        return min(free, key=lambda agent: (len(agent.slots), agent.last_offer), default=None)

    def _offer(self, task: Task, agent: Agent) -> None:
        self._offers += 1
        agent.last_offer = self._offers
        agent.slots[task.id] = Slot.OFFERED
        task.status, task.agent_id = Status.OFFERED, agent.spec.id
        self._ring(agent, task, self._world.settings.rona_seconds * 1000)
        self._publisher.lifecycle(task, "connect")
        self._world.agent_changed(agent)
        if self._world.settings.auto_accept:
            self.accept(agent, task)

    def _ring(self, agent: Agent, task: Task, ms: float) -> None:
        task.offer_deadline_ms = int(self._world.clock.now_ms() + ms)
        task.offer_timer = self._world.clock.after(ms, functools.partial(self._rang_out, agent, task))

    def _rang_out(self, agent: Agent, task: Task) -> None:
        if agent.slots.get(task.id) is Slot.OFFERED:
            self.decline(agent, task)

    def _stop_ringing(self, task: Task) -> None:
        if task.offer_timer is not None:
            task.offer_timer.cancel()
            task.offer_timer = None

    def _take_back(self, task: Task) -> None:
        """Remove a task that ends from its queue, or the agent to whom it is ringing."""
        self._parked.get(task.queue or "", {}).pop(task.id, None)
        self._stop_ringing(task)
        agent = self._world.agents.get(task.agent_id or "")
        if agent is not None and agent.slots.get(task.id) is Slot.OFFERED:
            del agent.slots[task.id]
            task.agent_id = None
            self._world.agent_changed(agent)
            self.fill(agent)
