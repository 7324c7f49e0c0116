"""The connection test, step by step (webex-byoc.md §4)."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from warmline.handoff import http
from warmline.handoff.contract import ProviderAuthFailed, ProviderEnvironment, ProviderError, ProviderRejected
from warmline.handoff.providers.webex.client import WebexClient
from warmline.handoff.providers.webex.config import WebexConfig
from warmline.handoff.providers.webex.subscriptions import REQUIRED_EVENTS, Subscriptions
from warmline.handoff.providers.webex.tokens import Tokens, organization_of
from warmline.handoff.verdicts import CheckReport, Verdict

_ADDRESS = "Webex calls https on port 443 under a public domain name only: set WARMLINE_PUBLIC_URL to such an address."


async def check(values: Mapping[str, str], secrets: Mapping[str, str], environment: ProviderEnvironment) -> CheckReport:
    """Test values against the real system: token, organization, event types, subscriptions, reachability.

    Subscriptions are created or repaired for the connection whose id stands in `events_webhook_url`.
    """
    changed: dict[str, str] = {}

    async def keep(rotated: Mapping[str, str]) -> None:
        changed.update(rotated)

    async def ignore(state: str, reason: str) -> None:
        return None

    # What is being tested counts, not what is stored.
    environment = replace(environment, save_secrets=keep, set_state=ignore, load_secrets=None, alone=None)
    config = WebexConfig.read(values)
    tokens = Tokens(config, secrets, environment)
    client = WebexClient(config, tokens, environment)
    verdicts: list[Verdict] = []
    for step in (
        _token(tokens),
        _organization(config, tokens),
        _event_types(client),
        _subscriptions(client, values, secrets),
        _reachability(values, environment),
    ):
        if verdicts and not verdicts[-1].ok:
            step.close()
            continue
        verdicts.append(await step)
    return CheckReport(verdicts=tuple(verdicts), identity=config.org_id, secrets=changed)


async def _token(tokens: Tokens) -> Verdict:
    step = "token"
    try:
        await tokens.refreshed()
    except ProviderAuthFailed as error:
        field = "client_secret" if error.status == 401 else "refresh_token"
        return Verdict(step=step, ok=False, text=error.hint, field=field)
    except ProviderError as error:
        remedy = "Check the token URL and this server's way to the internet, then try again."
        return Verdict(step=step, ok=False, text=str(error), field="oauth_token_url", remedy=remedy)
    return Verdict(step=step, ok=True, text="Webex issued a new access token.")


async def _organization(config: WebexConfig, tokens: Tokens) -> Verdict:
    step = "organization"
    organization = organization_of(await tokens.token())
    try:
        uuid.UUID(organization)
    except ValueError:
        return Verdict(step=step, ok=True, text="The access token does not tell its organization; not compared.")
    if organization != config.org_id:
        text = f"The tokens belong to organization {organization}, not to {config.org_id}."
        remedy = "Correct the organization ID, or generate tokens for the right organization."
        return Verdict(step=step, ok=False, text=text, field="org_id", remedy=remedy)
    return Verdict(step=step, ok=True, text="The tokens belong to the organization.")


async def _event_types(client: WebexClient) -> Verdict:
    step = "event_types"
    try:
        offered, _ = await client.event_types()
    except ProviderError as error:
        return _failed(step, error)
    missing = [name for name in REQUIRED_EVENTS if name not in offered]
    if missing:
        text = f"The organization does not offer the events {', '.join(missing)}."
        remedy = "Ask your Cisco team whether Custom Messaging is enabled for the organization."
        return Verdict(step=step, ok=False, text=text, remedy=remedy)
    return Verdict(step=step, ok=True, text="The organization offers the events that are needed.")


async def _subscriptions(client: WebexClient, values: Mapping[str, str], secrets: Mapping[str, str]) -> Verdict:
    step = "subscriptions"
    url = values.get("events_webhook_url", "")
    path = urlsplit(url).path.split("/")
    if len(path) < 2:
        return Verdict(step=step, ok=False, text="The events webhook URL is missing.", field="events_webhook_url")
    subscriptions = Subscriptions(client, path[-2], url, secrets.get("subscription_secret", ""))
    try:
        await subscriptions.ensure()
    except ProviderRejected as error:
        remedy = _ADDRESS if "destinationUrl" in error.hint else ""
        return Verdict(
            step=step, ok=False, text=error.hint, field="events_webhook_url" if remedy else "", remedy=remedy
        )
    except ProviderError as error:
        return _failed(step, error)
    return Verdict(step=step, ok=True, text="Webex sends its events to this server.")


async def _reachability(values: Mapping[str, str], environment: ProviderEnvironment) -> Verdict:
    """A look from inside only: it cannot prove that Webex reaches us, so it never fails."""
    step = "reachability"
    unreached = []
    for key in ("asset_webhook_url", "events_webhook_url"):
        try:
            await http.call(environment.http, "GET", values.get(key, ""), headers={})
        except ProviderError:
            unreached.append(key)
    if unreached:
        text = f"Could not be reached from this server: {', '.join(unreached)}. Webex may reach them all the same."
        remedy = "Webex must reach them on port 443 with a certificate of a public authority."
        return Verdict(step=step, ok=True, text=text, remedy=remedy)
    return Verdict(step=step, ok=True, text="Both webhook URLs answer, seen from this server.")


def _failed(step: str, error: ProviderError) -> Verdict:
    if isinstance(error, ProviderAuthFailed | ProviderRejected):
        return Verdict(step=step, ok=False, text=error.hint)
    remedy = "Check the data center and this server's way to the internet, then try again."
    return Verdict(step=step, ok=False, text=str(error), field="region", remedy=remedy)
