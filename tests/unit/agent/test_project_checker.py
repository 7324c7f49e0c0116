"""`check_project`: mistakes that show when the parts are looked at together."""

from pathlib import Path

import pytest

from support.agent_projects import LUMEN, function_file, topic_file, write_project
from warmline.agent.brains.topics.abilities import needs_model
from warmline.agent.project.checker import check_project
from warmline.agent.project.loader import load_project
from warmline.agent.project.model import Severity


def errors(root: Path) -> list[tuple[str, int, str]]:
    return [(p.file, p.line, p.rule) for p in check_project(load_project(root)) if p.severity is Severity.ERROR]


def warnings(root: Path) -> list[tuple[str, int, str]]:
    return [(p.file, p.line, p.rule) for p in check_project(load_project(root)) if p.severity is Severity.WARNING]


def test_the_demo_project_is_clean_and_needs_no_model() -> None:
    project = load_project(LUMEN)
    assert check_project(project) == ()
    assert list(needs_model(project)) == []


def test_C08_dangling_references_are_reported_where_they_stand(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "topics/a.yaml": """
                name: a
                actions: |-
                  First say hello.
                  Then call {{fn:nowhere}}.
                content: Costs {{attr:price}}, {{tn:bye}}, see {{ho:Desk}} and {{vrbl:unset}}.
                example_queries: [what]
            """
        },
    )
    assert errors(root) == [
        ("topics/a.yaml", 4, "dangling-reference"),
        *[("topics/a.yaml", 5, "dangling-reference")] * 4,
    ]


def test_C08_transition_functions_of_another_flow_are_dangling(tmp_path: Path) -> None:
    step = "name: Start\nstep_type: advanced_step\nprompt: 'Call {{ft:move}}'\n"
    config = "name: %s\ndescription: d\nstart_step: Start\n"
    source = """
        from _gen import *


        @func_description("Moves.")
        def move(conv: Conversation, flow: Flow):
            flow.goto_step("Start")
    """
    root = write_project(
        tmp_path,
        {
            "flows/one/flow_config.yaml": config % "one",
            "flows/one/steps/start.yaml": step,
            "flows/one/functions/move.py": source,
            "flows/two/flow_config.yaml": config % "two",
            "flows/two/steps/start.yaml": step,
        },
    )
    assert errors(root) == [("flows/two/steps/start.yaml", 3, "dangling-reference")]


def test_C08_unknown_steps(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "flows/one/flow_config.yaml": "name: one\ndescription: d\nstart_step: Nowhere\n",
            "flows/one/steps/ask.yaml": """
                name: Ask
                step_type: default_step
                prompt: Ask.
                conditions:
                  - name: done
                    condition_type: step_condition
                    child_step: Missing
            """,
        },
    )
    assert errors(root) == [
        ("flows/one/flow_config.yaml", 3, "unknown-step"),
        ("flows/one/steps/ask.yaml", 7, "unknown-step"),
    ]


def test_C08_two_default_handoffs_and_a_missing_variant_value(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "config/handoffs.yaml": """
                handoffs:
                  - {name: A, is_default: true}
                  - {name: B, is_default: true}
            """,
            "config/variant_attributes.yaml": """
                variants:
                  - {name: north, is_default: true}
                  - {name: south}
                attributes:
                  - name: city
                    values: {north: York}
            """,
        },
    )
    assert errors(root) == [
        ("config/handoffs.yaml", 3, "default-handoff"),
        ("config/variant_attributes.yaml", 6, "missing-variant-value"),
    ]


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("from functions.missing import x", True),
        ("from functions.helper import missing", True),
        ("from .missing import x", True),
        ("from functions import missing", True),
        ("from functions.helper import RATE, compute", False),
        ("from .helper import Table", False),
        ("from functions import helper", False),
        ("import functions.helper", False),
        ("import json", False),
    ],
)
def test_broken_imports_are_found_without_running(tmp_path: Path, statement: str, wrong: bool) -> None:
    helper = """
        from _gen import *

        RATE = 1


        class Table:
            pass


        def compute():
            return RATE


        @func_description("[UTIL]")
        def helper(conv: Conversation):
            return None
    """
    source = f"from _gen import *\n{statement}\n" + function_file("f", "return None").partition("\n")[2]
    root = write_project(tmp_path, {"functions/helper.py": helper, "functions/f.py": source})
    assert errors(root) == ([("functions/f.py", 2, "broken-import")] if wrong else [])


