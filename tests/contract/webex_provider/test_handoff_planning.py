"""From a routed wish for a human to one of the project's connections."""

from dataclasses import replace

import pytest

from support.scripted_http import ScriptedServer
from warmline.conversation.planning import HandoffPlanner, Planned
from warmline.domain.session import Session
from warmline.domain.turn import HandoffRequest
from warmline.handoff.registry import Registry
from warmline.ports import SessionInfo, Store, StoredSession
from warmline.system import SystemIds

from .conftest import connection_to

LUMEN = SessionInfo(connector_id="c", project_id="lumen", subject="s")
WEBEX = HandoffRequest(integration="webex_integration", destination="Billing", reason="wrong bill")


async def plan(
    store: Store, registry: Registry, scripted: ScriptedServer, request: HandoffRequest, info: SessionInfo = LUMEN
) -> Planned:
    """Plan for an installation with two connections of project `lumen`, the older one first."""
    for age, name in enumerate(("Main", "Head office")):
        await store.save_connection(replace(connection_to(scripted.url), id=f"id-{age}", name=name, created_at=age))
    await registry.start()
    session = StoredSession(session=Session(id="session"), info=info, created_at=0, updated_at=0)
    return HandoffPlanner(registry, SystemIds())(session, request)


@pytest.mark.parametrize(
    ("connection", "expected", "reported"),
    [
        ("", "id-0", []),
        ("Head office", "id-1", []),
        ("id-1", "id-1", []),
        ("Closed branch", "id-0", ["handoff_not_connected"]),
    ],
)
@pytest.mark.parametrize("integration", ["webex_integration", None])
async def test_C73_a_connection_that_the_route_prefers_is_taken_if_there_is_one(
    store: Store,
    registry: Registry,
    scripted: ScriptedServer,
    integration: str | None,
    connection: str,
    expected: str,
    reported: list[str],
) -> None:
    planned = await plan(store, registry, scripted, replace(WEBEX, integration=integration, connection=connection))
    assert planned.plan is not None
    assert (planned.plan.connection_id, planned.plan.destination) == (expected, "Billing")
    assert planned.plan.reason == "wrong bill"
    assert [finding.rule for finding in planned.findings] == reported


async def test_a_connection_that_the_function_itself_names_is_a_condition(
    store: Store, registry: Registry, scripted: ScriptedServer
) -> None:
    wanted = replace(WEBEX, connection="Main", options={"connection": "Head office"})
    planned = await plan(store, registry, scripted, wanted)
    assert planned.plan is not None
    assert planned.plan.connection_id == "id-1"
    planned = await plan(store, registry, scripted, replace(wanted, options={"connection": "Closed branch"}))
    assert planned.plan is None
    assert [finding.rule for finding in planned.findings] == ["handoff_not_connected"]


@pytest.mark.parametrize("integration", ["webex_integration", None])
async def test_C77_without_a_connection_there_is_no_plan_and_the_operator_learns_what_to_do(
    store: Store, registry: Registry, scripted: ScriptedServer, integration: str | None
) -> None:
    request = replace(WEBEX, integration=integration, file="functions/ask.py", line=6)
    planned = await plan(store, registry, scripted, request, replace(LUMEN, project_id="another"))
    assert planned.plan is None
    assert [(f.rule, f.file, f.line) for f in planned.findings] == [("handoff_not_connected", "functions/ask.py", 6)]


@pytest.mark.parametrize(
    "request_", [replace(WEBEX, connection="client"), replace(WEBEX, options={"connection": "client"})]
)
async def test_H2_a_route_may_leave_it_to_the_customers_own_app(
    store: Store, registry: Registry, scripted: ScriptedServer, request_: HandoffRequest
) -> None:
    planned = await plan(store, registry, scripted, request_)
    assert planned.plan is not None
    assert (planned.plan.by_client, planned.plan.connection_id, planned.plan.destination) == (True, "", "Billing")
    assert planned.findings == ()
