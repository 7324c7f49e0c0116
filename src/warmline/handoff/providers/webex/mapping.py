"""Between Webex's tasks and our handoffs: requests out, commands in (webex-byoc.md §7, §12.3, §15). Pure."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET

from warmline.domain import commands as c
from warmline.domain import texts
from warmline.domain.messages import Attachment, LiveAgent
from warmline.handoff.contract import OpenRefused, OpenRequest, Parsed, RemoteFile, Resend
from warmline.handoff.providers.webex import wire
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.rich_text import customer_text
from warmline.ports import Link

# --- requests ----------------------------------------------------------------------------------------------------

OPTIONS = frozenset({"global_variables", "flow_settings", "origin_name", "brief", "connection"})
"""Keys of the `webex_integration` object (webex-byoc.md §4). `brief` and `connection` are used before we are asked."""

_KEY_BYTES = 200
_VARIABLES = (30, 1024)
_SETTINGS = (15, 512)


def create_task(
    config: WebexConfig, request: OpenRequest, install_secret: bytes
) -> tuple[wire.CreateTask, tuple[str, ...]]:
    """The body of Create Task, and what was left out of it because Webex would refuse it (names, no values)."""
    options = request.options
    variables, odd_variables = _strings(config.global_variables, options, "global_variables", _VARIABLES, request)
    settings, odd_settings = _strings(config.flow_settings, options, "flow_settings", _SETTINGS, request)
    unknown = tuple(str(key) for key in options if key not in OPTIONS)
    name = options.get("origin_name")
    task = wire.CreateTask(
        origin=wire.Origin(
            id=origin_id(config, request, install_secret),
            name=str(name) if name else request.customer_name or _customer(request.channel),
        ),
        destination=wire.Destination(config.business_address),
        channel=config.channel_name,
        channel_params=wire.ChannelParams(wire.Message(request.message_id, request.text, request.at)),
        global_variables=variables or UNSET,
        flow_settings=settings or UNSET,
    )
    return task, (*unknown, *odd_variables, *odd_settings)


def origin_id(config: WebexConfig, request: OpenRequest, install_secret: bytes) -> str:
    """The customer as Webex knows them (§7.4): stable per scope, and nothing can be read from it."""
    channel = _kind(request.channel)
    key = request.customer_key if _per_customer(config, channel) else request.session_id
    digest = hmac.new(install_secret, f"{request.project_id}|{channel}|{key}".encode(), hashlib.sha256)
    return f"wl:{channel}:{digest.hexdigest()[:32]}"


def append_message(alias_id: str, text: str, at: int, attachments: Sequence[Attachment] = ()) -> wire.AppendMessage:
    """The body of Task Messages; files without words go with an empty text (§13.1)."""
    if not attachments:
        return wire.AppendMessage(wire.ChannelParams(wire.Message(alias_id, text, at)))
    files = tuple(wire.SentFile(file.title, file.mime_type, file.content_url) for file in attachments)
    message = wire.Message(alias_id, text, at, files)
    return wire.AppendMessage(wire.ChannelParams(message, "text-with-attachments"))


def _kind(channel: str) -> str:
    return channel.partition(".")[0].lower() or "webchat"


def _customer(channel: str) -> str:
    return "SMS customer" if _kind(channel) == "sms" else "Webchat visitor"


def _strings(
    base: Mapping[str, str], options: Mapping[str, object], name: str, bounds: tuple[int, int], request: OpenRequest
) -> tuple[dict[str, str], tuple[str, ...]]:
    entries, value_bytes = bounds
    given = options.get(name)
    merged: dict[str, object] = {key: _filled(value, request) for key, value in base.items()}
    odd: list[str] = []
    if isinstance(given, Mapping):
        merged.update({str(key): value for key, value in given.items()})
    elif given is not None:
        odd.append(name)
    kept: dict[str, str] = {}
    for key, value in merged.items():
        text = _as_text(value)
        fits = text is not None and 0 < len(key.encode()) <= _KEY_BYTES and len(text.encode()) <= value_bytes
        if text is None or not fits or len(kept) >= entries:
            odd.append(f"{name}.{key[:40]}")
        else:
            kept[key] = text
    return kept, tuple(odd)


def _as_text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _filled(template: str, request: OpenRequest) -> str:
    known = {
        "handoff.reason": request.reason,
        "handoff.destination": request.destination,
        "session.id": request.session_id,
        "session.channel": request.channel,
    }
    return re.sub(r"\{\{\s*([a-z.]+)\s*\}\}", lambda found: known.get(found[1], found[0]), template)


# --- what a link remembers -----------------------------------------------------------------------------------------


def link_data(request: OpenRequest) -> dict[str, object]:
    """What has to be known of a handoff when its webhooks are read."""
    return {
        "brief": request.message_id,
        "refusals": request.refusals,
        "channel": request.channel,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """What the provider remembers beside the link; may be empty, as after a restart.

    `sent` are texts handed to Webex and not confirmed, by alias, oldest first. `own_tasks` are tasks created for
    this same handoff, `other_tasks` for others.
    """

    sent: Mapping[str, str] = field(default_factory=dict)
    own_tasks: frozenset[str] = frozenset()
    other_tasks: frozenset[str] = frozenset()


# --- webhooks ------------------------------------------------------------------------------------------------------

RANKS = {"task:new": 30, "task:parked": 40, "task:connect": 50, "task:connected": 60}
"""Order among lifecycle events of the same time (§16.1)."""
MESSAGE_RANK = 70
TERMINAL_RANK = 100

TASK_GONE = "NOT_FOUND"
"""Reason of a failed append whose task is not open any more (§15.1)."""


def is_outbound(data: Mapping[str, object]) -> bool:
    """A message towards the customer: said so, or sent by an agent or the flow (§12.2)."""
    direction = data.get("messageDirection")
    if isinstance(direction, str) and direction:
        return direction.upper() == "OUTBOUND"
    return _sender(data) in ("agent", "system")


def parse(
    config: WebexConfig, envelope: wire.Envelope, link: Link, recall: Recall, *, now: int, received_at: int
) -> Parsed:
    """What a webhook means for the handoff of `link` (§12.3)."""
    kind = envelope.type or ""
    if kind == "task-message:appended":
        return _appended(config, envelope, link, recall, now, received_at)
    if kind == "task-message:append-failed":
        return _append_failed(envelope, link, recall, now)
    at = envelope.happened_at or received_at
    key = f"{kind}:{envelope.task_id}:{envelope.happened_at or envelope.event_id}"
    handoff_id, data = link.handoff_id, envelope.body
    command: c.ProviderCommand
    match kind:
        case "task:new" | "task:connect":
            command = c.ConversationOpened(at=now, handoff_id=handoff_id, provider_at=at)
        case "task:parked":
            command = c.ConversationQueued(at=now, handoff_id=handoff_id, provider_at=at, queue_name=config.queue_name)
        case "task:connected":
            agent = LiveAgent(id=_text(data, "agentId"))
            command = c.AgentJoined(at=now, handoff_id=handoff_id, provider_at=at, agent=agent)
        case "task:ended":
            command = c.ConversationEnded(at=now, handoff_id=handoff_id, provider_at=at, reason=_reason(data))
            return Parsed(command=command, dedup_key=key, doubtful=_perhaps_requeued(data))
        case "task:failed":
            return Parsed(refused=_refused(config, envelope, link, recall), dedup_key=key)
        case "capture:available":
            return Parsed(transcript=True)
        case _:
            return Parsed()
    return Parsed(command=command, dedup_key=key)


def _appended(
    config: WebexConfig, envelope: wire.Envelope, link: Link, recall: Recall, now: int, received_at: int
) -> Parsed:
    data = envelope.body
    content = wire.content_of(data)
    alias = (content.alias_id if content else "") or envelope.event_id
    at = envelope.sent_at or received_at
    outbound = is_outbound(data)
    key = f"message:{envelope.task_id}:{alias}:{'OUTBOUND' if outbound else 'INBOUND'}"
    if outbound:
        if content is None:
            return Parsed()
        text = customer_text(content.text, markup=_kind(_text_of(link, "channel")) != "sms").strip()
        files = tuple(_remote(file, config.encrypted_files) for file in content.files)
        if not text and not files:
            return Parsed()
        sender = _text(data, "senderId")
        agent = LiveAgent(id=sender) if _sender(data) == "agent" or sender else None
        message = c.AgentMessage(
            at=now, handoff_id=link.handoff_id, provider_at=at, message_id=alias, text=text, agent=agent
        )
        return Parsed(command=message, dedup_key=key, files=files)
    if alias == link.data.get("brief"):
        opened = c.ConversationOpened(at=now, handoff_id=link.handoff_id, provider_at=at)
        return Parsed(command=opened, dedup_key=key)
    dropped = "attachments were dropped" in _text(data, "eventDetails").lower()
    confirmed = c.MessageConfirmed(
        at=now,
        handoff_id=link.handoff_id,
        provider_at=at,
        message_id=alias,
        stored_text=content.text if content and recall.sent.get(alias) != content.text else None,
        kept=tuple(file.url for file in content.files) if dropped and content else () if dropped else None,
    )
    return Parsed(command=confirmed, dedup_key=key)


def _append_failed(envelope: wire.Envelope, link: Link, recall: Recall, now: int) -> Parsed:
    """§15.1. It names no message: the envelope's id is the alias where Webex reused it, else it is the oldest sent."""
    alias = envelope.event_id
    if alias not in recall.sent and recall.sent:
        alias = next(iter(recall.sent))
    key = f"append-failed:{envelope.task_id}:{envelope.event_id}:{envelope.happened_at}"
    handoff_id, at = link.handoff_id, envelope.happened_at
    reason = _reason(envelope.body).upper()
    if reason == TASK_GONE:
        # The task is gone and its task:ended was lost (§17, race 25), unless Webex says that it is open.
        ended = c.ConversationEnded(at=now, handoff_id=handoff_id, provider_at=at, reason="not_found")
        return Parsed(command=ended, dedup_key=key, doubtful=True, resend=Resend(message_id=alias, delays=(2.0,)))
    text = _NOT_ALLOWED if reason == _POLICY else texts.NOT_DELIVERED
    failed = c.MessageUndeliverable(at=now, handoff_id=handoff_id, provider_at=at, message_id=alias, text=text)
    return Parsed(command=failed, dedup_key=key, resend=_resend(reason, alias, envelope, recall))


