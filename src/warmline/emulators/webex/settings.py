"""Everything about the emulated Webex organization that can be chosen (webex-byoc.md §20).

`SimSettings` is the state right after a start; `PUT /__sim/v1/config` replaces single values while it runs. On the
wire the names are in camel case (`createDelayMs`); the control plane accepts snake case as well.
"""

import hashlib
import uuid
from typing import Any, Literal

import msgspec


def _demo_value(label: str) -> str:
    return hashlib.sha256(f"warmline webex emulator: {label}".encode()).hexdigest()


class _Spec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of the settings: immutable, camel case on the wire, unknown names are errors."""


class Policy(_Spec, frozen=True, kw_only=True):
    """Messaging policy of a channel (§3.2). Sizes in bytes, text length in Unicode code points."""

    max_chars: int = 4096
    attachments_allowed: bool = True
    max_attachments: int = 5
    max_single_bytes: int = 10_485_760
    max_total_bytes: int = 26_214_400
    allowed_types: tuple[str, ...] = ("image/*", "application/pdf", "text/plain", "text/csv")


class ChannelSpec(_Spec, frozen=True, kw_only=True):
    """A Custom Messaging channel; `name` is the request field `channel`, case-sensitive."""

    name: str
    policy: Policy = Policy()


class AssetSpec(_Spec, frozen=True, kw_only=True):
    """A Custom Messaging asset: where a business address leads, and who hears the agents' messages.

    An empty `webhook_url` sends nothing; an empty `webhook_secret` sends without a signature.
    """

    business_address: str
    channel: str
    entry_point: str
    webhook_url: str = ""
    webhook_secret: str = ""


class Send(_Spec, frozen=True, kw_only=True, tag_field="step", tag="send"):
    """Flow step *Send Custom Message* (§19.3)."""

    text: str


class Receive(_Spec, frozen=True, kw_only=True, tag_field="step", tag="receive"):
    """Flow step *Receive Message*: takes the customer's next message, or goes on after `timeout` seconds."""

    timeout: float = 5.0


class Wait(_Spec, frozen=True, kw_only=True, tag_field="step", tag="wait"):
    """Flow step that pauses for `seconds`."""

    seconds: float


class QueueTo(_Spec, frozen=True, kw_only=True, tag_field="step", tag="queue"):
    """Flow step that parks the task in queue `name`; the last one that runs.

    When `variable` is set and the task's global variable of that name holds the name of a queue, that queue wins.
    """

    name: str
    variable: str = ""


class End(_Spec, frozen=True, kw_only=True, tag_field="step", tag="end"):
    """Flow step that ends the task (`terminatingParty` System)."""


FlowStep = Send | Receive | Wait | QueueTo | End


class FlowSpec(_Spec, frozen=True, kw_only=True):
    """A flow: its steps run one after the other for every new task of an entry point."""

    name: str
    steps: tuple[FlowStep, ...]


class EntryPointSpec(_Spec, frozen=True, kw_only=True):
    """An entry point and the flow it starts."""

    id: str
    flow: str
    active: bool = True


