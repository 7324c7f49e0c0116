"""Every further rule of `warmline check`, each on the smallest project that breaks it, with file and line."""

from pathlib import Path

import pytest

from support.agent_projects import EXAMPLES, function_file, topic_file, write_project
from support.flow_projects import default_step_file, flow_file, flow_function, step_file
from warmline.agent.brains.topics.abilities import needs_model
from warmline.agent.project.checker import check_project
from warmline.agent.project.loader import load_project
from warmline.agent.project.model import Severity
from warmline.agent.project.names import clean_name
from warmline.agent.project.routes import OPTIONS
from warmline.handoff.providers.webex.mapping import OPTIONS as WEBEX_OPTIONS

FLOW = {
    "flows/one/flow_config.yaml": flow_file("one", "Ask"),
    "flows/one/steps/ask.yaml": step_file("Ask", "Ask."),
}
SMS = "sms/configuration.yaml"
API = """api_integrations:
  - name: shop
    environments: {live: {base_url: "https://shop.lumen-energy.com"}}
    operations:
"""
DATE = "entities: [{name: day, description: Day, entity_type: date, config: {relative_date: true}}]\n"


def entity(kind: str, config: str) -> dict[str, str]:
    text = f"entities:\n  - name: x\n    description: d\n    entity_type: {kind}\n    config: {{{config}}}\n"
    return {"config/entities.yaml": text}


