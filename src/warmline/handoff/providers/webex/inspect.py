"""A look at a stored connection that changes nothing (webex-byoc.md §5.5, §10.1, §17 row 24 and 27)."""

from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime

from warmline.domain.errors import ConfigError
from warmline.handoff import http
from warmline.handoff.contract import ProviderEnvironment, ProviderError
from warmline.handoff.providers.webex.client import WebexClient
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.providers.webex.expiry import date_of, stage, warning
from warmline.handoff.providers.webex.subscriptions import Subscriptions
from warmline.handoff.providers.webex.tokens import Tokens
from warmline.handoff.verdicts import Verdict
from warmline.ports import Connection

_SKEW_WARN_S = 60
_SKEW_FAIL_S = 300
_QUIET_MS = 10 * 60 * 1000
"""How much older the last news of one path may be than the other's before it counts as silent."""
_ASSET_QUIET_MS = 6 * 3600 * 1000

_ASSET_REMEDY = "Check the asset's webhook URL and secret in Control Hub against `warmline connect show`."


async def inspect(
    connection: Connection, environment: ProviderEnvironment, heard: Mapping[str, int]
) -> tuple[Verdict, ...]:
    """Look at clock, tokens, subscriptions and webhooks; renews no token and registers nothing.

    Args:
        heard: when the last webhook came (epoch ms), by endpoint.

    Returns:
        what was found; a verdict that is `ok` and has a remedy is a warning.
    """

    async def ignore(*_: object) -> None:
        return None

    environment = replace(environment, save_secrets=ignore, set_state=ignore)
    try:
        config = WebexConfig.read(connection.values)
    except ConfigError as error:
        return (Verdict(step="values", ok=False, text=str(error), field=error.key, remedy="Connect again."),)
    now = environment.clock.now()
    return (
        await _clock(config, environment),
        _refresh_token(connection, now),
        *_address(connection, environment),
        await _subscriptions(config, connection, environment),
        *silence(heard, now),
    )


async def _clock(config: WebexConfig, environment: ProviderEnvironment) -> Verdict:
    step = "clock"
    try:
        answer = await http.call(environment.http, "GET", config.base_url + "/", headers={})
        told = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except ProviderError as error:
        remedy = "Check the data center and this server's way to the internet."
        return Verdict(step=step, ok=False, text=f"Webex's API cannot be reached: {error}", remedy=remedy)
    except (KeyError, ValueError):
        return Verdict(step=step, ok=True, text="Webex did not tell its time.")
    return clock_verdict(environment.clock.now() / 1000 - told)


def clock_verdict(skew_s: float) -> Verdict:
    """What a difference between our clock and Webex's means; positive: ours is ahead."""
    step, off = "clock", abs(round(skew_s))
    text = f"This server's clock is {off} s {'ahead of' if skew_s > 0 else 'behind'} Webex's."
    remedy = "Let the system's clock be set by NTP: webhooks that seem older than 300 s are refused."
    if off <= 2:
        return Verdict(step=step, ok=True, text="The clock agrees with Webex's.")
    return Verdict(step=step, ok=off < _SKEW_FAIL_S, text=text, remedy=remedy if off >= _SKEW_WARN_S else "")


def _refresh_token(connection: Connection, now: int) -> Verdict:
    step = "refresh_token"
    expires_at = int(connection.secrets.get("refresh_expires_at") or 0)
    if not expires_at:
        return Verdict(step=step, ok=True, text="Webex has not told when the refresh token expires.")
    reached = stage(expires_at, now)
    if reached is None or reached > 14:
        return Verdict(step=step, ok=True, text=f"The refresh token is valid until {date_of(expires_at)}.")
    text, _, remedy = warning(expires_at, now).partition(". ")
    return Verdict(step=step, ok=reached > 0, text=f"{text}.", field="refresh_token", remedy=remedy)


def _webhook_url(connection: Connection, environment: ProviderEnvironment, endpoint: str) -> str:
    return f"{environment.public_url}/hooks/webex/{connection.id}/{endpoint}"


def _address(connection: Connection, environment: ProviderEnvironment) -> tuple[Verdict, ...]:
    """The asset in Control Hub has the URL that was shown when the connection was made."""
    url = _webhook_url(connection, environment, "asset")
    if connection.values.get("asset_webhook_url", url) == url:
        return ()
    text = "The public address has changed since the connection was made; the asset in Control Hub has the old one."
    remedy = f"Paste {url} into the asset, then run `warmline connect test` to have it stored."
    return (Verdict(step="asset_webhook_url", ok=True, text=text, field="asset_webhook_url", remedy=remedy),)


async def _subscriptions(config: WebexConfig, connection: Connection, environment: ProviderEnvironment) -> Verdict:
    step = "subscriptions"
    tokens = Tokens(config, connection.secrets, environment, renewing=False)
    client = WebexClient(config, tokens, environment)
    url = _webhook_url(connection, environment, "events")
    ours = Subscriptions(client, connection.id, url, connection.secrets.get("subscription_secret", ""))
    try:
        problems = await ours.problems()
    except ProviderError as error:
        remedy = "Start the server, which renews the access token, or run `warmline connect test`."
        return Verdict(step=step, ok=True, text=f"Webex did not tell the subscriptions ({error.code}).", remedy=remedy)
    if problems:
        remedy = "The server repairs them at its start and every 15 minutes; the endpoint must answer within 5 s."
        return Verdict(step=step, ok=False, text=f"{'; '.join(problems)}.", remedy=remedy)
    return Verdict(step=step, ok=True, text="The subscriptions are active and lead here.")


def silence(heard: Mapping[str, int], now: int) -> tuple[Verdict, ...]:
    """Which of the two webhook paths is silent while the other one is heard (§17 row 24). Pure."""
    asset, events = heard.get("asset", 0), heard.get("events", 0)
    if not asset and not events:
        text = "No webhook has come yet, or none for as long as they are remembered."
        remedy = "Run `warmline verify webex` to see one conversation through."
        return (Verdict(step="webhooks", ok=True, text=text, remedy=remedy),)
    if asset - events > _QUIET_MS:
        text = f"Subscriptions silent: agents' messages come, the last one {_ago(now - asset)}, but no events."
        remedy = "Check the subscriptions above, and that the events webhook URL can be reached from the internet."
        return (Verdict(step="webhooks", ok=False, text=text, remedy=remedy),)
    if not asset or events - asset > _ASSET_QUIET_MS:
        text = f"Asset webhook silent: events come, the last one {_ago(now - events)}, but no agents' messages."
        return (Verdict(step="webhooks", ok=True, text=text, field="asset_webhook_url", remedy=_ASSET_REMEDY),)
    text = f"Last agents' message {_ago(now - asset)}, last event {_ago(now - events)}."
    return (Verdict(step="webhooks", ok=True, text=text),)


def _ago(ms: int) -> str:
    minutes = max(0, ms) // 60_000
    if minutes < 60:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"
