"""The language model of an installation with everything that belongs to it."""

from dataclasses import dataclass

import aiohttp
from prometheus_client import CollectorRegistry

from warmline.agent.models.client import ChatCompletions
from warmline.agent.models.endpoint import Endpoint
from warmline.agent.models.metrics import ModelMetrics
from warmline.agent.models.port import ModelPort
from warmline.agent.safety.moderation import ModerationFilter
from warmline.agent.safety.port import SafetyFilter
from warmline.agent.safety.rules import RuleFilter
from warmline.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """A model, where it is, the clock by which it is waited for, and the filter before and behind it."""

    port: ModelPort
    endpoint: Endpoint
    clock: Clock
    safety: SafetyFilter


def open_model(
    endpoint: Endpoint,
    http: aiohttp.ClientSession,
    clock: Clock,
    *,
    registry: CollectorRegistry | None = None,
) -> LanguageModel:
    """Connect to a model.

    Args:
        endpoint: where it is.
        http: the session to ask through; its owner closes it.
        clock: measures and waits.
        registry: takes the metrics.
    """
    port = ChatCompletions(http, endpoint, clock, ModelMetrics(registry))
    safety = ModerationFilter(http, endpoint) if endpoint.moderation_model else RuleFilter()
    return LanguageModel(port=port, endpoint=endpoint, clock=clock, safety=safety)