def found(root: Path, files: dict[str, str]) -> list[tuple[str, str, int, str]]:
    """Give what the checker says of a project, as (severity, file, line, rule)."""
    problems = check_project(load_project(write_project(root, files)))
    for problem in problems:
        assert problem.remedy, problem
    return [(p.severity.value, p.file, p.line, p.rule) for p in problems]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"config/entities.yaml": "entitys: []\n"}, ("warning", "config/entities.yaml", 1, "unknown-key")),
        ({SMS: "greting: {}\n"}, ("warning", SMS, 1, "unknown-key")),
        ({SMS: "greeting:\n  welcome_message: Off\n"}, ("warning", SMS, 2, "truth-value")),
        (
            {"topics/x.yaml": topic_file("x", "a").replace("name: 'x'", "name: On")},
            ("warning", "topics/x.yaml", 1, "truth-value"),
        ),
        (
            {"topics/x.yaml": "name: x\ncontent: c\nexample_queries:\n  - what\n  - no\n"},
            ("warning", "topics/x.yaml", 5, "truth-value"),
        ),
        ({SMS: "sentences:\n  joined: Hi\n  quued: x\n"}, ("error", SMS, 3, "texting-rules")),
        ({SMS: "sentences:\n  joined: no\n"}, ("error", SMS, 2, "texting-rules")),
        ({SMS: "inactivity:\n  after_hours: many\n"}, ("error", SMS, 2, "texting-rules")),
        ({SMS: "numbers:\n  +14155550199:\n    inactivity: {grace_minutes: 0}\n"}, ("error", SMS, 3, "texting-rules")),
        ({SMS: "numbers:\n  '+1':\n    sentenses: {}\n"}, ("warning", SMS, 3, "unknown-key")),
        (
            {"config/api_integrations.yaml": API + "      - {name: my orders, method: GET, resource: /x}\n"},
            ("error", "config/api_integrations.yaml", 5, "api-operation"),
        ),
        (
            {"topics/x.yaml": topic_file("x", "a") + "exampel_queries: []\n"},
            ("warning", "topics/x.yaml", 6, "unknown-key"),
        ),
        (
            {**FLOW, "flows/one/steps/ask.yaml": step_file("Ask", "Ask.") + "promt: x\n"},
            ("warning", "flows/one/steps/ask.yaml", 5, "unknown-key"),
        ),
        (
            {**FLOW, "flows/one/steps/ask.yaml": step_file("Ask", "Ask.") + "llm: {reasoning_effort: huge}\n"},
            ("warning", "flows/one/steps/ask.yaml", 5, "unknown-value"),
        ),
        (
            {"agent_settings/personality.yaml": "adjectives:\n  Polite: true\n  Rude: true\n"},
            ("warning", "agent_settings/personality.yaml", 3, "unknown-key"),
        ),
        (
            {"agent_settings/personality.yaml": "adjectives:\n  Polite: true\n  Other: true\ncustom: x\n"},
            ("warning", "agent_settings/personality.yaml", 3, "personality"),
        ),
        ({"config/entity.yaml": "entities: []\n"}, ("warning", "config/entity.yaml", 1, "unknown-file")),
        (
            {"config/mcp.yaml": "mcp_servers:\n  - provider_id: books\n    url: https://example.com\n"},
            ("warning", "config/mcp.yaml", 2, "not-supported"),
        ),
        (
            {"voice/speech_recognition/asr_settings.yaml": "barge_in: true\ninteraction_style: rude\n"},
            ("warning", "voice/speech_recognition/asr_settings.yaml", 2, "unknown-value"),
        ),
        (
            {"voice/response_control/pronunciations.yaml": "a: [\n"},
            ("error", "voice/response_control/pronunciations.yaml", 2, "yaml-syntax"),
        ),
        (
            {"child_topics/north/x.yaml": topic_file("x", "a")},
            ("error", "child_topics/north", 1, "unknown-variant"),
        ),
        (
            {
                "config/variant_attributes.yaml": "variants: [{name: a, is_default: true}]\nattributes:\n"
                "  - name: seats\n    kind: number\n    values: {a: many}\n"
            },
            ("error", "config/variant_attributes.yaml", 5, "attribute-kind"),
        ),
        (
            {
                "config/variant_attributes.yaml": "variants: [{name: a, is_default: true}]\nattributes:\n"
                "  - name: seats\n    values: {a: x, b: y}\n"
            },
            ("warning", "config/variant_attributes.yaml", 4, "unknown-variant"),
        ),
        (entity("numeric", "min: 5, max: 2"), ("error", "config/entities.yaml", 2, "entity-config")),
        (entity("numeric", "has_decimal: maybe"), ("error", "config/entities.yaml", 2, "entity-config")),
        (entity("numeric", "min: few"), ("error", "config/entities.yaml", 2, "entity-config")),
        (
            entity("phone_number", "country_codes: [gb, UK]"),
            ("error", "config/entities.yaml", 2, "entity-config"),
        ),
        (entity("enum", ""), ("error", "config/entities.yaml", 2, "entity-config")),
        (entity("enum", "options: [Yes, No]"), ("error", "config/entities.yaml", 2, "entity-config")),
        (entity("alphanumeric", "regular_expression: '('"), ("error", "config/entities.yaml", 2, "entity-config")),
        (entity("phone_number", "country_codes: [Germany]"), ("error", "config/entities.yaml", 2, "entity-config")),
        (entity("time", "start_time: nine"), ("error", "config/entities.yaml", 2, "entity-config")),
        (entity("colour", ""), ("error", "config/entities.yaml", 4, "entity-type")),
        (
            {"config/sms_templates.yaml": f"sms_templates:\n  - name: t\n    text: {'x' * 501}\n"},
            ("warning", "config/sms_templates.yaml", 3, "template-length"),
        ),
        (
            {
                "config/sms_templates.yaml": "sms_templates:\n  - name: t\n    text: x\n"
                "    env_phone_numbers: {live: call us}\n"
            },
            ("error", "config/sms_templates.yaml", 3, "template-number"),
        ),
        (
            {"agent_settings/languages.yaml": "default_language: English please\n"},
            ("error", "agent_settings/languages.yaml", 1, "language"),
        ),
        (
            {
                "agent_settings/languages.yaml": "default_language: en-GB\n",
                "config/translations.yaml": "translations: [{name: hi, translations: {en-GB: Hi, de-DE: Hallo}}]\n",
            },
            ("warning", "config/translations.yaml", 1, "extra-translation"),
        ),
        (
            {
                "voice/response_control/phrase_filtering.yaml": "phrase_filtering:\n"
                "  - name: f\n    regular_expressions: [x]\n    function: nowhere\n"
            },
            ("error", "voice/response_control/phrase_filtering.yaml", 2, "dangling-reference"),
        ),
        (
            {"agent_settings/experimental_config.json": '{"ragdoll": {"top_k": "many"}}'},
            ("error", "agent_settings/experimental_config.json", 1, "wrong-type"),
        ),
        (
            {"agent_settings/experimental_config.json": '{"ragdoll": {"qa_metric_exclusions": ["gone"]}}'},
            ("warning", "agent_settings/experimental_config.json", 1, "unknown-topic"),
        ),
        (
            {"agent_settings/experimental_config.json": '{"llm": {"flow_overrides": {"gone": {}}}}'},
            ("warning", "agent_settings/experimental_config.json", 1, "unknown-flow"),
        ),
        (
            {"agent_settings/experimental_config.json": '{"prompts": {"context_information": "x"}}'},
            ("error", "agent_settings/experimental_config.json", 1, "missing-placeholder"),
        ),
        (
            {
                "topics/x.yaml": topic_file("x", "a", content="Then {{fn:f}}."),
                "functions/f.py": function_file("f", "return None"),
            },
            ("warning", "topics/x.yaml", 3, "content-function"),
        ),
        (
            {"agent_settings/rules.txt": "One.\nUse {{function:f}}.\n"},
            ("warning", "agent_settings/rules.txt", 2, "malformed-reference"),
        ),
        (
            {"agent_settings/rules.txt": "<channel:sms>Short.\n"},
            ("warning", "agent_settings/rules.txt", 1, "unbalanced-block"),
        ),
        (
            {
                "functions/f.py": function_file(
                    "f", 'return {"handoff": {"text_chat": {"webex_integration": {"queue": "a", "brief": "b"}}}}'
                )
            },
            ("warning", "functions/f.py", 6, "unknown-option"),
        ),
        (
            {**FLOW, "flows/one/flow_config.yaml": "name: one\nstart_step: Ask\n"},
            ("warning", "flows/one/flow_config.yaml", 1, "no-description"),
        ),
        (
            {
                **FLOW,
                "flows/two/flow_config.yaml": flow_file("one", "Ask"),
                "flows/two/steps/ask.yaml": FLOW["flows/one/steps/ask.yaml"],
            },
            ("error", "flows/two/flow_config.yaml", 1, "duplicate-flow"),
        ),
        (
            {**FLOW, "flows/one/steps/other.yaml": step_file("Ask", "Again.")},
            ("error", "flows/one/steps/other.yaml", 1, "duplicate-step"),
        ),
        (
            {**FLOW, "flows/one/steps/ask.yaml": step_file("Ask", "Ask.").replace("advanced", "clever")},
            ("error", "flows/one/steps/ask.yaml", 1, "step-type"),
        ),
        (
            {**FLOW, "flows/one/steps/ask.yaml": step_file("Ask", "Ask.") + "extracted_entities: [day]\n"},
            ("warning", "flows/one/steps/ask.yaml", 2, "ignored-conditions"),
        ),
        (
            {**FLOW, "flows/one/steps/ask.yaml": default_step_file("Ask", "Ask.", "nothing", "done: nothing")},
            ("error", "flows/one/steps/ask.yaml", 2, "unknown-entity"),
        ),
        (
            {**FLOW, "flows/one/steps/ask.yaml": "step_type: default_step\nname: Ask\nprompt: Ask.\n"},
            ("warning", "flows/one/steps/ask.yaml", 2, "no-way-out"),
        ),
        (
            {
                **FLOW,
                "config/entities.yaml": DATE,
                "flows/one/steps/ask.yaml": default_step_file("Ask", "Ask.", "", "done: day"),
            },
            ("warning", "flows/one/steps/ask.yaml", 6, "entity-not-collected"),
        ),
        (
            {
                **FLOW,
                "config/entities.yaml": DATE,
                "flows/one/steps/ask.yaml": default_step_file("Ask", "Ask.", "day", "done: day", "done"),
            },
            ("error", "flows/one/steps/ask.yaml", 2, "duplicate-condition"),
        ),
        (
            {**FLOW, "flows/one/steps/ask.yaml": default_step_file("Ask", "Ask.", "", "y" * 51)},
            ("warning", "flows/one/steps/ask.yaml", 6, "condition-name"),
        ),
        (
            {**FLOW, "flows/one/functions/go.py": flow_function("go", 'flow.goto_step("ask")')},
            ("error", "flows/one/functions/go.py", 6, "unknown-step"),
        ),
        (
            {
                **FLOW,
                "functions/go.py": function_file(
                    "go", 'return {"transition": {"goto_flow": "one", "goto_step": "Nowhere"}}'
                ),
            },
            ("error", "functions/go.py", 6, "unknown-step"),
        ),
        (
            {**FLOW, "functions/go.py": function_file("go", 'return {"transition": {"goto_flow": "One"}}')},
            ("error", "functions/go.py", 6, "unknown-flow"),
        ),
        (
            {
                **FLOW,
                "flows/one/steps/ask.yaml": step_file("Ask", "Call {{ft:go}}."),
                "flows/one/functions/go.py": "def",
            },
            ("error", "flows/one/steps/ask.yaml", 4, "dangling-reference"),
        ),
        ({"topics/x.yaml": "<<<<<<< ours\nname: x\n"}, ("error", "topics/x.yaml", 1, "merge-conflict")),
        ({**FLOW, "flows/one/steps/b.yaml": ">>>>>>> b\n"}, ("error", "flows/one/steps/b.yaml", 1, "merge-conflict")),
    ],
)
def test_C08_each_mistake_is_found_where_it_stands(
    tmp_path: Path, files: dict[str, str], problem: tuple[str, str, int, str]
) -> None:
    assert problem in found(tmp_path, files)


