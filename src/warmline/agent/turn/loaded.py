"""One version of a project, ready to run turns: its data, its brain and its workers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from warmline.agent.project.integrations import environment_of
from warmline.agent.project.loader import fingerprint, load_project
from warmline.agent.project.model import Project
from warmline.agent.project.variants import typed_variants
from warmline.agent.turn import protocol
from warmline.agent.turn.brain import Brain
from warmline.agent.turn.customers import memory_keys
from warmline.agent.turn.limits import PoolSettings
from warmline.agent.turn.pool import WorkerPool
from warmline.agent.turn.services import Services
from warmline.domain.turn import Finding

Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(eq=False)
class Loaded:
    """A version of a project. `users` counts the turns that run on it; it closes when it is replaced and idle."""

    project: Project
    brain: Brain
    pool: WorkerPool
    services: Services
    fingerprint: Fingerprint
    users: int = 0
    replaced: bool = field(default=False)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything known to be wrong with this version, also what only showed when it was imported."""
        found = [problem.finding() for problem in self.project.problems]
        found += [
            Finding(
                rule="import-failed",
                text=f"`{Path(file).stem}` cannot be imported and is switched off. {failure.text}",
                file=failure.file or file,
                line=failure.line,
            )
            for file, failure in self.pool.broken.items()
        ]
        return tuple(found)


def load(root: Path, build_brain: Callable[[Project], Brain], settings: PoolSettings, services: Services) -> Loaded:
    """Read a project and fit its brain. Takes a moment and computes: not for the event loop."""
    mark = fingerprint(root)
    project = load_project(root)
    return Loaded(project, build_brain(project), WorkerPool(_setup(project, settings), settings), services, mark)


def _setup(project: Project, settings: PoolSettings) -> protocol.Setup:
    special = [function for function in (project.start_function, project.end_function) if function]
    everywhere = {function.name: function.file for function in [*special, *project.functions.values()]}
    in_flows = {flow.name: {f.name: f.file for f in flow.functions.values()} for flow in project.flows}
    steps = [function.file for flow in project.flows for function in flow.function_steps.values()]
    files = [*everywhere.values(), *(file for files in in_flows.values() for file in files.values()), *steps]
    return protocol.Setup(
        root=str(project.root),
        project_id=project.id,
        account_id=project.account_id,
        files=files,
        functions=everywhere,
        flows=in_flows,
        memory_mb=settings.memory_mb,
        state_kb=settings.state_kb,
        output_kb=settings.output_kb,
        variants=typed_variants(project),
        translations={name: dict(texts) for name, texts in project.translations.items()},
        handoffs={
            name: {"sip_type": h.method, "sip_config": dict(h.settings), "sip_headers": dict(h.headers)}
            for name, h in project.handoffs.items()
        },
        sms_templates={
            name: {"content": template.text.value, "phone_numbers": _by_environment(template.numbers)}
            for name, template in project.sms_templates.items()
        },
        entities={name: entity.type for name, entity in project.entities.items()},
        apis={api.name: [operation.name for operation in api.operations] for api in project.apis.values()},
        real_time_config={name: dict(values) for name, values in project.real_time_config.items()},
        memory_keys=memory_keys(project),
        preload=[
            *(["requests"] if project.apis else []),
            *(["warmline.agent.turn.render"] if project.sms_templates else []),
        ],
    )


def _by_environment(numbers: Mapping[str, str]) -> dict[str, str]:
    return {environment_of(name): number for name, number in numbers.items()}
