"""The sample projects: checked, and their conversations played with every brain."""

from pathlib import Path

import pytest

from support.agent_projects import EXAMPLES
from support.llm import llm_lab
from warmline.agent import engine_for
from warmline.agent.brains.topics.abilities import needs_model
from warmline.agent.models.access import LanguageModel
from warmline.agent.project.checker import check_project
from warmline.agent.project.loader import load_project
from warmline.agent.project.model import StepType
from warmline.agent.project.yaml_files import Problems
from warmline.agent.scenarios.mocks import MockedApis
from warmline.agent.scenarios.play import Player, Result, Status
from warmline.agent.scenarios.scenario import read_scenarios
from warmline.agent.turn.pool import PoolSettings
from warmline.agent.turn.services import Services
from warmline.emulators.llm import load_script

PROJECTS = sorted(path.parent.name for path in EXAMPLES.glob("*/project.yaml"))


async def played(root: Path, brain: str, model: LanguageModel | None = None) -> list[Result]:
    """Play all scenarios of the project in `root`."""
    problems, apis = Problems(), MockedApis()
    scenarios = list(read_scenarios(root, problems))
    assert problems.found == []
    engine = engine_for(
        root, brain=brain, model=model, services=Services(apis=apis), settings=PoolSettings(size=1, most=2)
    )
    await engine.start()
    try:
        player = Player(engine, brain=brain, apis=apis, model=model)
        return [await player.play(scenario) for scenario in scenarios]
    finally:
        await engine.close()


def wrong(results: list[Result]) -> list[str]:
    """Give what went wrong, in words."""
    return [f"{r.scenario.name}: {' '.join(r.problems)} {r.lines}" for r in results if r.wrong]


@pytest.mark.parametrize("name", PROJECTS)
def test_C01_a_sample_project_is_clean(name: str) -> None:
    project = load_project(EXAMPLES / name)
    assert check_project(project) == ()
    assert list(needs_model(project)) == []


@pytest.mark.parametrize("name", PROJECTS)
async def test_C79_the_topics_brain_passes_the_test_suite(name: str) -> None:
    results = await played(EXAMPLES / name, "topics")
    assert wrong(results) == []
    pending = {r.scenario.name for r in results if r.status is Status.PENDING}
    assert pending <= {"A played customer hears of the outage"}


@pytest.mark.parametrize("name", PROJECTS)
async def test_C79_a_language_model_passes_the_test_suite(name: str) -> None:
    async with llm_lab() as lab:
        lab.llm.emulator.play(load_script(EXAMPLES / name / "tests" / "model.yaml"))
        results = await played(EXAMPLES / name, "llm", lab.model())
    assert wrong(results) == []
    assert {r.status for r in results} == {Status.PASSED}


def test_the_sample_projects_show_everything_between_them() -> None:
    projects = [load_project(EXAMPLES / name) for name in PROJECTS]
    assert len(projects) == 4
    flows = [flow for project in projects for flow in project.flows]
    steps = [step for flow in flows for step in flow.steps]
    assert {step.type for step in steps} == set(StepType)
    assert any(flow.function_steps for flow in flows)
    assert any(flow.find(flow.start_step.value) in flow.function_steps.values() for flow in flows)
    conditions = [condition for step in steps for condition in step.conditions]
    assert any(not condition.child_step for condition in conditions)
    assert any(not condition.required_entities and condition.child_step for condition in conditions)
    assert {entity.type for project in projects for entity in project.entities.values()} == {
        *("numeric", "alphanumeric", "enum", "date", "phone_number", "time", "address", "free_text", "name_config"),
    }
    assert max(len(project.variants) for project in projects) == 3
    assert any(project.sms_templates for project in projects)
    assert any(project.translations for project in projects)
    assert any(len(project.handoff_routes) > 1 for project in projects)
    assert any(project.chat_safety.levels for project in projects)
    sources = "\n".join(path.read_text(encoding="utf-8") for path in EXAMPLES.rglob("*.py"))
    for shown in (
        '"timeout": 0.1',
        "conv.functions.",
        "conv.api.",
        "return conv.state.handoff_after_remark",
        "is_open(",
    ):
        assert shown in sources