_POLICY = "INVALID_CONTENT"
_NOT_ALLOWED = "That message couldn't be delivered: its content is not allowed here."
_AGAIN: Mapping[str, tuple[float, ...]] = {"INTERNAL_ERROR": (2.0, 5.0, 15.0)}
_AGAIN_UNKNOWN = (2.0,)
_LONG = 1000
"""Characters that the channel's policy may find too many although it is not mirrored here."""
_TOO_LONG = re.compile(r"length|too long|characters|maxChars|max_chars", re.IGNORECASE)


def _resend(reason: str, alias: str, envelope: wire.Envelope, recall: Recall) -> Resend | None:
    """How a message that failed is tried again (§15.1); None: not at all."""
    if reason != _POLICY:
        return Resend(message_id=alias, delays=_AGAIN.get(reason, _AGAIN_UNKNOWN))
    # Never as it was: only what was too long, or had files beside its text, can come through in another form.
    about = _text(envelope.body, "errorMessage")
    known = len(recall.sent.get(alias, ""))
    divisible = known > _LONG or _TOO_LONG.search(about) is not None or "attachment" in about.lower()
    return Resend(message_id=alias, delays=(0.0,), smaller=True) if known > 1 and divisible else None


def _perhaps_requeued(data: Mapping[str, object]) -> bool:
    """`task:ended` of a task that only lost its agent was seen (§12.3): Webex must be asked."""
    system = _text(data, "terminatingParty").lower() == "system"
    return system and any(word in _reason(data).lower() for word in ("rona", "no answer", "noanswer", "not answered"))


