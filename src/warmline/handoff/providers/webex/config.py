"""A Webex connection's values, typed (webex-byoc.md §4). Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from warmline.domain.errors import ConfigError
from warmline.domain.messages import FileRules

TOKEN_URL = "https://webexapis.com/v1/access_token"  # noqa: S105 - an address, not a secret

_FILE_TYPES = "image/*,application/pdf,text/plain,text/csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebexConfig:
    """What the Connect dialog's values mean. `base_url` has no trailing slash; times in seconds."""

    base_url: str
    org_id: str
    client_id: str
    channel_name: str
    business_address: str
    token_url: str = TOKEN_URL
    max_chars: int = 4096
    files: FileRules | None = None
    """The messaging policy's rules for the customer's files (§3.2); None: attachments are not allowed."""
    encrypted_files: str = "auto"
    """Whether agents' files are encrypted (§4 row 17): "auto" looks for signs of it, "yes" and "no" know."""
    origin_scope: str = "auto"
    global_variables: Mapping[str, str]
    flow_settings: Mapping[str, str]
    queue_name: str | None = None
    agent_label: str = "Agent"
    rate_per_minute: int = 240
    accepts_stale: bool = False
    """Correctly signed webhooks of up to 24 h are taken (webex-byoc.md §11.3)."""
    hides_bad_signatures: bool = False
    """Webhooks with a wrong signature are answered with 200, as Cisco's sample does."""

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "WebexConfig":
        """Read checked values. Raises ConfigError, naming the field."""

        def needed(key: str) -> str:
            if not values.get(key):
                raise ConfigError(key, "missing in the Webex connection")
            return values[key]

        region = needed("region")
        base_url = needed("api_base_url") if region == "custom" else f"https://api.wxcc-{region}.cisco.com"
        return cls(
            base_url=base_url.rstrip("/"),
            org_id=needed("org_id").lower(),
            client_id=needed("client_id"),
            channel_name=needed("channel_name"),
            business_address=needed("business_address"),
            token_url=values.get("oauth_token_url") or TOKEN_URL,
            max_chars=_number(values, "policy.max_chars", 4096),
            files=_files(values),
            encrypted_files=values.get("attachments_encrypted") or "auto",
            origin_scope=values.get("origin_scope") or "auto",
            global_variables=_map(values, "global_variables"),
            flow_settings=_map(values, "flow_settings"),
            queue_name=values.get("queue_name") or None,
            agent_label=values.get("agent_label") or "Agent",
            rate_per_minute=_number(values, "rate_per_minute", 240),
            accepts_stale=values.get("stale_policy") == "accept_if_unseen",
            hides_bad_signatures=values.get("on_bad_signature") == "200",
        )


def _files(values: Mapping[str, str]) -> FileRules | None:
    count = _number(values, "policy.max_attachments", 5)
    if not count or values.get("attachments_enabled") == "false":
        return None
    types = values.get("policy.allowed_types") or _FILE_TYPES
    return FileRules(
        max_count=count,
        max_bytes=_number(values, "policy.max_single_bytes", 10_485_760),
        max_total_bytes=_number(values, "policy.max_total_bytes", 26_214_400),
        types=tuple(kind.strip().lower() for kind in types.split(",") if kind.strip()),
    )


def _number(values: Mapping[str, str], key: str, default: int) -> int:
    try:
        return int(values.get(key) or default)
    except ValueError as error:
        raise ConfigError(key, "must be a number") from error


def _map(values: Mapping[str, str], key: str) -> Mapping[str, str]:
    try:
        entries = json.loads(values.get(key) or "{}")
    except ValueError as error:
        raise ConfigError(key, "must be a JSON object") from error
    return {str(name): str(value) for name, value in entries.items()} if isinstance(entries, dict) else {}
