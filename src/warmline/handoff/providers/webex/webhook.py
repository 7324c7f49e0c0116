"""Which webhooks are genuine, and where they belong in order (webex-byoc.md §11)."""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import msgspec

from warmline.handoff.contract import Receipt, WebhookRefused, WebhookRequest
from warmline.handoff.providers.webex import mapping, wire
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.providers.webex.subscriptions import TRANSCRIPT_READY
from warmline.handoff.rotate import UNTIL_USED

SIGNATURE = "x-webexcc-signature"
TIMESTAMP = "x-webexcc-timestamp"

ENDPOINTS = ("asset", "events")
"""Last part of the URLs that Webex is given (manifest.toml)."""

STALE_MS = 300_000
STALE_ACCEPTED_MS = 24 * 3600 * 1000

SECRETS = ("asset_webhook_secret", "subscription_secret")
"""Both are accepted on both endpoints, since administrators mix the URLs up."""


def accepted_secrets(secrets: Mapping[str, str], now: int, endpoint: str = "asset") -> Iterator[str]:
    """The secrets that sign at `now` (ms): the current ones, and previous ones until their `…_until` (ms, or used).

    The likeliest come first: that of the endpoint, if nobody mixed the URLs up.
    """
    names = SECRETS if endpoint == ENDPOINTS[0] else SECRETS[::-1]
    yield from filter(None, map(secrets.get, names))
    for name in names:
        until = secrets.get(f"{name}_previous_until", "")
        if secrets.get(f"{name}_previous") and (until == UNTIL_USED or (_number(until) and now < int(until))):
            yield from secrets[f"{name}_previous"].split()


def retired(secrets: Mapping[str, str], request: WebhookRequest) -> tuple[str, ...]:
    """The secrets whose predecessor is not needed any more, now that this genuine webhook was signed with them.

    Only those that wait for it: the others' predecessors stay until their time is over (§10.1).
    """
    return tuple(
        name
        for name in SECRETS
        if secrets.get(f"{name}_previous_until") == UNTIL_USED and _signed((secrets.get(name, ""),), request)
    )


def sign(secret: str, body: bytes) -> str:
    """The signature of a body (§11.2): lower-case hex of HMAC-SHA256."""
    keyed = _keyed(secret).copy()
    keyed.update(body)
    return keyed.hexdigest()


@lru_cache(maxsize=64)
def _keyed(secret: str) -> hmac.HMAC:
    """Made once: `hmac.digest` looks the algorithm up anew each time, and lets other threads run meanwhile."""
    return hmac.new(secret.encode(), digestmod=hashlib.sha256)


def verify(config: WebexConfig, secrets: Mapping[str, str], request: WebhookRequest) -> Receipt | None:
    """Check a webhook as §11.3 says; None: genuine, and nothing to keep.

    Raises:
        WebhookRefused: 404 not one of our endpoints, 401 forged or of another organization, 403 stale, 400 malformed.
    """
    if request.endpoint not in ENDPOINTS:
        raise WebhookRefused("unknown_endpoint", 404)
    if not _signed(accepted_secrets(secrets, request.received_at, request.endpoint), request):
        if config.hides_bad_signatures:
            return None
        raise WebhookRefused("bad_signature", 401)
    try:
        envelope = wire.envelope_decoder.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WebhookRefused("not_an_envelope", 400) from error
    if envelope.comciscoorgid and envelope.comciscoorgid.lower() != config.org_id:
        raise WebhookRefused("other_organization", 401)
    _check_time(config, envelope, request)
    if not envelope.event_id or not envelope.type:
        raise WebhookRefused("id_and_type_required", 400)
    if _of_another_channel(config, envelope) or not _kept(envelope):
        return None
    return _receipt(envelope, request)


def _signed(secrets: Iterable[str], request: WebhookRequest) -> bool:
    given = request.headers.get(SIGNATURE, "").strip().lower().encode("utf-8", "surrogateescape")
    if not given:
        return False
    return any(hmac.compare_digest(given, sign(secret, request.body).encode()) for secret in secrets)


def _check_time(config: WebexConfig, envelope: wire.Envelope, request: WebhookRequest) -> None:
    header = request.headers.get(TIMESTAMP)
    if header is None:
        return
    stamp = header.strip()
    body = str(envelope.comciscotimestamp).strip()
    if not _number(stamp) or not _number(body) or int(stamp) != int(body):
        raise WebhookRefused("timestamp_mismatch", 401)
    age = request.received_at - int(stamp)
    late = STALE_ACCEPTED_MS if config.accepts_stale else STALE_MS
    if age > late or age < -STALE_MS:
        raise WebhookRefused("stale", 403, "timestamp is off by more than allowed: check the server's clock")


def _of_another_channel(config: WebexConfig, envelope: wire.Envelope) -> bool:
    """Subscriptions tell of every task of the organization, calls and e-mails too."""
    data = envelope.body
    kind, channel = data.get("channelType"), data.get("channel")
    if isinstance(kind, str) and kind and kind.replace("_", "").lower() != wire.CHANNEL_TYPE.lower():
        return True
    return isinstance(channel, str) and bool(channel) and channel != config.channel_name


def _kept(envelope: wire.Envelope) -> bool:
    kind = envelope.type or ""
    return (kind.startswith(("task:", "task-message:")) or kind == TRANSCRIPT_READY) and bool(envelope.task_id)


def _receipt(envelope: wire.Envelope, request: WebhookRequest) -> Receipt:
    kind, task_id = envelope.type or "", envelope.task_id
    key = _transport_key(envelope, request.body)
    sent_at = envelope.sent_at or request.received_at
    if kind.startswith("task:"):
        terminal = kind in ("task:ended", "task:failed")
        rank = mapping.TERMINAL_RANK if terminal else mapping.RANKS.get(kind, 0)
        event_at = envelope.happened_at or request.received_at
        return Receipt(key=key, remote_id=task_id, event_at=event_at, rank=rank, terminal=terminal)
    if kind == TRANSCRIPT_READY:
        return Receipt(key=key, remote_id=task_id, event_at=sent_at, hold=False)
    data = envelope.body
    if kind == "task-message:appended" and mapping.is_outbound(data):
        return Receipt(key=key, remote_id=task_id, event_at=sent_at, rank=mapping.MESSAGE_RANK)
    # An append that found no task says that it has ended: texts still under way come first.
    over = kind == "task-message:append-failed" and data.get("reason") == mapping.TASK_GONE
    return Receipt(key=key, remote_id=task_id, event_at=sent_at, rank=mapping.TERMINAL_RANK, hold=over, terminal=over)


def _transport_key(envelope: wire.Envelope, body: bytes) -> str:
    """§11.4. Without a timestamp only the same bytes are the same delivery: ids are used again within a task."""
    stamp = envelope.comciscotimestamp
    rest = hashlib.sha256(body).hexdigest() if stamp is None else stamp
    return hashlib.sha256(f"{envelope.type}|{envelope.event_id}|{envelope.task_id}|{rest}".encode()).hexdigest()


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
