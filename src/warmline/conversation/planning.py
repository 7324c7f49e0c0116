"""From a wish for a human to the connection that gets the conversation."""

from dataclasses import dataclass

from warmline.domain.commands import HandoffPlan
from warmline.domain.events import OnFailure
from warmline.domain.turn import CLIENT, Finding, HandoffRequest
from warmline.handoff.registry import NoConnection, Registry
from warmline.ports import Connection, Ids, StoredSession

_QUEUE_TIMEOUT_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, None when there is nowhere to go, and what the operator must know of it."""

    plan: HandoffPlan | None
    findings: tuple[Finding, ...] = ()


class HandoffPlanner:
    """Finds the running connection for routed handoff requests (implements `turns.Planner`)."""

    def __init__(self, registry: Registry, ids: Ids) -> None:
        self._registry = registry
        self._ids = ids

    def __call__(self, stored: StoredSession, request: HandoffRequest) -> Planned:
        """Plan a session's handoff."""
        return self.plan(stored.info.project_id, request)

    def plan(self, project_id: str, request: HandoffRequest) -> Planned:
        """Plan a handoff. A connection that only the route prefers is no condition: others take its place."""
        findings: tuple[Finding, ...] = ()
        named = str(request.options.get("connection") or "")
        if (named or request.connection) == CLIENT:
            return Planned(plan=self._by_client(request))
        try:
            try:
                connection = self._connection(project_id, request, named or request.connection)
            except NoConnection as error:
                if named or not request.connection:
                    raise
                connection = self._connection(project_id, request, "")
                findings = (_finding(error, request),)
        except NoConnection as error:
            return Planned(plan=None, findings=(_finding(error, request),))
        values = connection.values
        provider = self._registry.get(connection.id)
        plan = HandoffPlan(
            handoff_id=self._ids.uuid(),
            connection_id=connection.id,
            provider=connection.provider,
            queue_timeout_s=int(values.get("queue_timeout_s") or _QUEUE_TIMEOUT_S),
            on_failure=OnFailure(values.get("on_failure") or OnFailure.RESUME.value),
            return_after_live=values.get("return_after_live") == "true",
            reason=request.reason,
            destination=request.destination,
            options=dict(request.options) or None,
            files=provider.limits.files if provider is not None else None,
        )
        return Planned(plan=plan, findings=findings)

    def _by_client(self, request: HandoffRequest) -> HandoffPlan:
        return HandoffPlan(
            handoff_id=self._ids.uuid(),
            connection_id="",
            provider=CLIENT,
            queue_timeout_s=0,
            reason=request.reason,
            destination=request.destination,
            options=dict(request.options) or None,
            by_client=True,
        )

    def _connection(self, project_id: str, request: HandoffRequest, name: str) -> Connection:
        if request.integration is not None:
            return self._registry.find(project_id, request.integration, name=name)
        ours = [c for c in self._registry.connections() if c.project_id == project_id]
        if name:
            ours = [c for c in ours if name in (c.name, c.id)]
        if not ours:
            which = f" named {name}" if name else ""
            raise NoConnection("not_connected", f"no contact centre{which} is connected for this project")
        return min(ours, key=lambda c: (c.state != "connected", c.created_at, c.id))


def _finding(error: NoConnection, request: HandoffRequest) -> Finding:
    return Finding(rule=f"handoff_{error.code}", text=str(error), file=request.file, line=request.line)