def test_a_sound_project_of_flows_has_no_problem(tmp_path: Path) -> None:
    files = {
        "config/entities.yaml": DATE,
        "flows/order_flow_v2/flow_config.yaml": flow_file("order flow (V2)", "entry"),
        "flows/order_flow_v2/function_steps/entry.py": flow_function("entry", 'flow.goto_step("Day")', step=True),
        "flows/order_flow_v2/steps/day.yaml": default_step_file(
            "Day", "Which day?", "day", "Given -> Confirm: day", "Refused -> entry"
        ),
        "flows/order_flow_v2/steps/confirm.yaml": step_file("Confirm", "Confirm it, then call {{ft:finish}}."),
        "flows/order_flow_v2/functions/finish.py": flow_function(
            "finish", 'return {"transition": {"exit_flow": True}, "content": "Done."}'
        ),
        "functions/begin.py": function_file(
            "begin", 'return {"transition": {"goto_flow": "order flow (V2)", "goto_step": "Day"}}'
        ),
        "topics/order.yaml": topic_file("order", "I want to order", actions="Call {{fn:begin}}."),
    }
    assert found(tmp_path, files) == []


@pytest.mark.parametrize("root", sorted(EXAMPLES.iterdir()), ids=lambda root: root.name)
def test_C01_sample_projects_load_whole_and_without_a_problem(root: Path) -> None:
    """The five projects that the check names are not at hand; these have the same shape."""

    def count(pattern: str) -> int:
        return len([path for path in root.glob(pattern) if path.name != "__init__.py"])

    project = load_project(root)
    assert [str(problem) for problem in check_project(project)] == []
    assert len(project.topics) == count("topics/*.yaml") + count("child_topics/*/*.yaml")
    assert len(project.flows) == count("flows/*/flow_config.yaml")
    assert sum(len(flow.steps) for flow in project.flows) == count("flows/*/steps/*.yaml")
    assert sum(len(flow.function_steps) for flow in project.flows) == count("flows/*/function_steps/*.py")
    assert sum(len(flow.functions) for flow in project.flows) == count("flows/*/functions/*.py")
    special = [project.start_function, project.end_function]
    assert len(project.functions) + sum(one is not None for one in special) == count("functions/*.py")


