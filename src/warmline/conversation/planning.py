"""From a wish for a human to the connection that gets the conversation."""

from warmline.domain.commands import HandoffPlan
from warmline.domain.events import OnFailure
from warmline.domain.turn import Finding, HandoffRequest
from warmline.handoff.registry import NoConnection, Registry
from warmline.ports import Connection, Ids, StoredSession

_QUEUE_TIMEOUT_S = 900


class HandoffPlanner:
    """Resolves handoff requests against the running connections (implements `turns.Planner`)."""

    def __init__(self, registry: Registry, ids: Ids) -> None:
        self._registry = registry
        self._ids = ids

    def __call__(self, stored: StoredSession, request: HandoffRequest) -> HandoffPlan | Finding:
        """Plan a handoff, or return the finding that says what the operator must do."""
        try:
            connection = self._connection(stored.info.project_id, request)
        except NoConnection as error:
            return Finding(rule=f"handoff_{error.code}", text=str(error), file=request.file, line=request.line)
        values = connection.values
        provider = self._registry.get(connection.id)
        return HandoffPlan(
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

    def _connection(self, project_id: str, request: HandoffRequest) -> Connection:
        name = request.options.get("connection")
        if request.integration is not None:
            return self._registry.find(project_id, request.integration, name=str(name or ""))
        ours = [c for c in self._registry.connections() if c.project_id == project_id]
        fitting = [c for c in ours if request.destination and request.destination.lower() == c.name.lower()] or ours
        if not fitting:
            raise NoConnection("not_connected", "no contact centre is connected for this project")
        return min(fitting, key=lambda c: (c.state != "connected", c.created_at, c.id))
