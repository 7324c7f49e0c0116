"""Entry-point flows: the steps that run for a new task before an agent has it (§19.3, §20.5)."""

import functools

from warmline.emulators.webex.publisher import Publisher
from warmline.emulators.webex.routing import Routing
from warmline.emulators.webex.settings import End, QueueTo, Receive, Send, Wait
from warmline.emulators.webex.state import Message, Task, World


class Flows:
    """Runs flow steps; a task waits in at most one step."""

    def __init__(self, world: World, publisher: Publisher, routing: Routing) -> None:
        self._world = world
        self._publisher = publisher
        self._routing = routing

    def begin(self, task: Task) -> None:
        """Start the flow of the task's entry point."""
        asset = self._world.asset(task.address)
        entry_point = self._world.entry_point(asset.entry_point) if asset else None
        flow = self._world.flow(entry_point.flow) if entry_point else None
        task.flow_steps = list(flow.steps) if flow else []
        self._go_on(task)

    def received(self, task: Task) -> None:
        """Let a waiting *Receive Message* step have the message that the customer just wrote."""
        if task.receiving:
            self._go_on(task)

    def _go_on(self, task: Task) -> None:
        task.receiving = False
        if task.flow_timer is not None:
            task.flow_timer.cancel()
            task.flow_timer = None
        while task.open and task.flow_steps:
            step = task.flow_steps.pop(0)
            if isinstance(step, Send):
                self._say(task, step.text)
            elif isinstance(step, QueueTo):
                self._routing.enqueue(task, self._queue_of(task, step))
                return
            elif isinstance(step, End):
                self._routing.finish(task, "System", "Flow Ended")
            elif isinstance(step, (Receive, Wait)):
                task.receiving = isinstance(step, Receive)
                seconds = step.timeout if isinstance(step, Receive) else step.seconds
                self._pause(task, seconds * 1000)
                return

    def resume(self, task: Task) -> None:
        """Go on with the step in which a task that was read back from the disk waits."""
        if task.open and task.flow_timer is not None:
            self._pause(task, max(0.0, task.flow_timer.due_ms - self._world.clock.now_ms()))

    def _pause(self, task: Task, ms: float) -> None:
        task.flow_timer = self._world.clock.after(ms, functools.partial(self._go_on, task))
        self._world.task_changed(task)

    def _queue_of(self, task: Task, step: QueueTo) -> str:
        wanted = task.global_variables.get(step.variable, "") if step.variable else ""
        return wanted if self._world.queue(wanted) else step.name

    def _say(self, task: Task, text: str) -> None:
        message = Message(
            direction="OUTBOUND",
            sender_type="system",
            alias_id=self._world.ids.uuid("message"),
            text=text,
            at=task.stamp(self._world.clock.now_ms()),
        )
        task.transcript.append(message)
        self._publisher.outbound(task, message, None, [])
