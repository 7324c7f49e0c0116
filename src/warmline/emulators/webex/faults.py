"""Faults on purpose: rules that spoil API requests and webhook deliveries (§20.7).

A rule is `{"match": {"endpoint", "event", "taskId"}, "effect": {…}}`; what is not named in `match` matches all.

`match.endpoint` for API requests: `token`, `create`, `append`, `end`, `tasks`, `subscriptions`, `event-types`,
`search`, `captures`, `users`, `files`, `kms`, or a path with wildcards (`/v2/tasks/*`). For webhooks: `asset`,
`subscription`, or `webhook` for both; `match.event` is an event type with wildcards (`task:*`). A rule that names
an event concerns webhooks only.

Effects on requests: `status` (with `retry_after` in seconds) answers with that error, `drop` cuts the connection,
`delay_ms` waits, and `when` says whether that happens `before` (default) or `after` the request was carried out;
`nonsense` carries it out and answers with its status and a body that is no JSON;
`reason` makes the asynchronous half of `create` or `append` fail with that reason.
Effects on webhooks: `drop` loses it, `status` counts as an attempt that was answered so (nothing is sent),
`delay_ms` sends later, `duplicate` (true or a number) sends the same bytes again, `new_timestamp` gives those
copies a new timestamp and signature, `reorder_with` holds it back until the next event of that type of the same
task went to the same place, `reorder` until that many others did. `times` limits how often a rule applies,
`for_ms` how long (without them: until it is removed).
"""

import fnmatch
import itertools
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from warmline.emulators.webex.clock import SimClock

WEBHOOK_ENDPOINTS = ("webhook", "asset", "subscription")
REQUEST_ENDPOINTS = (
    "token", "create", "append", "end", "tasks", "subscriptions", "event-types", "search", "captures", "users",
    "files", "kms",
)  # fmt: skip


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule applies to."""

    endpoint: str = "*"
    event: str = "*"
    task_id: str = msgspec.field(default="*", name="taskId")


class Effect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule does; see the module's text."""

    status: int | None = None
    retry_after: int | None = None
    delay_ms: int = 0
    drop: bool = False
    when: Literal["before", "after"] = "before"
    nonsense: bool = False
    reason: str | None = None
    duplicate: bool | int = False
    new_timestamp: bool = False
    reorder_with: str | None = None
    reorder: int = 0
    times: int | None = None
    for_ms: int | None = None

    @property
    def only_for_webhooks(self) -> bool:
        """Whether the effect makes sense for webhooks only."""
        return bool(self.duplicate or self.reorder_with or self.reorder)


class FaultRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /__sim/v1/faults`."""

    effect: Effect
    match: Match = Match()

    @property
    def about_webhooks(self) -> bool:
        """Whether the rule concerns webhooks rather than API requests."""
        if self.match.endpoint == "*":
            return self.match.event != "*" or self.effect.only_for_webhooks
        return self.match.endpoint in WEBHOOK_ENDPOINTS

    def __post_init__(self) -> None:
        known = ("*", *REQUEST_ENDPOINTS, *WEBHOOK_ENDPOINTS)
        if self.match.endpoint not in known and not self.match.endpoint.startswith("/"):
            raise ValueError(f"match.endpoint must be a path or one of {', '.join(known)}")
        if not self.about_webhooks and (self.match.event != "*" or self.effect.only_for_webhooks):
            raise ValueError("match.event, duplicate, reorder and reorder_with are for webhooks only")


class Rule:
    """An installed fault and how often it applied."""

    __slots__ = ("about_webhooks", "applied", "effect", "ends_ms", "id", "match")

    def __init__(self, rule_id: str, request: FaultRequest, now_ms: int) -> None:
        self.id = rule_id
        self.match = request.match
        self.effect = request.effect
        self.about_webhooks = request.about_webhooks
        self.ends_ms = None if request.effect.for_ms is None else now_ms + request.effect.for_ms
        self.applied = 0

    def view(self) -> dict[str, Any]:
        """Return the rule as the control plane shows it."""
        return {"id": self.id, "match": self.match, "effect": self.effect, "applied": self.applied}

    def used_up(self, now_ms: int) -> bool:
        """Return whether it applies no more."""
        if self.effect.times is not None and self.applied >= self.effect.times:
            return True
        return self.ends_ms is not None and now_ms >= self.ends_ms

    def take(self) -> Effect:
        """Return the effect and count it."""
        self.applied += 1
        return self.effect


class Faults:
    """The installed rules; the first one that matches applies."""

    def __init__(self, clock: SimClock) -> None:
        self._clock = clock
        self._rules: dict[str, Rule] = {}
        self._working: dict[str, Rule] = {}
        """Those that may still apply: hours of faults must not slow every request down."""
        self._numbers = itertools.count(1)

    def add(self, request: FaultRequest) -> Rule:
        """Install a rule."""
        rule = Rule(f"fault-{next(self._numbers)}", request, self._clock.now_ms())
        self._rules[rule.id] = self._working[rule.id] = rule
        return rule

    def all(self) -> list[Rule]:
        """Return the installed rules, oldest first."""
        return list(self._rules.values())

    def remove(self, rule_id: str) -> bool:
        """Remove one rule; False when there is none of that id."""
        self._working.pop(rule_id, None)
        return self._rules.pop(rule_id, None) is not None

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()
        self._working.clear()

    def for_request(self, endpoint: str, path: str, task_id: str) -> Effect | None:
        """Return what happens to an API request (not counting the rules with a `reason`)."""
        for rule in self._applicable():
            match = rule.match
            if rule.effect.reason is not None or rule.about_webhooks:
                continue
            where = path if match.endpoint.startswith("/") else endpoint
            if fnmatch.fnmatchcase(where, match.endpoint) and fnmatch.fnmatchcase(task_id, match.task_id):
                return rule.take()
        return None

    def reason_for(self, endpoint: str, task_id: str) -> str | None:
        """Return the reason with which the asynchronous half of `endpoint` has to fail."""
        for rule in self._applicable():
            if (
                rule.effect.reason is not None
                and rule.match.endpoint in ("*", endpoint)
                and fnmatch.fnmatchcase(task_id, rule.match.task_id)
            ):
                return rule.take().reason
        return None

    def for_webhook(self, destination: str, event: str, task_id: str) -> Effect | None:
        """Return what happens to a webhook delivery to `destination` (`asset` or `subscription`)."""
        for rule in self._applicable():
            match = rule.match
            if (
                rule.about_webhooks
                and match.endpoint in ("*", "webhook", destination)
                and fnmatch.fnmatchcase(event, match.event)
                and fnmatch.fnmatchcase(task_id, match.task_id)
            ):
                return rule.take()
        return None

    def _applicable(self) -> Iterator[Rule]:
        """Yield the rules that apply now, oldest first."""
        now_ms = self._clock.now_ms()
        for rule in list(self._working.values()):
            if rule.used_up(now_ms):
                del self._working[rule.id]
            else:
                yield rule
