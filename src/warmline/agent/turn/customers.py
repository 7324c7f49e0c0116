"""What a project remembers of returning customers: `conv.memory` (agent-project.md §5.1 and §10, `memory`)."""

from collections.abc import Mapping

import structlog

from warmline.agent.project.model import Project
from warmline.agent.turn.draft import Draft
from warmline.agent.turn.services import CustomerMemory
from warmline.domain.turn import TurnInput

_log = structlog.get_logger(__name__)


def memory_keys(project: Project) -> list[str]:
    """Give the keys of `conv.state` that are remembered when a session ends; none unless the project says so."""
    keys = _mapping(_settings(project).get("repeat_caller")).get("state_keys")
    return [str(key) for key in keys] if isinstance(keys, list) else []


def customer_of(project: Project, caller_number: str, attributes: Mapping[str, str], texts: Mapping[str, str]) -> str:
    """Who the customer of a session is to the project: the number they write from, or what it names instead.

    Args:
        project: whose `memory` setting decides.
        caller_number: "" without one.
        attributes: the integration attributes of the session.
        texts: `conv.state` as texts.

    Returns: "" when the project cannot tell, or does not want to remember this one.
    """
    settings = _settings(project)
    source, _, name = str(settings.get("identifier_source") or "").partition(":")
    match source:
        case "state":
            customer = texts.get(name, "")
        case "integration_attributes":
            customer = str(attributes.get(name, ""))
        case "":
            customer = caller_number
        case _:
            customer = ""
    blacklist = _mapping(settings.get("repeat_caller")).get("identifier_blacklist")
    return "" if isinstance(blacklist, list) and customer in map(str, blacklist) else customer


class Remembering:
    """The memory of the customer of one turn."""

    def __init__(self, project: Project, service: CustomerMemory | None, turn: TurnInput, draft: Draft) -> None:
        """Recall into the memory of `draft`, keep what stands there."""
        self._project = project
        self._service = service if memory_keys(project) else None
        self._turn = turn
        self._draft = draft
        self._recalled = False

    async def recall(self) -> None:
        """Bring back what earlier sessions kept, as soon as it is known who the customer is."""
        customer = self._customer
        if self._service is None or not customer or self._recalled:
            return
        self._recalled = True
        try:
            self._draft.memory.customer = dict(await self._service.recall(self._project.id, customer))
        except Exception as error:
            # A customer who is not recognised can be served all the same.
            _log.exception("customer_not_recalled", session_id=self._turn.session_id)
            self._draft.find("memory-failed", f"The customer's memory cannot be read: {type(error).__name__}.")

    async def keep(self) -> None:
        """Remember the project's choice of the state for the next session; nothing when there is nothing."""
        customer = self._customer
        if self._service is None or not customer or not self._draft.memory.kept:
            return
        values = {**self._draft.memory.customer, **self._draft.memory.kept}
        try:
            await self._service.keep(self._project.id, customer, values)
        except Exception as error:
            _log.exception("customer_not_remembered", session_id=self._turn.session_id)
            self._draft.find("memory-failed", f"The customer's memory cannot be written: {type(error).__name__}.")

    @property
    def _customer(self) -> str:
        turn = self._turn
        texts = self._draft.memory.texts
        return customer_of(self._project, turn.caller_number or "", turn.integration_attributes, texts)


def _settings(project: Project) -> Mapping[str, object]:
    return _mapping(project.experimental.get("memory"))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
