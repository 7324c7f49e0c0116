"""*Connect*: check what the operator entered against the real system, then save it and start the provider."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import structlog

from warmline.domain.errors import WarmlineError
from warmline.handoff.contract import ProviderEnvironment, RemovesRegistrations
from warmline.handoff.manifest import CheckedFields, Manifest, check_fields
from warmline.handoff.registry import CONNECTED, Registry
from warmline.handoff.rotate import new_secret
from warmline.handoff.verdicts import CheckReport, Verdict
from warmline.ports import Clock, Connection, Ids, InboxRow, Store

_log = structlog.get_logger(__name__)


def draft(registry: Registry, ids: Ids, provider_key: str) -> tuple[str, dict[str, str]]:
    """Return a new connection's id and its generated fields (webhook URLs and secrets), for the dialog to show."""
    connection_id = ids.uuid()
    return connection_id, _generated(registry, ids, registry.manifests[provider_key], connection_id)


@runtime_checkable
class ProbesConnections(Protocol):
    """A provider's module that can try a stored connection with a real conversation, which rings an agent."""

    async def probe(
        self,
        connection: Connection,
        environment: ProviderEnvironment,
        news: Callable[[str], Awaitable[Sequence[InboxRow]]],
    ) -> tuple[Verdict, ...]:
        """What came of it; the conversation is ended. `news` gives the webhooks that the running server stored of a
        conversation over there."""
        ...


async def connect(
    store: Store,
    registry: Registry,
    clock: Clock,
    ids: Ids,
    provider_key: str,
    project_id: str,
    values: Mapping[str, str],
    secrets: Mapping[str, str],
    name: str,
    *,
    connection_id: str = "",
) -> tuple[CheckReport, Connection | None]:
    """Make or change a connection. Nothing is saved unless every step of the check passes.

    Args:
        values: the dialog's fields by key; generated ones may be left out.
        secrets: its secret fields. Where the connection exists, those left out stay as they are.
        name: how the operator calls the connection.
        connection_id: of an existing connection, or from `draft`; "" makes a new one.

    Returns:
        what was found step by step, and the running connection if all is well. Secrets that the platform
        rotated while checking are in the report, and are saved at once where the connection exists.

    Raises:
        NoConnection: the provider is not installed.
    """
    module = registry.module(provider_key)
    manifest = registry.manifests[provider_key]
    connection_id = connection_id or ids.uuid()
    existing = next((c for c in await store.connections() if c.id == connection_id), None)
    fields = check_fields(
        manifest,
        {
            **_generated(registry, ids, manifest, connection_id),
            **(_kept(existing, manifest) if existing else {}),
            **{key: value for key, value in {**values, **secrets}.items() if value or _may_be_emptied(manifest, key)},
        },
        relaxed=registry.relaxed,
    )
    if fields.errors:
        return CheckReport(verdicts=_field_verdicts(fields)), None
    report = await module.check(fields.values, fields.secrets, registry.environment(connection_id))
    report = replace(report, verdicts=(*_field_verdicts(fields), *report.verdicts))
    connection = Connection(
        id=connection_id,
        provider=provider_key,
        name=name,
        project_id=project_id,
        values=fields.values,
        secrets={**(existing.secrets if existing else {}), **fields.secrets, **report.secrets},
        state=CONNECTED,
        created_at=existing.created_at if existing else clock.now(),
    )
    if not report.ok:
        await _back_out(store, registry, connection, report, is_new=existing is None)
        return report, None
    await store.save_connection(connection)
    provider = await registry.reload(connection_id)
    refusal = provider.ready() if provider else None
    if refusal is not None:
        verdict = Verdict(step="start", ok=False, text=str(refusal), remedy="It is saved and tried again by itself.")
        report = replace(report, verdicts=(*report.verdicts, verdict))
    return report, registry.connection(connection_id)


async def _back_out(
    store: Store, registry: Registry, connection: Connection, report: CheckReport, *, is_new: bool
) -> None:
    """Leave things as they were, except for what the platform has changed already."""
    if not is_new:
        if report.secrets:
            await store.save_secrets(connection.id, report.secrets)
            await registry.reload(connection.id)
        return
    provider = registry.module(connection.provider).create(connection, registry.environment(connection.id))
    if isinstance(provider, RemovesRegistrations):
        try:
            await provider.unregister()
        except WarmlineError as error:
            _log.info("connect.not_unregistered", connection_id=connection.id, code=error.code)


def _generated(registry: Registry, ids: Ids, manifest: Manifest, connection_id: str) -> dict[str, str]:
    made: dict[str, str] = {}
    for item in manifest.fields:
        if item.generate == "webhook_url":
            made[item.key] = registry.webhook_url(manifest.key, connection_id, item.endpoint)
        elif item.generate == "secret":
            made[item.key] = new_secret(ids)
    return made


def _kept(existing: Connection, manifest: Manifest) -> dict[str, str]:
    """What stays when the operator leaves it out: secrets, and the values as they were."""
    known = {**existing.values, **existing.secrets}
    fields = {item.key: item for item in manifest.fields}
    return {key: value for key, value in known.items() if key in fields and fields[key].generate != "webhook_url"}


def _may_be_emptied(manifest: Manifest, key: str) -> bool:
    """Whether a field that comes empty is to be empty, or to stay as it was: a secret, or what Warmline made."""
    item = manifest.field(key)
    return item is not None and not item.secret and not item.generate


def _field_verdicts(fields: CheckedFields) -> tuple[Verdict, ...]:
    wrong = [Verdict(step="fields", ok=False, text=text, field=key) for key, text in fields.errors.items()]
    odd = [
        Verdict(step="fields", ok=True, text="This value looks unusual.", field=key, remedy=text)
        for key, text in fields.warnings.items()
    ]
    return (*wrong, *odd)
