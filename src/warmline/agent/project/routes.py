"""Reads and checks `chat/handoff_routes.yaml`, a Warmline extension: which handoff goes to which contact centre.

One row per destination, and one for `default`, which takes every destination without a row of its own
(agent-project.md §7.3).
"""

from collections.abc import Iterator

from warmline.agent.project.model import HandoffRoute, Problem, Project, Severity
from warmline.agent.project.yaml_files import Fields, Problems
from warmline.agent.turn.returns import INTEGRATIONS
from warmline.domain.turn import CLIENT

FILE = "chat/handoff_routes.yaml"
DEFAULT = "default"
"""The destination of the row that takes what no other row takes."""
OPTIONS = {"webex_integration": frozenset({"global_variables", "flow_settings", "origin_name", "brief", "connection"})}
"""What the objects under `text_chat` may hold, for the integrations of which that is known (webex-byoc.md §4)."""
CLIENT_OPTIONS = frozenset({"queue_name"})
"""What the customer's own app is told beside the destination (messaging-protocol.md §8.2)."""
_KEYS = ("destination", "integration", "connection", "options")


def handoff_routes(fields: Fields, problems: Problems) -> dict[str, HandoffRoute]:
    """Read the rows, by destination; the default row is under `default`, however it is written."""
    found: dict[str, HandoffRoute] = {}
    for row in fields.children("routes"):
        destination = row.text("destination", required=True).value
        if destination.lower() == DEFAULT:
            destination = DEFAULT
        integration = row.text("integration").value
        if integration and integration not in INTEGRATIONS:
            problems.error(
                "unknown-integration",
                f"`{integration}` is no integration; the row is left out.",
                fields.file,
                row.line("integration"),
                f"Use one of {', '.join(sorted(INTEGRATIONS))}.",
            )
            continue
        for key in row.values:
            if key not in _KEYS:
                problems.error(
                    "unknown-key",
                    f"`{key}` is no part of a route and has no effect.",
                    fields.file,
                    row.line(key),
                    f"Known are {', '.join(_KEYS)}; what the contact centre wants belongs under `options`.",
                )
        if destination in found:
            problems.error(
                "duplicate-route",
                f"`{destination}` has a row already; this one is left out.",
                fields.file,
                row.line("destination"),
                "Keep one of them.",
            )
        elif destination:
            found[destination] = HandoffRoute(
                destination=destination,
                line=row.line("destination"),
                integration=integration or None,
                connection=row.text("connection").value,
                options=row.child("options").values,
            )
    return found


def check_routes(project: Project) -> Iterator[Problem]:
    """Give what is wrong between the routes and the handoffs of a project."""
    routes = project.handoff_routes
    for route in routes.values():
        if project.handoffs and route.destination not in {*project.handoffs, DEFAULT}:
            yield _warning(
                "unknown-handoff",
                f"There is no handoff `{route.destination}` in config/handoffs.yaml.",
                route.line,
                "Add it there, so that prompts can name it, or correct the name. Functions reach the row all the same.",
            )
        yield from _check_client(route)
        by_client = route.connection == CLIENT
        known = CLIENT_OPTIONS if by_client else OPTIONS.get(route.integration or "", frozenset(route.options))
        for option in sorted(set(route.options) - known):
            reader = "the customer's own app" if by_client else f"`{route.integration}`"
            yield _warning(
                "unknown-option",
                f"`{option}` means nothing to {reader} and has no effect.",
                route.line,
                f"Known are {', '.join(sorted(known))}.",
            )
        if not (route.integration or route.connection or route.options):
            yield _warning(
                "empty-route",
                f"The row `{route.destination}` says nothing about where to go.",
                route.line,
                "Give it an `integration`, a `connection` or `options`.",
            )
    if routes and DEFAULT not in routes:
        yield _warning(
            "no-default-route",
            "There is no row for `default`; destinations without a row go to the oldest connection that works.",
            1,
            "Add a row with `destination: default`.",
        )


def _check_client(route: HandoffRoute) -> Iterator[Problem]:
    if route.connection == CLIENT and route.integration:
        yield _warning(
            "client-integration",
            f"`connection: {CLIENT}` leaves the handoff to the customer's own app; no contact centre has part in it.",
            route.line,
            f"Remove `integration`, or name a connection of `{route.integration}`.",
        )
    elif route.connection.lower() == CLIENT != route.connection:
        yield _warning(
            "client-spelling",
            f"`{route.connection}` is looked for among the connections; it does not mean the customer's own app.",
            route.line,
            f"Write `connection: {CLIENT}` to leave the handoff to the app.",
        )


def _warning(rule: str, text: str, line: int, remedy: str) -> Problem:
    return Problem(rule=rule, text=text, remedy=remedy, file=FILE, line=line, severity=Severity.WARNING)
