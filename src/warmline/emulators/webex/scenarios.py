"""Named situations: settings, faults and what the agents do, installed by `POST /__sim/v1/scenario/{name}` (§20.7)."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from warmline.emulators.webex.faults import FaultRequest
from warmline.emulators.webex.settings import changed
from warmline.emulators.webex.sim import Sim
from warmline.emulators.webex.state import AgentState


@dataclass(slots=True, frozen=True)
class Scenario:
    """One situation. It starts with a reset; `available` are the agents who log in."""

    description: str
    settings: dict[str, Any] = field(default_factory=dict)
    faults: tuple[dict[str, Any], ...] = ()
    available: tuple[str, ...] = ("agent-1",)


_SCENARIOS: dict[str, Scenario] = {
    "happy_path": Scenario("agent-1 is available and accepts at once", {"autoAccept": True}),
}


def descriptions() -> dict[str, str]:
    """Return what each scenario does, by name."""
    return {name: scenario.description for name, scenario in _SCENARIOS.items()}


def find(name: str) -> Scenario | None:
    """Return the scenario of that name."""
    return _SCENARIOS.get(name)


def begin(sim: Sim, scenario: Scenario) -> None:
    """Install a scenario in an organization that was just reset."""
    sim.configure(changed(sim.settings, scenario.settings))
    for fault in scenario.faults:
        sim.faults.add(msgspec.convert(fault, FaultRequest))
    for agent_id in scenario.available:
        agent = sim.world.agents[agent_id]
        sim.routing.log_in(agent)
        sim.routing.set_state(agent, AgentState.AVAILABLE)
