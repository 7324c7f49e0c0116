"""The webhooks that Warmline registers with Webex (webex-byoc.md §10.1)."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from warmline.handoff.contract import ProviderRejected, ProviderUnavailable
from warmline.handoff.providers.webex.client import WebexClient
from warmline.handoff.providers.webex.wire import millis

_log = structlog.get_logger(__name__)

_TASK_EVENTS = tuple(
    f"task:{name}"
    for name in (
        "new", "parked", "connect", "connected", "on-hold", "hold-done", "consulting", "consult-done",
        "conferencing", "conference-done", "ended", "failed",
    )
)  # fmt: skip
_MESSAGE_EVENTS = ("task-message:appended", "task-message:append-failed")

TRANSCRIPT_READY = "capture:available"
"""A task's transcript can be fetched (§18.3)."""

_PATIENCE = 4
"""So many looks at an endpoint that does not answer; then Webex may try all the same."""

REQUIRED_EVENTS = ("task:new", "task:failed", "task:ended", *_MESSAGE_EVENTS)
"""Without these no handoff can be followed."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One resource per subscription, since `resourceVersion` names one."""

    suffix: str
    resource: str
    events: tuple[str, ...]
    optional: bool = False
    """Nothing depends on it: an organization that does not offer it, or has no room for it, does without."""


_WANTED = (
    _Wanted("task", "task", _TASK_EVENTS),
    _Wanted("msg", "task-message", _MESSAGE_EVENTS),
    _Wanted("capture", "capture", (TRANSCRIPT_READY,), optional=True),
)


class Subscriptions:
    """Keeps our subscriptions as they must be. Ours are known by name; others are never touched.

    Args:
        destination_url: where Webex shall deliver.
        answers: whether our endpoint answers there; asked before an inactive subscription is activated again.
    """

    def __init__(
        self,
        client: WebexClient,
        connection_id: str,
        destination_url: str,
        secret: str,
        *,
        answers: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._client = client
        self._answers = answers
        self._unanswered = 0
        self._prefix = _prefix(connection_id)
        self._url = destination_url
        self._secret = secret

    async def ensure(self) -> bool:
        """Create, repair, re-activate and de-duplicate ours; returns whether news may have got lost before.

        Raises:
            ProviderRejected: the organization does not offer an event that is needed.
            ProviderError: as the client.
        """
        offered, versions = await self._client.event_types()
        missing = [name for name in REQUIRED_EVENTS if name not in offered]
        if missing:
            raise ProviderRejected("event_types_missing", f"the organization does not offer {', '.join(missing)}")
        existing = await self._client.subscriptions()
        silent = False
        for wanted in _WANTED:
            ours = _newest_first(item for item in existing if item.get("name") == self._name(wanted))
            version = versions.get(wanted.resource, "1.0.0")
            if wanted.optional:
                await self._settle_optional(wanted, ours, offered, version)
                continue
            silent = silent or not ours or not _active(ours[0])
            await self._settle(wanted, ours, offered, version)
        return silent

    async def problems(self) -> list[str]:
        """What is wrong with ours right now, in words for the operator; nothing is changed. Raises as the client."""
        existing = await self._client.subscriptions()
        found: list[str] = []
        for wanted in _WANTED:
            name = self._name(wanted)
            ours = [item for item in existing if item.get("name") == name]
            if not ours and not wanted.optional:
                found.append(f"{name} is missing")
            if len(ours) > 1:
                found.append(f"{name} is there {len(ours)} times")
            for item in ours[:1]:
                if not _active(item):
                    found.append(f"{name} is {item.get('status')}")
                if item.get("destinationUrl") != self._url:
                    found.append(f"{name} leads to another address")
        return found

    async def remove(self) -> None:
        """Delete ours."""
        names = {self._name(wanted) for wanted in _WANTED}
        for item in await self._client.subscriptions():
            if item.get("name") in names:
                await self._client.delete_subscription(str(item.get("id")))

    async def _settle_optional(
        self, wanted: _Wanted, ours: list[dict[str, Any]], offered: set[str], version: str
    ) -> None:
        if not any(event in offered for event in wanted.events):
            return
        try:
            await self._settle(wanted, ours, offered, version)
        except ProviderRejected as error:
            _log.warning("webex.subscription_done_without", name=self._name(wanted), hint=error.hint)

    async def _settle(self, wanted: _Wanted, ours: list[dict[str, Any]], offered: set[str], version: str) -> None:
        name = self._name(wanted)
        right: dict[str, object] = {
            "eventTypes": [event for event in wanted.events if event in offered],
            "destinationUrl": self._url,
            "resourceVersion": f"{wanted.resource}:{version}",
            "description": self._description(),
        }
        if not ours:
            await self._client.create_subscription({"name": name, "secret": self._secret, **right})
            _log.info("webex.subscription_created", name=name)
            return
        kept, *doubles = ours
        drift = [key for key, value in right.items() if _differs(kept.get(key), value)]
        if not _active(kept):
            # An incident: what happened meanwhile was not told (§10.1, §11.6).
            _log.error("webex.subscription_was_inactive", name=name, since=str(kept.get("lastUpdatedTime", "")))
            await self._check_endpoint(name)
            drift.append("status")
        if drift:
            body = {**right, "secret": self._secret, "status": "active"}
            await self._client.update_subscription(str(kept.get("id")), body)
            _log.warning("webex.subscription_repaired", name=name, drift=drift)
        for double in doubles:
            await self._client.delete_subscription(str(double.get("id")))
            _log.warning("webex.subscription_double_deleted", name=name)

    async def _check_endpoint(self, name: str) -> None:
        """Webex gave it up because deliveries failed: to no avail before they can succeed (§10.1).

        From within some networks a public address does not answer, so this does not count for ever.
        """
        if self._answers is None or await self._answers():
            self._unanswered = 0
            return
        self._unanswered += 1
        if self._unanswered < _PATIENCE:
            raise ProviderUnavailable("endpoint_silent", f"{name} is inactive, and {self._url} does not answer")
        _log.warning("webex.endpoint_not_reached_from_here", name=name)

    def _name(self, wanted: _Wanted) -> str:
        return f"{self._prefix}-{wanted.suffix}"

    def _description(self) -> str:
        """Tells which secret it was registered with: Webex never gives it back, so this is how drift shows."""
        return f"Warmline ({hashlib.sha256(self._secret.encode()).hexdigest()[:12]})"


def _prefix(connection_id: str) -> str:
    """Names have at most 64 characters."""
    name = f"warmline-{connection_id}"
    return name if len(name) <= 55 else f"warmline-{hashlib.sha256(connection_id.encode()).hexdigest()[:32]}"


def _newest_first(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=lambda item: millis(item.get("createdTime")), reverse=True)


def _active(item: dict[str, Any]) -> bool:
    return str(item.get("status", "active")).lower() == "active"


def _differs(found: object, wanted: object) -> bool:
    if isinstance(found, list) and isinstance(wanted, list):
        return sorted(map(str, found)) != sorted(map(str, wanted))
    return found != wanted
