"""One table for all forms of a handoff: `chat/handoff_routes.yaml` (agent-project.md §7.3)."""

from pathlib import Path

import pytest

from support.agent_projects import Open, calling, rules, texts, topic_file, write_project
from warmline.agent.project.checker import check_project
from warmline.agent.project.loader import load_project
from warmline.agent.turn.returns import read_handoff
from warmline.agent.turn.routing import route_handoff
from warmline.domain.turn import CLIENT, HandoffRequest

HANDOFFS = """
    handoffs:
      - {name: General, description: Everything, is_default: true}
      - {name: Billing, description: Bills}
      - {name: Records, description: Papers}
"""
ROUTES = """
    routes:
      - destination: Billing
        integration: webex_integration
        connection: Head office
        options:
          global_variables: {queue: billing, tier: standard}
      - destination: DEFAULT
        integration: webex_integration
        options:
          global_variables: {queue: support}
"""
TABLE = {"config/handoffs.yaml": HANDOFFS, "chat/handoff_routes.yaml": ROUTES}
BILLING = {"global_variables": {"queue": "billing", "tier": "standard"}}
SUPPORT = {"global_variables": {"queue": "support"}}


def routed(root: Path, value: object, files: dict[str, str] = TABLE) -> tuple[HandoffRequest, list[str]]:
    """What becomes of the value under `handoff`, and the rules of what is reported."""
    request, ends = read_handoff(value)
    assert request is not None
    assert not ends
    request, findings = route_handoff(load_project(write_project(root, files)), request)
    return request, [finding.rule for finding in findings]


async def handoff(talk_to: Open, body: str, files: dict[str, str] = TABLE) -> tuple[HandoffRequest, list[str]]:
    """The same for a function with this body, in a conversation."""
    outcome = await talk_to({**calling(("use", body)), **files}).say("please run use now")
    assert outcome.handoff is not None
    return outcome.handoff, rules(outcome)


async def test_C71_a_text_chat_takes_what_the_default_row_knows_of_its_contact_centre(talk_to: Open) -> None:
    body = 'return {"utterance": "One moment.", "handoff": {"text_chat": {"webex_integration": {}}}}'
    request, reported = await handoff(talk_to, body)
    assert (request.integration, request.destination, request.options) == ("webex_integration", "", SUPPORT)
    assert reported == []


def test_C71_what_the_function_says_wins_over_the_row(tmp_path: Path) -> None:
    own = {"global_variables": {"queue": "vip"}, "origin_name": "Guest"}
    value = {"type": "Billing", "reason": "wrong bill", "text_chat": {"webex_integration": own}}
    request, _ = routed(tmp_path, value)
    assert (request.destination, request.connection, request.reason) == ("Billing", "Head office", "wrong bill")
    assert request.options == own


def test_C71_a_row_for_another_contact_centre_says_nothing(tmp_path: Path) -> None:
    request, _ = routed(tmp_path, {"text_chat": {"genesys_integration": {}}})
    assert (request.integration, request.connection, request.options) == ("genesys_integration", "", {})


async def test_C72_call_handoff_takes_the_row_of_its_destination(talk_to: Open) -> None:
    request, reported = await handoff(talk_to, 'return conv.call_handoff("Billing", "wrong bill", "One moment.")')
    assert (request.destination, request.reason) == ("Billing", "wrong bill")
    assert (request.integration, request.connection) == ("webex_integration", "Head office")
    assert request.options == BILLING
    assert reported == []


async def test_C73_the_trace_tells_of_a_destination_that_nobody_knows(talk_to: Open) -> None:
    files = {**calling(("use", "conv.call_handoff('Nowhere')")), **TABLE}
    outcome = await talk_to(files).say("please run use now")
    assert [entry.data["rule"] for entry in outcome.trace if entry.kind == "error"] == ["unknown-handoff"]
    assert [(f.rule, f.file) for f in outcome.findings] == [("unknown-handoff", "functions/use.py")]


@pytest.mark.parametrize(
    ("destination", "expected", "options", "reported"),
    [
        ("Records", "Records", SUPPORT, []),
        ("default", "General", SUPPORT, []),
        ("DEFAULT", "General", SUPPORT, []),
        ("", "General", SUPPORT, []),
        ("Nowhere", "General", SUPPORT, ["unknown-handoff"]),
        ("billing", "General", SUPPORT, ["unknown-handoff"]),
    ],
)
def test_C73_destinations_without_a_row_take_the_default_row(
    tmp_path: Path, destination: str, expected: str, options: dict[str, object], reported: list[str]
) -> None:
    request, found = routed(tmp_path, {"type": destination, "refer": {}})
    assert (request.destination, request.integration, request.options) == (expected, "webex_integration", options)
    assert found == reported


@pytest.mark.parametrize("destination", ["default", "DEFAULT", "Anything"])
def test_C73_without_handoffs_and_routes_every_destination_is_any_contact_centre(
    tmp_path: Path, destination: str
) -> None:
    request, reported = routed(tmp_path, {"type": destination, "refer": {}}, {})
    assert (request.integration, request.connection, request.destination) == (None, "", destination)
    assert reported == []


@pytest.mark.parametrize(
    "form",
    [
        {"refer": {"phone_number": "+15550100"}},
        {"invite": {"phone_number": "+15550100", "outbound_caller_id": "+15550101"}},
        {"cxone": {"region": "na1", "signal": {"params": ["a"]}}},
        {"bye": {"sip_headers": {"X-Queue": "1"}}},
    ],
)
def test_C74_the_forms_of_telephony_take_the_row_of_their_type(tmp_path: Path, form: dict[str, object]) -> None:
    request, reported = routed(tmp_path, {"type": "Billing", "reason": "bill", **form})
    assert (request.destination, request.reason, request.integration) == ("Billing", "bill", "webex_integration")
    assert request.connection == "Head office"
    assert {key: request.options[key] for key in BILLING} == BILLING
    assert reported == []


