"""Adding an SMS connection: check what the operator entered against the carrier, then save it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import aiohttp

from warmline.channels.sms.client import TwilioClient
from warmline.channels.sms.configuration import read_rules
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
    """Save an SMS connection; a running server knows it within five seconds. Arguments and errors as of `prepared`."""
    connection = await prepared(store, clock, ids, project_id, given, name, existing=existing, relaxed=relaxed)
    await store.save_connection(connection)
    return connection


async def prepared(
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
    """Make an SMS connection of what was entered, without saving it.

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


class NumberSetup:
    """The same for pages: adds, changes and tests the SMS connections of a running server."""

    def __init__(
        self, store: Store, http: aiohttp.ClientSession, clock: Clock, ids: Ids, public_url: str, *, relaxed: bool
    ) -> None:
        self._store = store
        self._http = http
        self._clock = clock
        self._ids = ids
        self._public_url = public_url
        self._relaxed = relaxed
        self.manifest = manifest()

    def numbers(self, connection: Connection) -> tuple[str, ...]:
        """The numbers of a connection."""
        return numbers(connection)

    def webhook_url(self, connection_id: str) -> str:
        """What is entered at the carrier."""
        return webhook_url(self._public_url, connection_id)

    async def test(self, connection: Connection) -> tuple[Verdict, ...]:
        """As `check`."""
        return await check(self._http, connection, self._public_url)

    async def save(
        self, project_id: str, given: Mapping[str, str], name: str, existing: Connection | None
    ) -> tuple[Connection | None, tuple[Verdict, ...]]:
        """Save a connection whose account the carrier knows; None with the reasons when it does not.

        A number's webhook need not be right yet: its address is known only afterwards. Raises ConfigError, as
        `prepared`.
        """
        connection = await prepared(
            self._store, self._clock, self._ids, project_id, given, name, existing=existing, relaxed=self._relaxed
        )
        verdicts = await self.test(connection)
        if not verdicts[0].ok:
            return None, verdicts[:1]
        await self._store.save_connection(connection)
        return connection, verdicts

    def mistake(self, project: Path, number: str) -> str:
        """What is wrong with the rules for a number in the project's file; "" when nothing is."""
        try:
            read_rules(project, number)
        except ConfigError as error:
            return str(error)
        return ""


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