def test_C07_a_flow_may_start_with_a_function_step(tmp_path: Path) -> None:
    files = {
        "flows/idnv/flow_config.yaml": flow_file("IDNV", "idnv_entry"),
        "flows/idnv/function_steps/idnv_entry.py": flow_function("idnv_entry", "conv.exit_flow()", step=True),
    }
    assert found(tmp_path, files) == []
    (flow,) = load_project(tmp_path).flows
    start = flow.find("idnv_entry")
    assert start is flow.function_steps["idnv_entry"]


def test_C03_the_name_inside_a_file_is_the_identity(tmp_path: Path) -> None:
    files = {
        "flows/order_management_flow_v2/flow_config.yaml": flow_file("order management flow (V2)", "Start step"),
        "flows/order_management_flow_v2/steps/start_step.yaml": step_file("Start step", "Say hi."),
        "topics/opening_hours.yaml": topic_file("Opening hours?", "when"),
    }
    project = load_project(write_project(tmp_path, files))
    flow = project.flow("order management flow (V2)")
    assert flow is not None
    assert flow.folder == "order_management_flow_v2"
    assert flow.find("Start step") is flow.steps[0]
    assert flow.find("start_step") is None
    assert [topic.name for topic in project.topics] == ["Opening hours?"]
    assert project.flow("order_management_flow_v2") is None


def test_C04_names_become_file_names() -> None:
    names = {"SMS flow": "sms_flow", "order management flow (V2)": "order_management_flow_v2", "a--b": "a_b"}
    assert {name: clean_name(name) for name in names} == names


def test_C02_generated_files_of_the_project_are_never_read(tmp_path: Path) -> None:
    files = {"_gen/__init__.py": "def broken(", "_gen/types.py": "raise RuntimeError", **FLOW}
    assert found(tmp_path, files) == []


def test_C05_an_almost_empty_project_is_no_error(tmp_path: Path) -> None:
    assert found(tmp_path, {}) == []
    assert load_project(tmp_path).usable


