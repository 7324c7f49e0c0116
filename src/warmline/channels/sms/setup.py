"""Adding an SMS connection: check what the operator entered against the carrier, then save it."""

from collections.abc import Mapping
from dataclasses import replace

import aiohttp

from warmline.channels.sms.client import TwilioClient
from warmline.channels.sms.connections import PROVIDER, announces_to, manifest, numbers, webhook_url
from warmline.domain.errors import ConfigError
from warmline.handoff.contract import ProviderAuthFailed, ProviderError
from warmline.handoff.manifest import check_fields
from warmline.handoff.verdicts import Verdict
from warmline.ports import Clock, Connection, Ids, Store


async def save(
    store: Store,
    clock: Clock,
    ids: Ids,
    project_id: str,
    given: Mapping[str, str],
    name: str,
    *,
    existing: Connection | None = None,
    relaxed: bool = False,
) -> Connection:
    """Save an SMS connection; a running server knows it within five seconds.

    Args:
        given: the fields of the manifest by key, secrets included; where `existing` is changed, those left out and
            empty secrets stay as they were.
        name: how the operator calls it.
        relaxed: permit http and local addresses (emulators).

    Raises:
        ConfigError: names the field that cannot be right, or the number that another connection has.
    """
    kept = {**existing.values, **existing.secrets} if existing else {}
    secrets = {field.key for field in manifest().fields if field.secret}
    told = {key: value for key, value in given.items() if value or key not in secrets}
    checked = check_fields(manifest(), {**kept, **told}, relaxed=relaxed)
    for key, text in checked.errors.items():
        raise ConfigError(key, text)
    connection = Connection(
        id=existing.id if existing else ids.uuid(),
        provider=PROVIDER,
        name=name,
        project_id=project_id,
        values=checked.values,
        secrets=checked.secrets,
        created_at=existing.created_at if existing else clock.now(),
    )
    for other in await store.text_connections():
        if shared := set(numbers(other)) & set(numbers(connection)) if other.id != connection.id else None:
            raise ConfigError("numbers", f"{', '.join(sorted(shared))} belongs to the connection {other.name}")
    await store.save_connection(connection)
    return connection


async def check(http: aiohttp.ClientSession, connection: Connection, public_url: str) -> tuple[Verdict, ...]:
    """Ask the carrier whether the connection can work, step by step; nothing is changed."""
    client = TwilioClient(http, connection)
    try:
        state = await client.account()
    except ProviderAuthFailed:
        remedy = "Copy account SID and auth token from the Twilio console again."
        return (Verdict(step="account", ok=False, text="the carrier refuses the account's credentials", remedy=remedy),)
    except ProviderError as error:
        remedy = "Check the API base URL and this machine's way to the internet."
        return (Verdict(step="account", ok=False, text=f"the carrier cannot be asked: {error.code}", remedy=remedy),)
    active = Verdict(step="account", ok=state == "active", text=f"the account is {state or 'unknown'}")
    verdicts = [active if active.ok else replace(active, remedy="Reactivate it in the Twilio console.")]
    url = webhook_url(public_url, connection.id)
    for number in numbers(connection):
        try:
            verdicts.append(_number_verdict(number, await client.number(number), url))
        except ProviderError as error:
            verdicts.append(Verdict(step=number, ok=False, text=f"the carrier cannot be asked: {error.code}"))
    return tuple(verdicts)


def _number_verdict(number: str, found: Mapping[str, object] | None, url: str) -> Verdict:
    if found is None:
        return Verdict(
            step=number, ok=False, text="is not a number of this account", remedy="Correct the connection's numbers."
        )
    if announces_to(found, url):
        return Verdict(step=number, ok=True, text="announces its texts to this server")
    where = "somewhere else" if found.get("sms_url") else "nowhere"
    remedy = f'Set the number\'s "A message comes in" to {url} (HTTP POST).'
    return Verdict(step=number, ok=False, text=f"announces its texts {where}", remedy=remedy)
