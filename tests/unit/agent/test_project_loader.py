"""Reading project folders (agent-project.md §1 to §4)."""

from pathlib import Path

import pytest

from support.agent_projects import LUMEN, function_file, topic_file, write_project
from warmline.agent.project.loader import fingerprint, load_project
from warmline.agent.project.names import clean_name


def places(root: Path) -> list[tuple[str, int, str]]:
    return [(p.file, p.line, p.rule) for p in load_project(root).problems]


def test_the_demo_project_loads_without_a_problem() -> None:
    project = load_project(LUMEN)
    assert project.problems == ()
    assert project.id == "lumen-energy"
    assert len(project.topics) == 14
    assert "dispute_bill" in project.functions
    assert project.start_function is not None
    assert project.end_function is not None
    assert project.variants["default"]["company_name"] == "Lumen Energy"


def test_C02_the_projects_own_gen_folder_is_never_read(tmp_path: Path) -> None:
    root = write_project(
        tmp_path, {"_gen/__init__.py": "def broken(:\n", "functions/f.py": function_file("f", "return 1")}
    )
    assert places(root) == []
    assert not any(name.startswith("_gen") for name, _, _ in fingerprint(root))


def test_C03_the_name_inside_the_file_is_the_identity(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "flows/order_management_flow_v2/flow_config.yaml": """
                name: order management flow (V2)
                description: Orders
                start_step: Start
            """,
            "flows/order_management_flow_v2/steps/start.yaml": "name: Start\nstep_type: advanced_step\nprompt: Hi\n",
        },
    )
    flow = load_project(root).flows[0]
    assert (flow.name, flow.folder) == ("order management flow (V2)", "order_management_flow_v2")
    assert [step.name for step in flow.steps] == ["Start"]


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("SMS flow", "sms_flow"),
        ("order management flow (V2)", "order_management_flow_v2"),
        ("a--b", "a_b"),
        ("  Größe?  ", "größe"),
    ],
)
def test_C04_clean_name(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


def test_C05_missing_optional_files_are_no_problem(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path, {}))
    assert project.problems == ()
    assert project.topics == ()
    assert project.default_variant is None


def test_C06_merge_markers_are_reported_with_their_line(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {"topics/a.yaml": "name: a\n<<<<<<< HEAD\ncontent: x\n=======\ncontent: y\n>>>>>>> other\n"},
    )
    assert places(root) == [("topics/a.yaml", 2, "merge-conflict")]


def test_a_broken_yaml_file_costs_only_itself(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "topics/bad.yaml": "name: bad\ncontent: 'never closed\nactions: x\n",
            "topics/good.yaml": topic_file("good", "how good", content="Good."),
        },
    )
    project = load_project(root)
    assert [topic.name for topic in project.topics] == ["good"]
    assert [(p.file, p.rule) for p in project.problems] == [("topics/bad.yaml", "yaml-syntax")]
    assert project.problems[0].line >= 2
    assert project.problems[0].remedy


def test_a_broken_project_yaml_does_not_silence_the_project(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"topics/good.yaml": topic_file("good", "how good", content="Good.")})
    (root / "project.yaml").write_text("project_id: [\n")
    project = load_project(root)
    assert project.usable
    assert len(project.topics) == 1
    assert [p.rule for p in project.problems] == ["yaml-syntax"]


def test_a_folder_without_project_yaml_is_no_project(tmp_path: Path) -> None:
    project = load_project(tmp_path)
    assert not project.usable
    assert [p.rule for p in project.problems] == ["no-project"]


def test_wrong_types_name_the_key_and_the_line(tmp_path: Path) -> None:
    root = write_project(
        tmp_path, {"topics/a.yaml": "name: a\nenabled: maybe\nexample_queries: just one\ncontent:\n  x: y\n"}
    )
    assert sorted(places(root)) == [
        ("topics/a.yaml", 2, "wrong-type"),
        ("topics/a.yaml", 3, "wrong-type"),
        ("topics/a.yaml", 5, "wrong-type"),
    ]


def test_a_key_that_is_given_twice_is_reported(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"topics/a.yaml": "name: a\ncontent: one\ncontent: two\n"})
    assert places(root) == [("topics/a.yaml", 3, "duplicate-key")]
    assert load_project(root).topics[0].content.value == "two"


def test_numbers_and_dates_stay_as_they_are_written(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "config/variant_attributes.yaml": """
                variants:
                  - {name: default, is_default: true}
                attributes:
                  - {name: price, values: {default: 09.50}}
                  - {name: day, values: {default: 2026-01-02}}
            """
        },
    )
    assert load_project(root).variants == {"default": {"price": "09.50", "day": "2026-01-02"}}


def test_both_yaml_suffixes_are_read(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "topics/a.yml": topic_file("a", "what is a", content="A."),
            "chat/configuration.yml": "greeting:\n  welcome_message: Hi.\n",
        },
    )
    project = load_project(root)
    assert [topic.name for topic in project.topics] == ["a"]
    assert project.chat.greeting.value == "Hi."


def test_a_topic_without_a_name_is_named_by_its_path(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"topics/bills/late.yaml": "content: Pay soon.\n"})
    assert [topic.name for topic in load_project(root).topics] == ["bills/late"]


