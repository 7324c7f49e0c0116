"""Keeps the entities of a default step and takes its conditions (agent-project.md §8.5)."""

import pickle

from warmline.agent.project.model import Project, Step
from warmline.agent.turn.brain import EntityValue, FunctionResult, SaveEntities, TakeCondition
from warmline.agent.turn.draft import Draft
from warmline.agent.turn.entities import Setting, state_value, validate
from warmline.agent.turn.flows import Navigation
from warmline.agent.turn.tools import ENTITIES_TOOL


class Collecting:
    """The entities of one turn. Valid ones are kept for the session, others for the rest of the turn."""

    def __init__(self, project: Project, draft: Draft, navigation: Navigation) -> None:
        """Keep what is collected in `draft` and move with `navigation`."""
        self._project = project
        self._draft = draft
        self._navigation = navigation
        self._refused: dict[str, EntityValue] = {}

    @property
    def values(self) -> dict[str, EntityValue]:
        """Everything known of entities; one that was given anew in this turn and did not pass shows as that."""
        held = {name: EntityValue(value) for name, value in self._draft.memory.entities.items()}
        return {**held, **self._refused}

    def save(self, move: SaveEntities, setting: Setting) -> FunctionResult:
        """Validate values and keep those that pass, in the entities and in `conv.state`."""
        step = self._step()
        told: list[str] = []
        for name, given in move.values.items():
            entity = self._project.entities.get(name)
            if step is None or entity is None or name not in step.entities:
                told.append(f"{name}: this is not collected here")
                continue
            value = validate(entity, given, setting)
            if not value.valid:
                self._refused[name] = value
                told.append(f"{name}: not valid, {value.error}")
                continue
            self._refused.pop(name, None)
            memory, kept = self._draft.memory, state_value(entity, value.value)
            memory.entities = {**memory.entities, name: value.value}
            memory.state = {**memory.state, name: pickle.dumps(kept, protocol=pickle.HIGHEST_PROTOCOL)}
            memory.texts = {**memory.texts, name: str(kept)}
            told.append(f"{name}: kept")
        content = "; ".join(told)
        self._draft.trace("state", {"entities": content})
        return FunctionResult(name=ENTITIES_TOOL, content=content)

    def take(self, move: TakeCondition) -> FunctionResult:
        """Go where a condition leads, once everything that it needs is known."""
        step = self._step()
        condition = next((c for c in step.conditions if c.name == move.name), None) if step else None
        if condition is None:
            return FunctionResult(name=move.name, error=f"There is no condition `{move.name}` here.")
        held = self._draft.memory.entities
        if missing := [name for name in condition.required_entities if name not in held]:
            return FunctionResult(name=move.name, error=f"Not yet: {', '.join(missing)} must be known first.")
        if not condition.child_step:
            self._navigation.leave()
        elif not self._navigation.go_to_child(condition.child_step.value):
            text = f"The condition `{condition.name}` leads to `{condition.child_step.value}`, which does not exist."
            self._draft.find("unknown-step", text)
            return FunctionResult(name=move.name, error=text)
        return FunctionResult(name=move.name)

    def _step(self) -> Step | None:
        position = self._navigation.position
        return position.step if position and position.collects and isinstance(position.step, Step) else None
