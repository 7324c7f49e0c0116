"""Webex fixtures, and webhooks signed as Webex signs them (webex-byoc.md §11.2)."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from warmline.handoff.contract import OpenRequest, Receipt, WebhookRequest
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.ports import InboxRow, Link

_FIXTURES = Path(__file__).resolve().parents[2] / "contract" / "providers" / "webex"

NOW = 1779785508649
"""When the fixtures were sent, epoch milliseconds."""
TASK = "0b8c2c1e-3f0c-4c1c-9d5a-6f2a4f8f6d11"
OLDER_TASK = "7d0f3f8a-54e6-4a1d-8b57-1f1f3f0a9c22"
AGENT = "5f1b2c3d-0a1b-4c2d-8e3f-9a8b7c6d5e4f"
BRIEF = "11111111-2222-4333-8444-555555555555"
SENT = "2a6e2c1b-5d0a-4e0f-9a51-3f6f0f6f7a01"
"""Alias of the customer's message in the fixtures."""
SPOKEN = "9c1d2e3f-4a5b-4c6d-8e7f-0a1b2c3d4e5f"
"""Alias of the agent's message in the fixtures."""

ASSET_SECRET = "a" * 64
EVENTS_SECRET = "e" * 64
SECRETS = {"asset_webhook_secret": ASSET_SECRET, "subscription_secret": EVENTS_SECRET}

VALUES = {
    "region": "us1",
    "org_id": "cb5901fb-ab66-4377-a7bc-5f0b21896952",
    "client_id": "C" + "0" * 64,
    "channel_name": "my-custom-channel",
    "business_address": "support@channel.biz",
}
CONFIG = WebexConfig.read(VALUES)


def fixture(name: str) -> Any:
    """A file of `contract/providers/webex/`."""
    return json.loads((_FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


def raw(event: Any) -> bytes:
    """An event's bytes."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def signature(body: bytes, secret: str) -> str:
    """Computed here by hand, not by the code under test."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def webhook(
    event: Any,
    *,
    secret: str = EVENTS_SECRET,
    endpoint: str = "events",
    received_at: int = NOW + 500,
    stamp: bool = True,
    **headers: str,
) -> WebhookRequest:
    """A webhook as the hooks endpoint hands it over. `headers` replace what Webex would send."""
    body = event if isinstance(event, bytes) else raw(event)
    sent = {"x-webexcc-signature": signature(body, secret), "x-webexcc-webhook-version": "task:1.0.0"}
    if stamp and not isinstance(event, bytes) and event.get("comciscotimestamp") is not None:
        sent["x-webexcc-timestamp"] = str(event["comciscotimestamp"])
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    return WebhookRequest(endpoint=endpoint, headers=sent, body=body, received_at=received_at)


def row(event: Any, receipt: Receipt | None = None, *, connection_id: str = "connection") -> InboxRow:
    """The event as it lies in the inbox."""
    return InboxRow(
        id=1,
        connection_id=connection_id,
        endpoint="events",
        key=receipt.key if receipt else "key",
        remote_id=receipt.remote_id if receipt else TASK,
        received_at=NOW + 500,
        event_at=receipt.event_at if receipt else NOW,
        body=raw(event),
    )


def link(task_id: str = TASK, *, handoff_id: str = "handoff", **data: object) -> Link:
    """The link of a handoff on webchat whose brief went out as BRIEF."""
    known = {"brief": BRIEF, "refusals": 0, "channel": "webchat.polyai", **data}
    return Link(handoff_id=handoff_id, session_id="session", connection_id="connection", remote_id=task_id, data=known)


def open_request(**changes: Any) -> OpenRequest:
    """A handoff on webchat."""
    given: dict[str, Any] = {
        "handoff_id": "handoff",
        "session_id": "session",
        "project_id": "lumen",
        "channel": "webchat.polyai",
        "customer_key": "session",
        "customer_name": "",
        "text": "Reason: billing",
        "message_id": BRIEF,
        "at": NOW,
        "reason": "billing",
    }
    return OpenRequest(**{**given, **changes})
