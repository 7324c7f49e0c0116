"""From an event to the bytes on the wire: destinations, CloudEvents envelope, headers, signature (§11.1, §11.2)."""

import hashlib
import hmac
import uuid
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from warmline.emulators.webex.events import RESOURCE_VERSIONS, resource_of
from warmline.emulators.webex.settings import AssetSpec, SimSettings
from warmline.emulators.webex.state import Subscription, World

Audience = Literal["subscriptions", "asset", "both"]


@dataclass(slots=True, frozen=True)
class Event:
    """Something that happened, to be told to those it concerns.

    `id` is the envelope's id, `at_ms` the base of `comciscotimestamp`, `address` the business address of the task.
    """

    type: str
    task_id: str
    at_ms: int
    data: dict[str, Any]
    audience: Audience
    id: str
    address: str = ""


@dataclass(slots=True, frozen=True)
class Destination:
    """Where a delivery goes. `key` is stable while the URL may change."""

    kind: Literal["asset", "subscription"]
    key: str
    url: str
    secret: str | None
    source_id: str
    is_v2: bool
    timestamped: bool


@dataclass(slots=True)
class Delivery:
    """One event for one destination; `body` holds the bytes of every attempt."""

    event: Event
    destination: Destination
    body: bytes
    headers: dict[str, str]


def destinations(world: World, event: Event) -> list[Destination]:
    """Return everyone whom `event` concerns at this moment."""
    found: list[Destination] = []
    if event.audience != "subscriptions":
        asset = world.asset(event.address)
        if asset is not None and asset.webhook_url:
            found.append(_asset_door(world.settings, asset))
    if event.audience != "asset":
        found += [
            _subscription_door(subscription)
            for subscription in world.subscriptions.values()
            if subscription.status == "active" and event.type in subscription.event_types
        ]
    return found


def _asset_door(settings: SimSettings, asset: AssetSpec) -> Destination:
    return Destination(
        kind="asset",
        key=f"asset:{asset.business_address}",
        url=asset.webhook_url,
        secret=asset.webhook_secret or None,
        source_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"asset.{asset.business_address}.webex-sim")),
        is_v2=True,
        timestamped=settings.asset_timestamp_header,
    )


def _subscription_door(subscription: Subscription) -> Destination:
    is_v2 = subscription.family == "v2"
    return Destination(
        kind="subscription",
        key=subscription.id,
        url=subscription.destination_url,
        secret=subscription.secret,
        source_id=subscription.id,
        is_v2=is_v2,
        timestamped=is_v2,
    )


def sealed(settings: SimSettings, event: Event, destination: Destination) -> Delivery:
    """Return the event as it is sent to `destination`: body, version and timestamp headers, signature."""
    headers = {"Content-Type": "application/json"}
    envelope: dict[str, Any] = {
        "id": event.id,
        "specversion": "1.0",
        "type": event.type,
        "source": f"/com/cisco/wxcc/{destination.source_id}",
        "comciscoorgid": settings.org_id,
    }
    if destination.is_v2:
        stamp = event.at_ms + settings.clock_skew_ms
        resource = resource_of(event.type)
        envelope["comciscotimestamp"] = str(stamp) if settings.timestamp_as_string else stamp
        headers["X-WebexCC-Webhook-Version"] = f"{resource}:{RESOURCE_VERSIONS[resource]}"
        if destination.timestamped:
            headers["X-WebexCC-Timestamp"] = str(stamp)
    envelope["datacontenttype"] = "application/json"
    envelope["data"] = event.data
    body = msgspec.json.encode(envelope)
    if destination.secret:
        signature = hmac.new(destination.secret.encode(), body, hashlib.sha256)
        headers["X-WebexCC-Signature"] = signature.hexdigest()
    return Delivery(event, destination, body, headers)