def test_who_the_agent_is_stands_in_a_persona_or_in_personality_and_role(tmp_path: Path) -> None:
    files = {
        "agent_settings/personality.yaml": "adjectives:\n  Polite: true\n  Calm: true\n  Funny: false\n",
        "agent_settings/role.yaml": "value: Other\ncustom: a lifeguard\nadditional_info: You swim.\n",
        "agent_settings/persona.txt": "Brief, as ever\n",
    }
    project = load_project(write_project(tmp_path, files))
    assert project.personality.value == "polite, calm"
    assert (project.role.value, project.additional_info.value) == ("a lifeguard", "You swim.")
    assert project.persona.value == "Brief, as ever"


def test_C11_the_tool_schema_is_read_without_running_the_file(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "functions/pay.py": """
                from _gen import *

                raise SystemExit("must not run")


                @func_description("Pays.")
                @func_parameter("amount", "How much")
                @func_parameter("account", "Which one")
                @func_parameter("now", "At once?")
                def pay(conv: Conversation, account: str, amount: float, now: bool):
                    return None
            """
        },
    )
    assert load_project(root).functions["pay"].schema == {
        "name": "pay",
        "description": "Pays.",
        "parameters": {
            "type": "object",
            "properties": {
                "amount": {"type": "number", "description": "How much"},
                "account": {"type": "string", "description": "Which one"},
                "now": {"type": "boolean", "description": "At once?"},
            },
            "required": ["amount", "account", "now"],
        },
    }


@pytest.mark.parametrize(
    ("source", "line", "rule"),
    [
        ("def f(conv:\n    return\n", 1, "python-syntax"),
        ("def g(conv):\n    return\n", 1, "no-main-function"),
        ("\nasync def f(conv):\n    return\n", 2, "async-function"),
        ("@func_description('x')\ndef f(conv):\n    x = 1\n    yield x\n", 4, "generator-function"),
        ("@func_description('x')\ndef f(conv):\n    return [(yield 1)]\n", 3, "generator-function"),
        ("@func_description('x')\ndef f(name: str):\n    return\n", 2, "signature"),
        (
            "@func_description('x')\n@func_parameter('n', 'd')\ndef f(conv, n: list):\n    return\n",
            3,
            "parameter-type",
        ),
        (
            "@func_description('x')\n@func_parameter('m', 'd')\ndef f(conv):\n    return\n",
            3,
            "parameter-unknown",
        ),
    ],
)
def test_a_broken_function_file_is_reported_with_its_line(tmp_path: Path, source: str, line: int, rule: str) -> None:
    root = write_project(tmp_path, {})
    (root / "functions").mkdir()
    (root / "functions/f.py").write_text(source)
    (root / "functions/ok.py").write_text(function_file("ok", "return None"))
    assert places(root) == [("functions/f.py", line, rule)]
    assert "ok" in load_project(root).functions


@pytest.mark.parametrize("parameter", ["*args", "**more"])
def test_a_parameter_that_never_gets_anything_is_told_and_the_function_works(tmp_path: Path, parameter: str) -> None:
    root = write_project(tmp_path, {})
    (root / "functions").mkdir()
    inner = "    def steps():\n        yield 1\n    return str(list(steps()))\n"
    (root / "functions/f.py").write_text(f"@func_description('x')\ndef f(\n    conv,\n    {parameter},\n):\n{inner}")
    assert places(root) == [("functions/f.py", 4, "star-parameter")]
    assert load_project(root).functions["f"].parameters == ()


def test_unknown_experimental_settings_are_found_on_their_line(tmp_path: Path) -> None:
    settings = """{
\t"llm": {
\t\t"channel_overrides": {"webchat.polyai": {"provider_model_id": "x",
\t\t\t"inference_parameters": {"verbosity": "loud"}}},
\t\t"flow_overrides": {"f": {"steps": {"s": {"temperature": 1}}}}
\t},
\t"ragdol": {"smiley": "\\ud83d\\ude00", "path": "\\/"},
\t"asr": {"any": {"thing": 1}}
}"""
    file = "agent_settings/experimental_config.json"
    root = write_project(tmp_path, {file: "{}"})
    (root / file).write_text(settings)
    assert places(root) == [(file, 4, "unknown-value"), (file, 5, "unknown-key"), (file, 7, "unknown-key")]
    assert any("Did you mean `ragdoll`?" in problem.remedy for problem in load_project(root).problems)


def test_C07_a_start_step_may_be_a_function_step(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "flows/idnv/flow_config.yaml": "name: IDNV\ndescription: d\nstart_step: idnv_entry\n",
            "flows/idnv/function_steps/idnv_entry.py": """
                from _gen import *


                def idnv_entry(conv: Conversation, flow: Flow):
                    flow.goto_step("x")
            """,
        },
    )
    project = load_project(root)
    assert project.problems == ()
    assert project.flows[0].start_step.value in project.flows[0].function_steps


def test_C80_odd_experimental_settings_do_not_stop_loading(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"agent_settings/experimental_config.json": '{"no_such": {"key": 1}}'})
    assert places(root) == [("agent_settings/experimental_config.json", 1, "unknown-key")]
    assert load_project(root).experimental == {"no_such": {"key": 1}}
    (root / "agent_settings/experimental_config.json").write_text("{oops")
    assert places(root) == [("agent_settings/experimental_config.json", 1, "json-syntax")]