class QueueSpec(_Spec, frozen=True, kw_only=True):
    """A queue, known by its name."""

    name: str

    @property
    def queue_id(self) -> str:
        """The UUID that webhooks and Search show for this queue."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"queue.{self.name}.webex-sim"))


class WrapUpCode(_Spec, frozen=True, kw_only=True):
    """What an agent can say about a conversation that is over (§19.1)."""

    id: str
    name: str


class AgentSpec(_Spec, frozen=True, kw_only=True):
    """An agent. `capacity` is the number of conversations at once, wrap-up included."""

    id: str
    first_name: str
    last_name: str
    queues: tuple[str, ...]
    capacity: int = 5

    @property
    def user_id(self) -> str:
        """Contact-centre user id (UUID), the `senderId` and `agentId` of webhooks by default."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"user.{self.id}.webex-sim"))

    @property
    def ci_user_id(self) -> str:
        """Common Identity user id (UUID)."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"ci.{self.id}.webex-sim"))


OutboundShape = Literal[
    "standard", "flatChannelParams", "dataMessage", "dataFlat", "payload", "content", "body", "eventData",
    "messageData", "nested",
]  # fmt: skip

ALL_SCOPES = ("cjp:task_write", "cjp:task_read", "cjp:config_write", "cjp:config_read")


class SimSettings(_Spec, frozen=True, kw_only=True):
    """The emulated organization and every switch of its behaviour. Times as the names say; sizes in bytes."""

    # identity and access (§4, §5)
    org_id: str = "cb5901fb-ab66-4377-a7bc-5f0b21896952"
    client_id: str = "C" + _demo_value("client id")
    client_secret: str = _demo_value("client secret")
    refresh_token: str = "refresh-" + _demo_value("refresh token")
    scopes: tuple[str, ...] = ALL_SCOPES
    """Scopes of the tokens issued from now on."""
    end_scope: str = "cjp:task_write"
    access_token_ttl_s: int = 1_209_600
    refresh_token_ttl_s: int = 7_776_000
    rotate_refresh_token: bool = False
    rate_limit_per_minute: int = 300
    """Per client id, over a sliding minute; 0 switches the limit off."""

    # the emulator itself
    relaxed: bool = False
    """Permit http, ports and local hosts in `destinationUrl`, `webhookUrl` and `fileUrl` (§20.8)."""
    host_map: dict[str, str] = {}
    """Origin seen in URLs → origin really called, so that strict mode works without public names."""
    seed: int | None = None
    """All ids follow from the seed; without one they are random."""
    virtual_clock_start_ms: int | None = None
    """Epoch ms at which a clock starts that moves only by `POST /__sim/v1/clock/advance`; none: the real clock."""
    public_url: str = ""
    """Base of the URLs of files; empty: the address it listens on."""
    record_limit: int = 10_000
    """How many requests and webhook attempts are remembered."""

    # objects (§3, §20.5)
    channels: tuple[ChannelSpec, ...] = (ChannelSpec(name="warmline-webchat"),)
    assets: tuple[AssetSpec, ...] = (
        AssetSpec(business_address="support@lumen.example", channel="warmline-webchat", entry_point="main"),
    )
    entry_points: tuple[EntryPointSpec, ...] = (EntryPointSpec(id="main", flow="to-support"),)
    flows: tuple[FlowSpec, ...] = (
        FlowSpec(name="to-support", steps=(QueueTo(name="support", variable="queue"),)),
        FlowSpec(
            name="greet-and-ask",
            steps=(
                Send(text="Thanks for waiting. Could you tell us your account number?"),
                Receive(timeout=30.0),
                QueueTo(name="support", variable="queue"),
            ),
        ),
    )
    queues: tuple[QueueSpec, ...] = (QueueSpec(name="support"), QueueSpec(name="billing"))
    agents: tuple[AgentSpec, ...] = (
        AgentSpec(id="agent-1", first_name="Maya", last_name="Okafor", queues=("support",)),
        AgentSpec(id="agent-2", first_name="Jonas", last_name="Lindqvist", queues=("support", "billing")),
    )

    # tasks (§20.2, §20.3)
    feature_enabled: bool = True
    create_delay_ms: int = 150
    """Between the 201 and the verdict; negative: the verdict's webhooks arrive before the 201."""
    append_delay_ms: int = 0
    end_delay_ms: int = 0
    sync_validation: bool = True
    """False sends validation failures as `task:failed` / `append-failed` instead of 400."""
    org_contact_limit: int = 10_000
    ack_first_message: bool = True
    append_empty_response: bool = False
    """True answers an append with 202 `{}` instead of 201 with an id."""
    sync_not_found: bool = False
    duplicate_alias: Literal["append_again", "dedupe"] = "append_again"
    shuffle_parallel_appends: bool = False
    unknown_variables: Literal["accept", "reject"] = "accept"
    global_variables: tuple[str, ...] = ("reason", "queue")
    """The variables that exist in the organization; used when unknown ones are rejected."""
    foreign_task_open: bool = False
    """Every customer already has an open task that somebody else made."""
    drop_all_files: bool = False
    """Every file of a customer fails the malware scan."""
    v2_end: bool = True
    api_end_party: Literal["Customer", "Agent", "System"] = "Customer"

    # agents (§20.5)
    rona_seconds: float = 30.0
    rona_emits_ended: bool = False
    auto_accept: bool = False
    """Offers are accepted at once; for benchmarks and scenarios."""
    echo_replies: bool = False
    """A connected agent answers every customer message with its text; for benchmarks."""
    auto_wrapup: bool = False
    wrap_up_codes: tuple[WrapUpCode, ...] = (
        WrapUpCode(id="resolved", name="Resolved"),
        WrapUpCode(id="follow-up", name="Needs a follow-up"),
        WrapUpCode(id="wrong-department", name="Wrong department"),
        WrapUpCode(id="no-answer", name="Customer stopped answering"),
    )
    """The first one is meant when an agent names none."""
    sender_id_kind: Literal["user", "ci"] = "user"

    # webhooks (§11, §20.6)
    webhook_timeout_ms: int = 5000
    webhook_retries_ms: tuple[int, ...] = (1000, 5000)
    inactive_after: int = 10
    """Consecutive failed events after which a subscription becomes `inactive`; 0: never."""
    subscription_limit: int = 100
    deliveries_per_destination: int = 64
    ordered_delivery: bool = True
    """Within one task and destination the first attempts go out one after the other; False: all at once."""
    reorder_hold_ms: int = 2000
    """How long a delivery that a fault holds back waits for its partner."""
    asset_timestamp_header: bool = True
    clock_skew_ms: int = 0
    timestamp_as_string: bool = False
    lifecycle_id_is_task_id: bool = True
    bare_lifecycle: bool = False
    flow_timestamp_skew_ms: int = -25_200_000
    html_agent_text: bool = True
    lower_case_direction: bool = False
    omit_message_direction: bool = False
    string_channel_params: bool = False
    string_message: bool = False
    outbound_shape: OutboundShape = "standard"
    outbound_to_subscriptions: bool = False
    noise_events: bool = False
    """With every new task, events of a telephone call and an email reach the subscriptions too."""

    # data (§18, §13)
    search_lag_ms: int = 0
    transcript_delay_ms: int = 1000
    file_url_ttl_s: int = 3600
    encrypt_files: bool = False