def test_an_unknown_integration_is_found_where_it_stands(tmp_path: Path) -> None:
    body = 'return {\n    "utterance": "x",\n    "handoff": {"text_chat": {"webx_integration": {}}},\n}'
    root = write_project(tmp_path, {"functions/f.py": function_file("f", body)})
    assert errors(root) == [("functions/f.py", 8, "unknown-integration")]


def test_a_flow_that_does_not_exist_is_found_where_it_is_entered(tmp_path: Path) -> None:
    root = write_project(tmp_path, {"functions/f.py": function_file("f", 'conv.goto_flow("Nowhere")')})
    assert errors(root) == [("functions/f.py", 6, "unknown-flow")]


def test_a_variable_that_no_function_sets_is_a_warning(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "functions/f.py": function_file("f", "conv.state.known = 1"),
            "topics/a.yaml": topic_file("a", "what", content="$known $unknown costs $5.00"),
        },
    )
    assert warnings(root) == [("topics/a.yaml", 3, "unknown-variable")]
    assert errors(root) == []


def test_a_variable_may_be_an_entity_whose_value_is_mirrored_in_the_state(tmp_path: Path) -> None:
    """agent-project.md §5.2."""
    entities = "entities:\n  - {name: size, description: Size, entity_type: free_text, config: {}}\n"
    root = write_project(
        tmp_path,
        {"config/entities.yaml": entities, "topics/a.yaml": topic_file("a", "what", content="$size or ${size}?")},
    )
    assert warnings(root) == []


def test_a_malformed_reference_is_shown_as_it_is_written(tmp_path: Path) -> None:
    files = {"functions/f.py": function_file("f", "return None"), "agent_settings/rules.txt": "Now {{{{fn:f}}}}.\n"}
    (problem,) = check_project(load_project(write_project(tmp_path, files)))
    assert (problem.rule, problem.text) == (
        "malformed-reference",
        "`{{{{fn:f}}}}` is no reference and stays as it is written.",
    )


def test_files_that_a_hosted_platform_would_refuse_are_warnings(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "topics/wrong.yaml": topic_file("Right Name", "what", content="x"),
            "topics/empty.yaml": "name: empty\n",
            "chat/configuration.yaml": "greeting: {welcome_message: Hi}\n",
        },
    )
    assert warnings(root) == [
        ("chat/configuration.yaml", 1, "incomplete-channel"),
        ("topics/empty.yaml", 1, "empty-topic"),
        ("topics/empty.yaml", 1, "no-examples"),
        ("topics/wrong.yaml", 1, "file-name"),
    ]


def test_actions_that_need_a_model_are_listed_with_their_line(tmp_path: Path) -> None:
    root = write_project(
        tmp_path,
        {
            "functions/f.py": function_file("f", "return None"),
            "topics/a.yaml": """
                name: a
                content: Text.
                actions: |-
                  Be kind.
                  If the account is older than a year, call {{fn:f}}.
                example_queries: [what]
            """,
        },
    )
    found = list(needs_model(load_project(root)))
    assert [(p.file, p.line, p.rule) for p in found] == [("topics/a.yaml", 5, "needs-model")]


def test_every_problem_says_what_to_do() -> None:
    problem = next(iter(check_project(load_project(Path(__file__).parent))))
    assert problem.remedy
    assert str(problem).startswith("project.yaml:1: no-project: ")
