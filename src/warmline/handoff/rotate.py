"""New secrets for a connection that runs: the old one stays valid beside the new one (webex-byoc.md §10.1)."""

import base64
from dataclasses import dataclass, field

from warmline.domain.errors import ConfigError
from warmline.handoff.manifest import Field, Manifest
from warmline.handoff.registry import Registry
from warmline.ports import Clock, Ids, Store

UNTIL_USED = "used"
"""In `<key>_previous_until`: the old secret is valid until a webhook came that was signed with the new one."""

_KEPT = 4
"""How many predecessors are kept, separated by blanks, while any of them may still be in use."""

_HOUR_MS = 3600 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What became of a rotation. `previous_until` is epoch ms; None: until the new secret was used."""

    item: Field
    secret: str = field(repr=False)
    previous_until: int | None


def rotations(manifest: Manifest) -> dict[str, tuple[Field, ...]]:
    """The changes of secrets that a provider knows, by name, each with the fields it is about."""
    named: dict[str, tuple[Field, ...]] = {}
    for item in manifest.fields:
        if item.rotation:
            named[item.rotation] = (*named.get(item.rotation, ()), item)
    return named


def new_secret(ids: Ids) -> str:
    """32 random bytes as 64 hexadecimal digits."""
    text = ids.secret(32)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()


async def rotate(store: Store, registry: Registry, clock: Clock, ids: Ids, connection_id: str, name: str) -> Rotated:
    """Give a connection a new generated secret and start its provider anew; running handoffs go on.

    Raises:
        ConfigError: there is no such connection, or no generated secret of that name.
    """
    connection = next((c for c in await store.connections() if c.id == connection_id), None)
    if connection is None:
        raise ConfigError(connection_id, "there is no such connection")
    known = rotations(registry.manifests[connection.provider])
    generated = [item for item in known.get(name, ()) if item.generate == "secret"]
    if not generated:
        raise ConfigError(name, f"is no generated secret of {connection.provider}")
    (item,) = generated
    until = clock.now() + item.previous_hours * _HOUR_MS if item.previous_hours else None
    secret = new_secret(ids)
    previous = connection.secrets.get(item.key, "")
    valid_until = connection.secrets.get(f"{item.key}_previous_until", "")
    if valid_until == UNTIL_USED or (valid_until.isdigit() and int(valid_until) > clock.now()):
        # Nobody knows which of these is in use on the other side.
        previous = " ".join([*connection.secrets.get(f"{item.key}_previous", "").split(), previous][-_KEPT:])
    await store.save_secrets(
        connection_id,
        {
            item.key: secret,
            f"{item.key}_previous": previous,
            f"{item.key}_previous_until": UNTIL_USED if until is None else str(until),
        },
    )
    await registry.reload(connection_id)
    return Rotated(item=item, secret=secret, previous_until=until)
