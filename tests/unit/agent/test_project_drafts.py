"""A text is checked before it is saved, in its place among the other files of the project."""

import pytest

from support.agent_projects import function_file, topic_file, write_project
from support.flow_projects import default_step_file, flow_file, flow_function, step_file
from warmline.agent.project.checker import check_project
from warmline.agent.project.drafts import check_text, with_text
from warmline.agent.project.loader import load_project
from warmline.agent.project.model import Project

FILES = {
    "functions/greet.py": function_file("greet", "conv.state.name = 'x'\nreturn 'Hello'"),
    "functions/start_function.py": function_file("start_function", "pass"),
    "functions/end_function.py": function_file("end_function", "pass"),
    "functions/broken.py": "def broken(:\n",
    "topics/hello.yaml": topic_file("hello", "good day", actions="Call {{fn:greet}}."),
    "config/entities.yaml": "entities:\n  - name: size\n    entity_type: free_text\n    description: d\n",
    "flows/order/flow_config.yaml": flow_file("order", "ask"),
    "flows/order/steps/ask.yaml": default_step_file("ask", "Ask $name.", "size", "known -> confirm: size", "stop"),
    "flows/order/steps/confirm.yaml": step_file("confirm", "Call {{ft:finish}}."),
    "flows/order/functions/finish.py": flow_function("finish", "flow.goto_step('check')"),
    "flows/order/function_steps/check.py": flow_function("check", "conv.exit_flow()", step=True),
    "flows/order/functions/odd.py": "def other():\n    pass\n",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with every kind of file that can be edited."""
    return load_project(write_project(tmp_path_factory.mktemp("project"), FILES))


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith(("functions", "flows"))])
def test_the_text_on_disk_changes_nothing(project: Project, file: str) -> None:
    text = (project.root / file).read_text("utf-8")
    assert check_project(with_text(project, file, text)) == check_project(project)


def found(project: Project, file: str, text: str) -> list[tuple[str, int]]:
    return [(problem.rule, problem.line) for problem in check_text(project, file, text)]


def test_what_is_wrong_with_a_function_is_found_at_its_line(project: Project) -> None:
    good = FILES["functions/greet.py"]
    assert found(project, "functions/greet.py", good) == []
    assert found(project, "functions/greet.py", "def greet(conv):\n  return (\n") == [("python-syntax", 2)]
    assert found(project, "functions/greet.py", good.replace("def greet", "def other")) == [("no-main-function", 1)]
    nowhere = good.replace("return 'Hello'", "conv.goto_flow('nowhere')")
    assert found(project, "functions/greet.py", nowhere) == [("unknown-flow", 7)]
    assert found(project, "functions/broken.py", FILES["functions/broken.py"]) == [("python-syntax", 1)]
    assert found(project, "functions/broken.py", function_file("broken", "return 'ok'")) == []


def test_a_repaired_function_is_there_for_those_that_name_it(project: Project) -> None:
    edited = with_text(project, "functions/broken.py", function_file("broken", "return 'ok'"))
    assert "broken" in edited.functions
    assert "broken" not in edited.broken_functions
    gone = with_text(project, "functions/greet.py", "def greet(:")
    rules = [(p.rule, p.file) for p in check_project(gone)]
    assert ("dangling-reference", "topics/hello.yaml") in rules
    assert ("unknown-variable", "flows/order/steps/ask.yaml") in rules, "nothing sets the variable any more"


def test_what_is_wrong_with_a_step_is_found_at_its_line(project: Project) -> None:
    file = "flows/order/steps/ask.yaml"
    good = FILES[file]
    assert found(project, file, good) == []
    assert found(project, file, good.replace("child_step: confirm", "child_step: Confirm")) == [("unknown-step", 10)]
    assert found(project, file, "name: ]") == [("yaml-syntax", 1)]
    assert ("unknown-step", 3) in found(project, "flows/order/flow_config.yaml", flow_file("order", "nowhere"))
    step, transition = "flows/order/function_steps/check.py", "flows/order/functions/finish.py"
    assert found(project, step, flow_function("check", "flow.goto_step('x')", step=True)) == [("unknown-step", 5)]
    assert ("unknown-step", 6) in found(project, transition, flow_function("finish", "flow.goto_step('x')"))


def test_modules_tell_whether_they_leave_the_flow(project: Project) -> None:
    leaving = {module.file for module in project.modules if module.leaves_flow}
    assert leaving == {"flows/order/function_steps/check.py"}
    file = "flows/order/functions/finish.py"
    for body, leaves in (("'exit_flow': True", True), ("'exit_flow': False", False), ("'exit_flow': conv.x", True)):
        text = flow_function("finish", f"return {{'transition': {{{body}}}}}")
        edited = with_text(project, file, text)
        assert next(m for m in edited.modules if m.file == file).leaves_flow is leaves, body
