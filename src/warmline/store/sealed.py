"""Everything that is sealed, in SQL; the same for both dialects."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from warmline.ports import Ids, SealedBy, SealedSecret, SecretBox

_SEALED = """
    SELECT 'connection' AS kind, s.connection_id AS owner_id, coalesce(c.name, '') AS owner, s.name AS name, s.sealed
    FROM connection_secrets s LEFT JOIN connections c ON c.id = s.connection_id
    UNION ALL SELECT 'project', project_id, '', name, sealed FROM project_secrets
    UNION ALL SELECT 'receiver', id, name, 'secret', secret FROM event_receivers
    UNION ALL SELECT 'receiver', id, name, 'previous', previous FROM event_receivers
    ORDER BY 1, 3, 2, 4"""
_SEAL_ANEW = {
    "connection": """
        UPDATE connection_secrets SET sealed = $4 WHERE connection_id = $1 AND name = $2 AND sealed = $3
        RETURNING name""",
    "project": """
        UPDATE project_secrets SET sealed = $4 WHERE project_id = $1 AND name = $2 AND sealed = $3 RETURNING name""",
    "receiver secret": "UPDATE event_receivers SET secret = $3 WHERE id = $1 AND secret = $2 RETURNING id",
    "receiver previous": "UPDATE event_receivers SET previous = $3 WHERE id = $1 AND previous = $2 RETURNING id",
}
_FORGET = {
    "connection": """
        DELETE FROM connection_secrets WHERE connection_id = $1 AND name = $2 AND sealed = $3 RETURNING name""",
    "project": "DELETE FROM project_secrets WHERE project_id = $1 AND name = $2 AND sealed = $3 RETURNING name",
    "receiver secret": """
        UPDATE event_receivers SET secret = $3, paused = true WHERE id = $1 AND secret = $2 RETURNING id""",
    "receiver previous": """
        UPDATE event_receivers SET previous = $3, previous_until = 0 WHERE id = $1 AND previous = $2 RETURNING id""",
}


class SealedSql(ABC):
    """Implements `ports.SealedStore` on reading and executing statements."""

    _secrets: SecretBox
    _ids: Ids

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def sealed_secrets(self) -> list[SealedSecret]:
        """All, by kind, owner and name."""
        return [
            SealedSecret(
                kind=kind,
                owner_id=owner_id,
                owner=owner,
                name=name,
                by=self._secrets.sealed_by(sealed),
                sealed=sealed,
            )
            for kind, owner_id, owner, name, sealed in await self._read(_SEALED)
        ]

    async def seal_anew(self, secrets: Sequence[SealedSecret]) -> int:
        """Seal what a previous key had sealed with the current one."""
        return await self._each(
            _with_value(_SEAL_ANEW, secret, self._secrets.seal(self._secrets.open(secret.sealed)))
            for secret in secrets
            if secret.by is SealedBy.PREVIOUS
        )

    async def forget_sealed(self, secrets: Sequence[SealedSecret]) -> int:
        """Forget what cannot be opened."""
        return await self._each(self._forgotten(secret) for secret in secrets if not secret.by.opens)

    def _forgotten(self, secret: SealedSecret) -> tuple[str, tuple[object, ...]]:
        if secret.kind != "receiver":
            return _FORGET[secret.kind], (secret.owner_id, secret.name, secret.sealed)
        # In hexadecimal digits, a key in base64 as that of every receiver: an empty one would be known to everybody.
        value = self._ids.uuid().replace("-", "") if secret.name == "secret" else ""
        return _with_value(_FORGET, secret, self._secrets.seal(value.encode()))

    async def _each(self, statements: Iterable[tuple[str, tuple[object, ...]]]) -> int:
        """Run them one by one: together they would lock rows in an order that servers, which save secrets, lack."""
        count = 0
        for statement in statements:
            (rows,) = await self._execute(statement)
            count += len(rows)
        return count


def _with_value(queries: Mapping[str, str], secret: SealedSecret, value: bytes) -> tuple[str, tuple[object, ...]]:
    """The statement that puts `value` in place of what was read, if that is still there."""
    if secret.kind == "receiver":
        return queries[f"receiver {secret.name}"], (secret.owner_id, secret.sealed, value)
    return queries[secret.kind], (secret.owner_id, secret.name, secret.sealed, value)
