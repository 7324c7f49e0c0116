"""The Subscriptions API, versions 1 and 2, which do not see each other's subscriptions (§10)."""

import uuid
from typing import Any

from warmline.emulators.webex.errors import ApiError
from warmline.emulators.webex.events import RESOURCE_VERSIONS, event_types
from warmline.emulators.webex.state import Subscription, World
from warmline.emulators.webex.validation import url_problems


class Subscriptions:
    """Registers webhooks. `family` is always `v1` or `v2`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def types(self, family: str) -> dict[str, Any]:
        """Return the list of event types."""
        meta: dict[str, Any] = {"orgId": self._world.settings.org_id}
        if family == "v2":
            meta["resourceVersionList"] = [
                {"resource": resource, "version": version} for resource, version in RESOURCE_VERSIONS.items()
            ]
        return {"meta": meta, "data": event_types(family)}

    def create(self, family: str, body: dict[str, Any]) -> dict[str, Any]:
        """Register a subscription.

        Raises:
            ApiError: 400 with every problem of the body, 403 for another organization or beyond the maximum.
        """
        settings = self._world.settings
        problems = self._problems(family, body, ("name", "eventTypes", "destinationUrl"))
        if problems:
            raise ApiError(400, *problems)
        self._same_organization(body)
        if len(self._world.subscriptions) >= settings.subscription_limit:
            raise ApiError(403, f"The organization's maximum of {settings.subscription_limit} subscriptions is reached")
        now = self._world.clock.now_ms()
        subscription = Subscription(
            id=self._world.ids.uuid("subscription"),
            family=family,
            name=body["name"],
            event_types=list(body["eventTypes"]),
            destination_url=body["destinationUrl"],
            status="active",
            created_ms=now,
            updated_ms=now,
            resource_version=body.get("resourceVersion"),
            secret=body.get("secret"),
            description=body.get("description"),
        )
        self._world.subscriptions[subscription.id] = subscription
        return {"meta": {"orgId": settings.org_id}, "data": self._view(subscription)}

    def all(self, family: str) -> dict[str, Any]:
        """List the subscriptions of a family; `subscriptionCount` counts both."""
        return {
            "meta": {
                "orgId": self._world.settings.org_id,
                "subscriptionCount": len(self._world.subscriptions),
            },
            "data": [self._view(item) for item in self._world.subscriptions.values() if item.family == family],
        }

    def one(self, family: str, subscription_id: str) -> dict[str, Any]:
        """Return one subscription.

        Raises:
            ApiError: 404.
        """
        subscription = self._find(family, subscription_id)
        return {"meta": {"orgId": self._world.settings.org_id}, "data": self._view(subscription)}

    def update(self, family: str, subscription_id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Change a subscription; activating it forgets its failures.

        Raises:
            ApiError: 400 with every problem of the body, 403 for another organization, 404.
        """
        subscription = self._find(family, subscription_id)
        problems = self._problems(family, body, ())
        if "name" in body:
            problems.append("name: cannot be changed")
        if body.get("status", "active") not in ("active", "inactive"):
            problems.append("status: must be active or inactive")
        if problems:
            raise ApiError(400, *problems)
        self._same_organization(body)
        subscription.event_types = list(body.get("eventTypes", subscription.event_types))
        subscription.destination_url = body.get("destinationUrl", subscription.destination_url)
        subscription.secret = body.get("secret", subscription.secret)
        subscription.description = body.get("description", subscription.description)
        subscription.resource_version = body.get("resourceVersion", subscription.resource_version)
        subscription.status = body.get("status", subscription.status)
        subscription.updated_ms = self._world.clock.now_ms()
        if body.get("status") == "active":
            subscription.consecutive_failures = 0
        return self.one(family, subscription_id)

    def delete(self, family: str, subscription_id: str) -> None:
        """Remove a subscription.

        Raises:
            ApiError: 404.
        """
        self._find(family, subscription_id)
        del self._world.subscriptions[subscription_id]

    def _find(self, family: str, subscription_id: str) -> Subscription:
        subscription = self._world.subscriptions.get(subscription_id)
        if subscription is None or subscription.family != family:
            raise ApiError(404, f"Subscription {subscription_id} not found")
        return subscription

    def _same_organization(self, body: dict[str, Any]) -> None:
        if body.get("orgId", self._world.settings.org_id) != self._world.settings.org_id:
            raise ApiError(403, "orgId: belongs to another organization")

    def _problems(self, family: str, body: dict[str, Any], required: tuple[str, ...]) -> list[str]:
        known = {item["name"] for item in event_types(family)}
        problems = [f"{name}: is required" for name in required if body.get(name) is None]
        problems += _length(body, "name", 4, 64) + _length(body, "secret", 32, 256)
        problems += _length(body, "description", 0, 1024)
        types = body.get("eventTypes")
        if types is not None:
            if not isinstance(types, list) or not 1 <= len(types) <= 32:
                problems.append("eventTypes: must be a list of 1 to 32 event types")
            else:
                problems += [f"eventTypes: {item} is unknown" for item in types if str(item) not in known]
        if body.get("destinationUrl") is not None:
            problems += url_problems("destinationUrl", body["destinationUrl"], self._world.settings.relaxed)
        if family == "v2":
            problems += _version_problems(body.get("resourceVersion"))
        if "orgId" in body and not _is_uuid(body["orgId"]):
            problems.append("orgId: must be a UUID")
        return problems

    def _view(self, subscription: Subscription) -> dict[str, Any]:
        view = {
            "id": subscription.id,
            "name": subscription.name,
            "description": subscription.description,
            "eventTypes": subscription.event_types,
            "destinationUrl": subscription.destination_url,
            "status": subscription.status,
            "createdTime": subscription.created_ms,
            "createdBy": self._world.settings.client_id[:12],
            "lastUpdatedTime": subscription.updated_ms,
            "lastUpdatedBy": self._world.settings.client_id[:12],
        }
        if subscription.family == "v2":
            view["resourceVersion"] = subscription.resource_version
        return view


def _length(body: dict[str, Any], name: str, least: int, most: int) -> list[str]:
    value = body.get(name)
    if value is None or (isinstance(value, str) and least <= len(value) <= most):
        return []
    return [f"{name}: must be a string of {least} to {most} characters"]


def _version_problems(value: Any) -> list[str]:
    if value is None:
        return ["resourceVersion: is required"]
    if not isinstance(value, str) or not 1 <= len(value) <= 50:
        return ["resourceVersion: must be a string of 1 to 50 characters"]
    resource, _, version = value.partition(":")
    if RESOURCE_VERSIONS.get(resource) != version:
        return [f"resourceVersion: {value} is unknown"]
    return []


def _is_uuid(value: Any) -> bool:
    try:
        uuid.UUID(str(value))
    except ValueError:
        return False
    return True
