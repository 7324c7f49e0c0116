"""Where a wish for a human goes: every form of it is looked up in the project's one routing table."""

from dataclasses import replace

from warmline.agent.project.model import HandoffRoute, Project
from warmline.agent.project.routes import DEFAULT
from warmline.domain.turn import Finding, HandoffRequest


def route_handoff(project: Project, request: HandoffRequest) -> tuple[HandoffRequest, tuple[Finding, ...]]:
    """Complete `request` by the row of its destination (agent-project.md §7.3).

    A destination that neither `config/handoffs.yaml` nor `chat/handoff_routes.yaml` knows is replaced by the default
    handoff and takes the default row, which is reported. What the request says itself, such as the
    integration under `text_chat` and its options, wins over the row.

    Returns:
        The completed request, and what the operator must know.
    """
    destination, known = _destination(project, request.destination)
    findings: tuple[Finding, ...] = ()
    if not known:
        text = f"There is no handoff `{request.destination}`; `{destination or DEFAULT}` is used."
        findings = (Finding(rule="unknown-handoff", text=text, file=request.file, line=request.line),)
    route = project.handoff_routes.get(destination) or project.handoff_routes.get(DEFAULT)
    # What a row knows of one contact centre means nothing to another.
    if route is not None and request.integration not in (None, route.integration) and route.integration:
        route = None
    return _completed(request, destination, route), findings


def _destination(project: Project, wanted: str) -> tuple[str, bool]:
    """Give the destination to use, and whether `wanted` was known."""
    handoffs, routes = project.handoffs, project.handoff_routes
    default = next((handoff.name for handoff in handoffs.values() if handoff.is_default), "")
    if wanted in handoffs or (wanted in routes and wanted != DEFAULT):
        return wanted, True
    if wanted.lower() in ("", DEFAULT):
        return default or wanted, True
    if not handoffs and not routes:
        return wanted, True
    return default or wanted, False


def _completed(request: HandoffRequest, destination: str, route: HandoffRoute | None) -> HandoffRequest:
    if request.integration is not None and not request.destination:
        # A function that names the contact centre itself need not name a destination.
        destination = ""
    if route is None:
        return replace(request, destination=destination)
    return replace(
        request,
        destination=destination,
        integration=request.integration or route.integration,
        connection=route.connection,
        options={**route.options, **request.options},
    )
