"""What a running provider remembers of its conversations. Bounded, and never needed for correctness after a restart."""

from collections import OrderedDict

from warmline.handoff.providers.webex.mapping import Recall

_TASKS = 20_000
_TEXTS_PER_TASK = 50
_FAILURES = 1_000


class Memory:
    """Texts on their way and tasks created, so that webhooks that name neither can be understood (§14, §15)."""

    def __init__(self) -> None:
        self._sent: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._handoffs: OrderedDict[str, str] = OrderedDict()
        self._failures: OrderedDict[str, dict[str, str]] = OrderedDict()

    def owner(self, task_id: str) -> str | None:
        """The handoff that a task was created for, if that is known."""
        return self._handoffs.get(task_id)

    def created(self, task_id: str, handoff_id: str) -> None:
        """A task was created for a handoff."""
        self._handoffs[task_id] = handoff_id
        if len(self._handoffs) > _TASKS:
            self._handoffs.popitem(last=False)

    def sent(self, task_id: str, alias_id: str, text: str) -> None:
        """A text is being handed over; keeps its place when it is sent again."""
        texts = self._sent.setdefault(task_id, {})
        texts[alias_id] = text
        if len(texts) > _TEXTS_PER_TASK:
            del texts[next(iter(texts))]
        if len(self._sent) > _TASKS:
            self._sent.popitem(last=False)

    def settled(self, task_id: str, alias_id: str) -> None:
        """What became of a text is known."""
        texts = self._sent.get(task_id)
        if texts is not None:
            texts.pop(alias_id, None)
            if not texts:
                del self._sent[task_id]

    def failed(self, task_id: str, alias_id: str, row_key: str) -> None:
        """A webhook told that a text was not taken; read again it means the same, and is not about the next one."""
        if row_key in self._failures:
            return
        self._failures[row_key] = {alias_id: self._sent.get(task_id, {}).get(alias_id, "")}
        if len(self._failures) > _FAILURES:
            self._failures.popitem(last=False)
        self.settled(task_id, alias_id)

    def ended(self, task_id: str) -> None:
        """The task is over."""
        self._sent.pop(task_id, None)

    def recall(self, task_id: str, handoff_id: str, row_key: str, older_task: str = "") -> Recall:
        """What may be known when a webhook is read; `older_task` is one that Webex named in it."""
        owner = self.owner(older_task)
        known = self._failures.get(row_key)
        return Recall(
            sent=self._sent.get(task_id, {}) if known is None else known,
            own_tasks=frozenset({older_task}) if owner == handoff_id else frozenset(),
            other_tasks=frozenset({older_task}) if owner not in (None, handoff_id) else frozenset(),
        )
