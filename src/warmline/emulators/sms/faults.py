"""Faults on purpose: rules that spoil API requests and webhooks.

A rule is `{"match": {"endpoint"}, "effect": {…}}`. Endpoints: `send` (POST Messages), `list` (GET Messages), `account`,
`media`, `inbound` (webhooks of texts from phones), `status` (webhooks of what became of texts), `fetch` (the carrier
fetches the files of a text).

Effects on requests: `status` (with `retry_after` in seconds, `code` for the carrier's own error number) answers with
that error, `drop` cuts the connection, `delay_ms` waits, and `when` says whether `before` (default) or `after` the
request was carried out. Effects on webhooks: `drop` loses it, `delay_ms` sends it later, `duplicate` sends it again so
often, `reorder` lets the next one of the same kind go first. Fetching fails with `code` as the error of the text
(30019 when left out), after `delay_ms`. `times` limits how often a rule applies.
"""

import itertools
from typing import Any, Literal

import msgspec

ENDPOINTS = ("send", "list", "account", "media", "inbound", "status", "fetch")


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule applies to."""

    endpoint: str = "*"

    def __post_init__(self) -> None:
        if self.endpoint not in ("*", *ENDPOINTS):
            raise ValueError(f"match.endpoint must be one of {', '.join(ENDPOINTS)}")


class Effect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule does."""

    status: int | None = None
    code: int | None = None
    retry_after: int | None = None
    delay_ms: int = 0
    drop: bool = False
    when: Literal["before", "after"] = "before"
    duplicate: int = 0
    reorder: bool = False
    times: int | None = None


class FaultRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /__sim/v1/faults`."""

    effect: Effect
    match: Match = Match()


class Faults:
    """The installed rules; the first one that matches applies."""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[FaultRequest, int]] = {}
        self._numbers = itertools.count(1)

    def add(self, request: FaultRequest) -> str:
        """Install a rule; returns its id."""
        rule_id = f"fault-{next(self._numbers)}"
        self._rules[rule_id] = (request, 0)
        return rule_id

    def views(self) -> list[dict[str, Any]]:
        """The rules as the control plane shows them."""
        return [
            {"id": rule_id, "match": rule.match, "effect": rule.effect, "applied": applied}
            for rule_id, (rule, applied) in self._rules.items()
        ]

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def take(self, endpoint: str) -> Effect | None:
        """What happens to this request or webhook; counts it."""
        for rule_id, (rule, applied) in self._rules.items():
            if rule.match.endpoint not in ("*", endpoint):
                continue
            if rule.effect.times is not None and applied >= rule.effect.times:
                continue
            self._rules[rule_id] = (rule, applied + 1)
            return rule.effect
        return None