def test_nothing_of_a_project_runs_while_it_is_checked(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    body = f'open({str(mark)!r}, "w").close()\n'
    files = {
        **FLOW,
        "functions/f.py": body + function_file("f", "return None"),
        "flows/one/functions/t.py": body + flow_function("t", "return None"),
        "flows/one/function_steps/s.py": body + flow_function("s", "return None", step=True),
    }
    check_project(load_project(write_project(tmp_path, files)))
    assert not mark.exists()


def test_the_second_generation_of_the_format(tmp_path: Path) -> None:
    files = {
        "agent_settings/persona.txt": "You are the voice of {{attr:site}}.\n",
        "agent_settings/role.yaml": "value: Receptionist\n",
        "agent_settings/guardrails.yaml": "platform_guardrails: [{name: ai_identity, enabled: false}]\n",
        "config/variant_attributes.yaml": """
            variants: [{name: North Wing, is_default: true}, {name: b}]
            attributes:
              - {name: site, values: {North Wing: Ely, b: York}}
              - {name: seats, kind: number, values: {North Wing: 12, b: ""}}
              - {name: open, kind: boolean, values: {North Wing: true, b: false}}
              - {name: size, kind: enum, config: {values: [s, l]}, values: {North Wing: s, b: l}}
              - {name: desk, kind: object, values: {North Wing: {floor: 2}, b: "{}"}}
        """,
        "child_topics/north_wing/hours.yaml": topic_file("hours", "when are you open", content="Always."),
        "topics/hours.yaml": topic_file("hours", "when are you open", content="From nine.") + "tags: [times]\n",
        "flows/f/flow_config.yaml": flow_file("f", "entry"),
        "flows/f/function_steps/entry.py": flow_function("entry", "conv.exit_flow()", step=True),
    }
    assert found(tmp_path, files) == []
    project = load_project(tmp_path)
    assert project.persona.value == "You are the voice of {{attr:site}}."
    assert [(topic.variant, topic.content.value) for topic in project.topics] == [
        ("", "From nine."),
        ("North Wing", "Always."),
    ]
    assert project.variants["b"] == {"site": "York", "open": "false", "size": "l", "desk": "{}"}
    assert project.variants["North Wing"]["desk"] == '{"floor": "2"}'


def test_a_broken_file_takes_nothing_else_with_it(tmp_path: Path) -> None:
    files = {
        **FLOW,
        "flows/one/functions/broken.py": "def broken(:\n",
        "flows/one/function_steps/gone.py": "x = 1\n",
        "flows/one/steps/wrong.yaml": "name: [\n",
        "topics/wrong.yaml": "- a list\n",
        "topics/right.yaml": topic_file("right", "is it", content="Yes."),
        "config/entities.yaml": "entities: 5\n",
        "agent_settings/experimental_config.json": "{",
    }
    problems = {(file, rule) for _, file, _, rule in found(tmp_path, files)}
    assert problems == {
        ("flows/one/functions/broken.py", "python-syntax"),
        ("flows/one/function_steps/gone.py", "no-main-function"),
        ("flows/one/steps/wrong.yaml", "yaml-syntax"),
        ("topics/wrong.yaml", "wrong-type"),
        ("config/entities.yaml", "wrong-type"),
        ("agent_settings/experimental_config.json", "json-syntax"),
    }
    project = load_project(tmp_path)
    assert [topic.name for topic in project.topics] == ["right"]
    assert [step.name for step in project.flows[0].steps] == ["Ask"]
    assert set(project.flows[0].broken_functions) == {"broken", "gone"}


def test_steps_that_need_a_model_are_listed(tmp_path: Path) -> None:
    files = {
        "flows/f/flow_config.yaml": flow_file("f", "Plain"),
        "flows/f/steps/plain.yaml": step_file("Plain", 'Say "Hello." Then call {{ft:go}}.'),
        "flows/f/steps/vague.yaml": step_file("Vague", "Be there for the customer."),
        "flows/f/steps/once.yaml": step_file("Once", 'Say "Hi."\nIf the weather is bad, call {{ft:go}}.'),
        "flows/f/functions/go.py": flow_function("go", "conv.exit_flow()"),
    }
    problems = list(needs_model(load_project(write_project(tmp_path, files))))
    assert [(p.file, p.line, p.rule, p.severity) for p in problems] == [
        ("flows/f/steps/once.yaml", 5, "needs-model", Severity.WARNING),
        ("flows/f/steps/vague.yaml", 4, "needs-model", Severity.WARNING),
    ]


def test_the_known_options_of_a_handoff_are_those_of_the_provider() -> None:
    assert OPTIONS["webex_integration"] == WEBEX_OPTIONS