CONTACT_LIMIT = "ORG_DIGITAL_CONTACT_LIMIT_EXCEEDED"

_RETRIES: Mapping[str, tuple[float, ...]] = {
    CONTACT_LIMIT: (15, 30, 60),
    "CONVERSATION_CREATION_FAILED": (3, 10),
    "CHANNEL_ASSET_UNDEFINED": (),
    "FEATURE_FLAG_DISABLED": (),
    "ENTRY_POINT_NOT_FOUND": (),
    "INVALID_CONTENT": (0,),
}
"""Seconds before each next attempt (§15.2)."""

_RETRIES_UNKNOWN = (5.0,)
_HINTS: Mapping[str, str] = {
    "CHANNEL_ASSET_UNDEFINED": "No asset has this business address on this channel: compare both with Control Hub.",
    "FEATURE_FLAG_DISABLED": "Ask your Cisco team to enable Custom Messaging for the organization.",
    "ENTRY_POINT_NOT_FOUND": "Map the asset to an active entry point with an active flow in Control Hub.",
    CONTACT_LIMIT: "The organization has as many digital contacts at once as it may.",
    "CONVERSATION_CREATION_FAILED": "Webex could not create the conversation.",
    "CONVERSATION_ALREADY_OPEN": "Webex has an open conversation of this customer that Warmline does not know.",
    "INVALID_CONTENT": "The handoff brief breaks the channel's messaging policy: compare 'Max message characters'.",
}


