"""Whether both webhook paths are heard: events come by subscriptions, agents' words by the asset (§17, race 24)."""

from collections import OrderedDict

import structlog

_log = structlog.get_logger(__name__)

IN_A_ROW = 3
"""So many conversations with a live agent in which no agent said anything are no coincidence any more."""
_TASKS = 20_000

SILENT = (
    "The asset webhook is silent: conversations reach agents, and nothing that agents write arrives. "
    "Check the asset's webhook URL and secret in Control Hub."
)


class PathWatch:
    """Notices that conversations come to agents and end, and no agent's message comes. Read again, news count once."""

    def __init__(self, connection_id: str) -> None:
        self._connection_id = connection_id
        self._unheard: OrderedDict[str, None] = OrderedDict()
        self._mute = 0

    @property
    def warning(self) -> str:
        """What the operator should know; "" for nothing."""
        return SILENT if self._mute >= IN_A_ROW else ""

    def connected(self, task_id: str) -> None:
        """A live agent took the conversation."""
        self._unheard[task_id] = None
        if len(self._unheard) > _TASKS:
            self._unheard.popitem(last=False)

    def spoken(self, task_id: str) -> None:
        """An agent's message came: the path works."""
        self._unheard.pop(task_id, None)
        self._mute = 0

    def ended(self, task_id: str) -> None:
        """The conversation is over."""
        if task_id not in self._unheard:
            return
        del self._unheard[task_id]
        self._mute += 1
        if self._mute == IN_A_ROW:
            _log.error("webex.asset_webhook_silent", connection_id=self._connection_id, conversations=IN_A_ROW)
