"""Everything that is sealed, in SQL; the same for both dialects."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from warmline.ports import SealedBy, SealedSecret, SecretBox

_SEALED = """
    SELECT 'connection' AS kind, s.connection_id AS owner_id, coalesce(c.name, '') AS owner, s.name AS name, s.sealed
    FROM connection_secrets s LEFT JOIN connections c ON c.id = s.connection_id
    UNION ALL SELECT 'project', project_id, '', name, sealed FROM project_secrets
    UNION ALL SELECT 'receiver', id, name, 'secret', secret FROM event_receivers
    UNION ALL SELECT 'receiver', id, name, 'previous', previous FROM event_receivers
    ORDER BY 1, 3, 2, 4"""
_SEAL_ANEW = {
    ("connection", ""): """
        UPDATE connection_secrets SET sealed = $4 WHERE connection_id = $1 AND name = $2 AND sealed = $3
        RETURNING name""",
    ("project", ""): """
        UPDATE project_secrets SET sealed = $4 WHERE project_id = $1 AND name = $2 AND sealed = $3 RETURNING name""",
    ("receiver", "secret"): "UPDATE event_receivers SET secret = $3 WHERE id = $1 AND secret = $2 RETURNING id",
    ("receiver", "previous"): "UPDATE event_receivers SET previous = $3 WHERE id = $1 AND previous = $2 RETURNING id",
}
"""By kind and, where each secret has a column of its own, its name."""


class SealedSql(ABC):
    """Implements `ports.SealedStore` on reading and executing statements."""

    _secrets: SecretBox

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
        count = 0
        for secret in secrets:
            if secret.by is SealedBy.PREVIOUS:
                # One row at a time: more would be locked in an order that servers, which save secrets, do not know.
                (rows,) = await self._execute(self._anew(secret))
                count += len(rows)
        return count

    def _anew(self, secret: SealedSecret) -> tuple[str, tuple[object, ...]]:
        changed = (secret.sealed, self._secrets.seal(self._secrets.open(secret.sealed)))
        own_column = _SEAL_ANEW.get((secret.kind, secret.name))
        if own_column is not None:
            return own_column, (secret.owner_id, *changed)
        return _SEAL_ANEW[secret.kind, ""], (secret.owner_id, secret.name, *changed)