def hint(reason: str) -> str:
    """What the operator can do about a refused creation."""
    return _HINTS.get(reason.upper(), "Webex refused to create the conversation.")


_MISCONFIGURED = frozenset({"CHANNEL_ASSET_UNDEFINED", "FEATURE_FLAG_DISABLED", "ENTRY_POINT_NOT_FOUND"})

_TASK_ID = re.compile(r"task\s*id\W*([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _per_customer(config: WebexConfig, channel: str) -> bool:
    """Whether a customer keeps one identity over sessions (§7.4); else it is known in one session only."""
    return config.origin_scope == "user" or (config.origin_scope == "auto" and channel == "sms")


def shares(config: WebexConfig, link: Link) -> bool:
    """Whether a conversation belongs to a customer, not to one session (§15.2, case 2)."""
    return _per_customer(config, _kind(_text_of(link, "channel")))


def _refused(config: WebexConfig, envelope: wire.Envelope, link: Link, recall: Recall) -> OpenRefused:
    reason = _reason(envelope.body).upper() or "UNKNOWN"
    delays = _RETRIES.get(reason, _RETRIES_UNKNOWN)
    adopt = older = ""
    if reason == "CONVERSATION_ALREADY_OPEN":
        older = open_task(_text(envelope.body, "errorMessage"), envelope.task_id)
        # Nobody else can have opened a conversation of an identity that only this session has: where memory does
        # not know the task, this handoff created it before a crash, or an earlier one of the session is closing.
        ours = older in recall.own_tasks or not shares(config, link)
        adopt = older if ours and older not in recall.other_tasks else ""
        delays = ()
    refusals = link.data.get("refusals")
    tried = refusals if isinstance(refusals, int) else 0
    after = delays[tried] if tried < len(delays) else None
    return OpenRefused(
        reason=reason,
        retry_after=after,
        adopt=adopt,
        older="" if adopt else older,
        shorten=reason == _POLICY,
        busy=reason == CONTACT_LIMIT and after is not None,
        misconfigured=reason in _MISCONFIGURED,
        operator_hint=hint(reason),
    )


def open_task(error_message: str, failed_task: str) -> str:
    """The older task's id in the text of a CONVERSATION_ALREADY_OPEN (§15.2); "" when it cannot be told."""
    named = _TASK_ID.search(error_message)
    if named:
        return named[1].lower()
    others = {found.lower() for found in _UUID.findall(error_message)} - {failed_task.lower()}
    return others.pop() if len(others) == 1 else ""


def _remote(file: wire.File, encrypted: str) -> RemoteFile:
    return RemoteFile(
        url=file.url,
        name=file.name,
        mime_type=file.mime,
        encrypted=file.encrypted if encrypted == "auto" else encrypted == "yes",
        jwe=file.jwe,
        key_uri=file.key_uri,
    )


def _sender(data: Mapping[str, object]) -> str:
    return _text(data, "senderType").lower()


def _reason(data: Mapping[str, object]) -> str:
    return _text(data, "reason")


def _text(data: Mapping[str, object], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _text_of(link: Link, key: str) -> str:
    return _text(link.data, key)
