"""Named situations: settings, faults and what the agents do, installed by `POST /__sim/v1/scenario/{name}` (§20.7)."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from warmline.emulators.webex.director import Step
from warmline.emulators.webex.faults import FaultRequest
from warmline.emulators.webex.settings import changed
from warmline.emulators.webex.sim import Sim
from warmline.emulators.webex.state import AgentState

_ACCEPT = Step(do="accept", after_ms=200)
_HELLO = Step(do="say", text="Hello, how can I help you?", after_ms=100)
_END = (Step(do="end", after_ms=500), Step(do="wrapup", after_ms=100))


@dataclass(slots=True, frozen=True)
class Scenario:
    """One situation. It starts with a reset; `available` are the agents who log in.

    `policy` changes every channel's policy, `flow` every entry point's flow, `wrong_secret` every asset's secret.
    """

    description: str
    settings: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    flow: str = ""
    wrong_secret: bool = False
    faults: tuple[dict[str, Any], ...] = ()
    available: tuple[str, ...] = ("agent-1",)
    script: tuple[Step, ...] = (_ACCEPT, _HELLO)


def _fault(effect: dict[str, Any], **match: str) -> dict[str, Any]:
    return {"match": match, "effect": effect}


_BOTH = ("agent-1", "agent-2")

_SCENARIOS: dict[str, Scenario] = {
    "happy_path": Scenario("an agent accepts, greets, and ends", script=(_ACCEPT, _HELLO, *_END)),
    "flow_greeting": Scenario("the flow asks a question before it queues", flow="greet-and-ask"),
    "rona_then_accept": Scenario(
        "the first agent does not answer, the next one accepts",
        available=_BOTH,
        script=(Step(do="decline", after_ms=1000), _ACCEPT, _HELLO),
    ),
    "transfer_queue": Scenario(
        "the agent transfers to the queue billing",
        available=_BOTH,
        script=(_ACCEPT, _HELLO, Step(do="transfer", to="queue:billing", after_ms=200), _ACCEPT, _HELLO),
    ),
    "transfer_agent": Scenario(
        "agent-1 transfers to agent-2",
        script=(_ACCEPT, _HELLO, Step(do="transfer", to="agent:agent-2", after_ms=200), _ACCEPT, _HELLO),
        available=_BOTH,
        settings={"agents": [{"id": "agent-2", "queues": ["billing"]}]},
    ),
    "agent_ends": Scenario("the agent accepts and ends at once", script=(_ACCEPT, Step(do="end"))),
    "customer_ends": Scenario("the agent talks until the customer ends"),
    "both_end": Scenario(
        "the agent ends in the moment in which the customer does",
        {"endDelayMs": 100},
        script=(_ACCEPT, _HELLO, Step(do="end_too")),
    ),
    "fast_fail_before_201": Scenario(
        "task:failed arrives before the 201", {"createDelayMs": -1, "featureEnabled": False}
    ),
    "already_open_same": Scenario(
        "the first 201 is lost, the repeated create meets its own task",
        faults=(_fault({"drop": True, "when": "after", "times": 1}, endpoint="create"),),
    ),
    "already_open_stale": Scenario(
        "task:ended is published while the task stays open",
        script=(_ACCEPT, _HELLO, Step(do="pretend_ended", after_ms=200)),
    ),
    "already_open_unknown": Scenario(
        "somebody else has an open task with the same customer", {"foreignTaskOpen": True}
    ),
    "limit_exceeded": Scenario("no digital contact is left", {"orgContactLimit": 0}),
    "policy_reject": Scenario(
        "the policy permits ten characters and no files", policy={"maxChars": 10, "maxAttachments": 0}
    ),
    "malware_drop": Scenario("every file of a customer fails the malware scan", {"dropAllFiles": True}),
    "pci_mask": Scenario(
        "the agent sends a card number",
        script=(_ACCEPT, Step(do="say", text="Is your card 4111 1111 1111 1111?", after_ms=100)),
    ),
    "duplicate_storm": Scenario(
        "every webhook comes three times: the asset's with the same bytes, the others with new timestamps",
        faults=(
            _fault({"duplicate": 2}, endpoint="asset"),
            _fault({"duplicate": 2, "new_timestamp": True}, endpoint="subscription"),
        ),
    ),
    "reorder": Scenario(
        "neighbouring events change places",
        faults=(
            _fault({"reorder_with": "task:parked"}, event="task:new"),
            _fault({"reorder_with": "task:connected"}, event="task:connect"),
            _fault({"reorder": 1, "times": 1}, endpoint="asset"),
        ),
        script=(_ACCEPT, _HELLO, Step(do="say", text="I have your account in front of me.", after_ms=50)),
    ),
    "lost_ended": Scenario(
        "task:ended is never delivered",
        faults=(_fault({"drop": True}, event="task:ended"),),
        script=(_ACCEPT, _HELLO, *_END),
    ),
    "token_expiry": Scenario("access tokens live five seconds", {"accessTokenTtlS": 5}),
    "rotate_refresh": Scenario(
        "each refresh gives a new refresh token", {"rotateRefreshToken": True, "accessTokenTtlS": 5}
    ),
    "rate_limit": Scenario("ten requests a minute", {"rateLimitPerMinute": 10}),
    "outage_60s": Scenario(
        "every request fails with 503 for a minute", faults=(_fault({"status": 503, "for_ms": 60_000}),)
    ),
    "subscription_inactive": Scenario(
        "the subscriptions become inactive during the conversation",
        script=(_ACCEPT, _HELLO, Step(do="lose_subscriptions"), Step(do="say", text="Are you still there?")),
    ),
    "encrypted_file": Scenario(
        "the agent sends an encrypted file",
        {"encryptFiles": True},
        script=(_ACCEPT, Step(do="attach", text="Here you are.", after_ms=100)),
    ),
    "asset_secret_mismatch": Scenario("the asset signs with another secret", wrong_secret=True),
    "clock_skew": Scenario("timestamps are ten minutes ahead", {"clockSkewMs": 600_000}),
}


def descriptions() -> dict[str, str]:
    """Return what each scenario does, by name."""
    return {name: scenario.description for name, scenario in _SCENARIOS.items()}


def find(name: str) -> Scenario | None:
    """Return the scenario of that name."""
    return _SCENARIOS.get(name)


def begin(sim: Sim, scenario: Scenario) -> None:
    """Install a scenario in an organization that was just reset."""
    patch = dict(scenario.settings)
    if scenario.flow:
        patch["entryPoints"] = [{"id": point.id, "flow": scenario.flow} for point in sim.settings.entry_points]
    if scenario.policy:
        patch["channels"] = [{"name": item.name, "policy": scenario.policy} for item in sim.settings.channels]
    if scenario.wrong_secret:
        patch["assets"] = [
            {"businessAddress": item.business_address, "webhookSecret": "not the secret".ljust(32, ".")}
            for item in sim.settings.assets
        ]
    sim.configure(changed(sim.settings, patch))
    for fault in scenario.faults:
        sim.faults.add(msgspec.convert(fault, FaultRequest))
    sim.director.follow(scenario.script)
    for agent_id in scenario.available:
        agent = sim.world.agents.get(agent_id)
        if agent is not None:
            sim.routing.log_in(agent)
            sim.routing.set_state(agent, AgentState.AVAILABLE)