async def test_C74_nothing_of_the_telephony_is_shown_and_a_bare_bye_ends(talk_to: Open) -> None:
    refer = 'return {"utterance": "One moment.", "handoff": {"type": "Billing", "refer": {"phone_number": "+1555"}}}'
    files = calling(("refer", refer), ("leave", 'return {"utterance": "Goodbye.", "handoff": {"bye": {}}}'))
    talk = talk_to({**files, **TABLE})
    assert texts(await talk.say("please run refer now")) == ["One moment."]
    outcome = await talk.say("please run leave now")
    assert (texts(outcome), outcome.handoff, outcome.end) == (["Goodbye."], None, True)


async def test_C75_what_a_project_does_differs_by_environment(talk_to: Open) -> None:
    body = (
        'if conv.env in ("sandbox", "draft"):\n'
        '    return {"utterance": "This is a rehearsal.", "hangup": True}\n'
        'return conv.call_handoff(destination="default", reason="SPEAK_TO", utterance="One moment.")'
    )
    files = calling(("use", body))
    rehearsal = await talk_to(files, environment="sandbox").say("please run use now")
    assert (texts(rehearsal), rehearsal.handoff, rehearsal.end) == (["This is a rehearsal."], None, True)
    real = await talk_to(files, environment="live").say("please run use now")
    assert (texts(real), real.end) == (["One moment."], False)
    assert real.handoff is not None
    assert (real.handoff.destination, real.handoff.reason) == ("default", "SPEAK_TO")


@pytest.mark.parametrize(("value", "destination"), [(True, "General"), ("Billing", "Billing")])
def test_C73_the_short_forms(tmp_path: Path, value: object, destination: str) -> None:
    request, _ = routed(tmp_path, value)
    assert (request.destination, request.integration) == (destination, "webex_integration")


async def test_C76_a_handoff_named_in_the_actions_takes_its_row(talk_to: Open) -> None:
    topic = topic_file("a", "my bill is wrong", actions="Transfer to {{ho:Billing}}.", content="One moment.")
    outcome = await talk_to({"topics/a.yaml": topic, **TABLE}).say("my bill is wrong")
    assert texts(outcome) == ["One moment."]
    assert outcome.handoff is not None
    assert (outcome.handoff.destination, outcome.handoff.options) == ("Billing", BILLING)


async def test_C78_a_handoff_that_passed_through_the_state_takes_its_row(talk_to: Open) -> None:
    files = calling(
        ("store", 'conv.state.later = {"utterance": "Now.", "handoff": {"type": "Billing", "refer": {}}}'),
        ("use", "return conv.state.later"),
    )
    talk = talk_to({**files, **TABLE})
    await talk.say("please run store now")
    outcome = await talk.say("please run use now")
    assert texts(outcome) == ["Now."]
    assert outcome.handoff is not None
    assert (outcome.handoff.destination, outcome.handoff.options) == ("Billing", BILLING)


def found(root: Path, routes: str) -> list[tuple[int, str]]:
    files = {"config/handoffs.yaml": HANDOFFS, "chat/handoff_routes.yaml": routes}
    problems = check_project(load_project(write_project(root, files)))
    return [(p.line, p.rule) for p in problems if p.file == "chat/handoff_routes.yaml"]


def test_C08_the_checker_finds_rows_that_lead_nowhere(tmp_path: Path) -> None:
    routes = """
        routes:
          - destination: Biling
            integration: webex_integration
          - destination: Records
          - destination: Billing
            integration: webx_integration
          - destination: Records
            integration: webex_integration
          - destination: default
            integration: webex_integration
            queue: support
          - integration: webex_integration
          - destination: General
            integration: webex_integration
            options: {queue: support, brief: Hello}
    """
    assert found(tmp_path, routes) == [
        (2, "unknown-handoff"),
        (4, "empty-route"),
        (6, "unknown-integration"),
        (7, "duplicate-route"),
        (11, "unknown-key"),
        (12, "missing-key"),
        (13, "unknown-option"),
    ]


def test_C08_rows_that_leave_the_handoff_to_the_customers_app_are_known(tmp_path: Path) -> None:
    routes = """
        routes:
          - destination: Billing
            connection: client
            options: {queue_name: Bills}
          - destination: Records
            connection: client
            options: {brief: Hello}
          - destination: General
            connection: Client
          - destination: default
            integration: webex_integration
            connection: client
    """
    assert found(tmp_path, routes) == [(5, "unknown-option"), (8, "client-spelling"), (10, "client-integration")]


def test_C71_a_row_may_leave_the_handoff_to_the_customers_app(tmp_path: Path) -> None:
    routes = "routes:\n  - {destination: default, connection: client, options: {queue_name: Bills}}\n"
    files = {"config/handoffs.yaml": HANDOFFS, "chat/handoff_routes.yaml": routes}
    for value in ({"type": "Billing", "refer": {}}, {"text_chat": {"webex_integration": {}}}):
        request, reported = routed(tmp_path / str(len(value)), value, files)
        assert (request.connection, request.options, reported) == (CLIENT, {"queue_name": "Bills"}, [])


def test_C08_a_table_without_a_default_row_is_named(tmp_path: Path) -> None:
    routes = "routes:\n  - {destination: Billing, integration: webex_integration}\n"
    assert found(tmp_path, routes) == [(1, "no-default-route")]
