"""The steps of a flow and the ways between them, as its files say (agent-project.md §2.18 to §2.20 and §8.3)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from warmline.agent.project.model import Flow, Function, Module, Project, Step, StepType
from warmline.agent.project.references import references


class PlaceKind(StrEnum):
    """What a way leads to or comes from."""

    DEFAULT = "default"
    ADVANCED = "advanced"
    FUNCTION = "function"
    LEAVE = "leave"
    """Out of the flow."""
    FLOW = "flow"
    """Another flow."""
    MISSING = "missing"
    """A step that is not there."""


@dataclass(frozen=True, slots=True)
class Place:
    """A step, or something beside the steps that ways lead to. `file` is the step's own, `name` "" when it leaves."""

    kind: PlaceKind
    name: str = ""
    file: str = ""


class WayKind(StrEnum):
    """What takes the conversation along a way."""

    CONDITION = "condition"
    FUNCTION = "function"
    """A function that the step's prompt names."""
    STEP = "step"
    """The function step itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way from one place to another. `name` is the condition's or function's, `file` the function's file."""

    kind: WayKind
    name: str
    origin: Place
    target: Place
    description: str = ""
    needs: tuple[str, ...] = ()
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """All of a flow: the places with the start first, then in the order of the files, and the ways between them.

    `start` is None when the start step is not named. `unreached` are steps to which no way leads; code may all the
    same, by a name that shows only when it runs.
    """

    start: Place | None
    places: tuple[Place, ...]
    ways: tuple[Way, ...]
    unreached: frozenset[str]

    def out_of(self, name: str) -> tuple[Way, ...]:
        """Give the ways that leave a step."""
        return tuple(way for way in self.ways if way.origin.name == name)

    def into(self, name: str) -> tuple[Way, ...]:
        """Give the ways that lead to a step."""
        steps = (PlaceKind.LEAVE, PlaceKind.FLOW)
        return tuple(way for way in self.ways if way.target.name == name and way.target.kind not in steps)


def ways_of(project: Project, flow: Flow) -> Ways:
    """Find the ways of a flow. Names that functions make up while they run are not known."""
    modules = {module.file: module for module in project.modules}
    found: list[Way] = []
    for step in flow.steps:
        if step.type is StepType.DEFAULT:
            found += _conditions(flow, step)
        else:
            found += _called(project, flow, step, modules)
    for function in flow.function_steps.values():
        origin = _place(flow, function.name)
        for target in _targets(flow, modules.get(function.file)):
            found.append(Way(kind=WayKind.STEP, name=function.name, origin=origin, target=target, file=function.file))
    start = _place(flow, flow.start_step.value) if flow.start_step else None
    names = [step.name for step in flow.steps] + list(flow.function_steps)
    steps = [_place(flow, name) for name in names]
    places = tuple(dict.fromkeys([*([start] if start else []), *steps, *(way.target for way in found)]))
    ways = tuple(dict.fromkeys(found))
    return Ways(start=start, places=places, ways=ways, unreached=_unreached(start, steps, ways))


def called_by(project: Project, flow: Flow, step: Step) -> Iterator[Function]:
    """Give the functions that a step's prompt names, in their order."""
    seen: set[str] = set()
    for reference in references(step.prompt):
        known = {"ft": flow.functions, "fn": project.functions}.get(reference.kind, {})
        function = known.get(reference.name)
        if function is not None and function.file not in seen:
            seen.add(function.file)
            yield function


def entered_from(project: Project, flow: Flow) -> list[str]:
    """Give the function files that enter the flow by its name."""
    return sorted(
        module.file
        for module in project.modules
        if any(name == flow.name for name, _ in module.flows_entered)
        and not module.file.startswith(f"flows/{flow.folder}/")
    )


def _place(flow: Flow, name: str) -> Place:
    found = flow.find(name)
    if found is None:
        return Place(PlaceKind.MISSING, name)
    if isinstance(found, Function):
        return Place(PlaceKind.FUNCTION, name, found.file)
    kind = PlaceKind.DEFAULT if found.type is StepType.DEFAULT else PlaceKind.ADVANCED
    return Place(kind, name, found.file)


def _conditions(flow: Flow, step: Step) -> Iterator[Way]:
    for condition in step.conditions:
        child = condition.child_step
        yield Way(
            kind=WayKind.CONDITION,
            name=condition.name,
            origin=_place(flow, step.name),
            target=_place(flow, child.value) if child else Place(PlaceKind.LEAVE),
            description=condition.description,
            needs=condition.required_entities,
        )


def _called(project: Project, flow: Flow, step: Step, modules: Mapping[str, Module]) -> Iterator[Way]:
    origin = _place(flow, step.name)
    for function in called_by(project, flow, step):
        for target in _targets(flow, modules.get(function.file)):
            yield Way(
                kind=WayKind.FUNCTION,
                name=function.name,
                origin=origin,
                target=target,
                description=function.description,
                file=function.file,
            )


def _targets(flow: Flow, module: Module | None) -> list[Place]:
    """Give where a function's file leads, each place once."""
    if module is None:
        return []
    own = [name for where, name, _ in module.steps_entered if where in ("", flow.name)]
    targets = [_place(flow, name) for name in own]
    for name, _ in module.flows_entered:
        if name != flow.name:
            targets.append(Place(PlaceKind.FLOW, name))
        elif not any(where == flow.name for where, _, _ in module.steps_entered):
            targets.append(_place(flow, flow.start_step.value))
    if module.leaves_flow:
        targets.append(Place(PlaceKind.LEAVE))
    return list(dict.fromkeys(targets))


def _unreached(start: Place | None, steps: list[Place], ways: tuple[Way, ...]) -> frozenset[str]:
    reached, waiting = set[str](), [start.name] if start else []
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            beside = (PlaceKind.LEAVE, PlaceKind.FLOW)
            waiting += [w.target.name for w in ways if w.origin.name == name and w.target.kind not in beside]
    return frozenset(step.name for step in steps if step.name not in reached)
