"""The queries for the conversations that fit, newest change first, each along an index that has this order."""

from dataclasses import dataclass, replace

from warmline.domain.catalog import Stage
from warmline.ports import Wanted

NEWEST = "ORDER BY updated_at DESC, session_id DESC"


@dataclass(frozen=True, slots=True)
class Fitting:
    """What conversations must be like: conditions with their values, and stages, any of which will do."""

    conditions: tuple[str, ...] = ()
    values: tuple[object, ...] = ()
    stages: tuple[Stage, ...] = ()

    def narrowed(self, condition: str, *values: object) -> "Fitting":
        """Those of them for which `condition` holds; "{0}", "{1}" … in it stand for `values`."""
        names = (f"${len(self.values) + n}" for n in range(1, len(values) + 1))
        return replace(self, conditions=(*self.conditions, condition.format(*names)), values=(*self.values, *values))

    def newest(self, columns: str, limit: int) -> str:
        """The query for the newest of them. Each stage has its own part of an index, so each is asked by itself."""
        parts = [_newest(columns, [*self.conditions, *_stage(stage)], limit) for stage in self.stages]
        if len(parts) < 2:
            return parts[0] if parts else _newest(columns, self.conditions, limit)
        united = " UNION ALL ".join(f"SELECT * FROM ({part}) AS part" for part in parts)
        return f"SELECT * FROM ({united}) AS united {NEWEST} LIMIT {limit}"

    def newest_among_few(self, columns: str, limit: int) -> str:
        """The same query for where a condition has left only a few."""
        stages = ", ".join(f"'{stage.value}'" for stage in self.stages)
        conditions = [*self.conditions, *([f"stage IN ({stages})"] if stages else [])]
        return _newest(columns, conditions, limit)


def fitting(wanted: Wanted) -> Fitting:
    """Those that a list shows, whatever was said in them."""
    found = Fitting(stages=tuple(Stage(stage) for stage in dict.fromkeys(wanted.stages)))
    if len(wanted.projects) == 1:
        # Not as a list of one: only equality lets the index give the order, too.
        found = found.narrowed("project_id = {0}", wanted.projects[0])
    elif wanted.projects:
        found = found.narrowed("project_id = ANY({0})", list(wanted.projects))
    if wanted.channel:
        found = found.narrowed("channel = {0}", wanted.channel)
    if not wanted.sandbox:
        found = found.narrowed("environment <> 'sandbox'")
    if wanted.connection_id:
        found = found.narrowed("connection_id = {0} AND connection_id <> ''", wanted.connection_id)
    if wanted.before is not None:
        found = found.narrowed("(updated_at, session_id) < ({0}, {1})", *wanted.before)
    return found


def _stage(stage: Stage) -> list[str]:
    """The conditions for a stage, as the partial indexes have them."""
    running = [] if stage is Stage.ENDED else ["stage <> 'ended'"]
    return [f"stage = '{stage.value}'", *running]


def _newest(columns: str, conditions: "tuple[str, ...] | list[str]", limit: int) -> str:
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    return f"SELECT {columns} FROM catalog {where}{NEWEST} LIMIT {limit}"
