"""Names of live agents, looked up once a day (webex-byoc.md §12.3)."""

import asyncio

import structlog

from warmline.domain.messages import LiveAgent
from warmline.handoff.contract import ProviderError
from warmline.handoff.providers.webex.client import WebexClient
from warmline.ports import Clock

_log = structlog.get_logger(__name__)

_KNOWN_MS = 24 * 3600 * 1000
_UNKNOWN_MS = 10 * 60 * 1000
_PATIENCE_S = 2.0


class Agents:
    """First names by id; `label` stands in where Webex does not tell."""

    def __init__(self, client: WebexClient, clock: Clock, label: str) -> None:
        self._client = client
        self._clock = clock
        self._label = label
        self._names: dict[str, tuple[str, int]] = {}
        self._asking: dict[str, asyncio.Task[str]] = {}

    async def get(self, agent_id: str) -> LiveAgent:
        """The agent; answers within two seconds and never raises."""
        if not agent_id:
            return LiveAgent(id="", name=self._label)
        name, until = self._names.get(agent_id, ("", 0))
        if self._clock.now() >= until:
            name = await self._ask(agent_id)
        return LiveAgent(id=agent_id, name=name or self._label)

    async def stop(self) -> None:
        """Give up on questions under way."""
        for task in tuple(self._asking.values()):
            task.cancel()

    async def _ask(self, agent_id: str) -> str:
        asking = self._asking.get(agent_id)
        if asking is None:
            asking = asyncio.create_task(self._look_up(agent_id))
            self._asking[agent_id] = asking
            asking.add_done_callback(lambda _: self._asking.pop(agent_id, None))
        done, _ = await asyncio.wait([asking], timeout=_PATIENCE_S)
        return asking.result() if done and not asking.cancelled() else ""

    async def _look_up(self, agent_id: str) -> str:
        try:
            name = await self._client.first_name(agent_id)
        except ProviderError as error:
            _log.info("webex.agent_not_named", agent_id=agent_id, code=error.code)
            name = ""
        self._names[agent_id] = (name, self._clock.now() + (_KNOWN_MS if name else _UNKNOWN_MS))
        return name