_KEYED = {
    "channels": "name",
    "assets": "businessAddress",
    "entryPoints": "id",
    "flows": "name",
    "queues": "name",
    "agents": "id",
    "wrapUpCodes": "id",
}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _camel_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_camel(k): _camel_keys(v) for k, v in value.items()}
    return [_camel_keys(v) for v in value] if isinstance(value, list) else value


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}


def changed(settings: SimSettings, patch: dict[str, Any]) -> SimSettings:
    """Return `settings` with the values of `patch` (decoded JSON, camel or snake case).

    Objects (`channels`, `assets`, `entryPoints`, `flows`, `queues`, `agents`, `wrapUpCodes`) are merged by their
    name, id or business address, field by field; every other value is replaced.

    Raises:
        msgspec.ValidationError: an unknown name or a value of the wrong type; the message names the path.
    """
    merged: dict[str, Any] = msgspec.to_builtins(settings)
    host_map = patch.get("hostMap", patch.get("host_map"))
    for name, value in _camel_keys(patch).items():
        key = _KEYED.get(name)
        if key and isinstance(value, list):
            items = {item[key]: item for item in merged[name]}
            for item in value:
                if not isinstance(item, dict) or key not in item:
                    raise msgspec.ValidationError(f"every item of {name} needs {key}")
                items[item[key]] = _merged(items.get(item[key], {}), item)
            value = list(items.values())
        merged[name] = value
    if host_map is not None:
        merged["hostMap"] = host_map
    return msgspec.convert(merged, SimSettings)


def demo_values(settings: SimSettings | None = None, url: str = "http://127.0.0.1:8090") -> dict[str, str]:
    """Return the values that the Connect dialog needs for this emulator (§4), keyed by the dialog's field keys."""
    settings = settings or SimSettings()
    return {
        "api_base_url": url,
        "org_id": settings.org_id,
        "client_id": settings.client_id,
        "client_secret": settings.client_secret,
        "refresh_token": settings.refresh_token,
        "channel_name": settings.assets[0].channel,
        "business_address": settings.assets[0].business_address,
        "oauth_token_url": f"{url}/v1/access_token",
    }
