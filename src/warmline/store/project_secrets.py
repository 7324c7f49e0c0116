"""Secrets of projects, sealed, in SQL; the same for both dialects."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from warmline.ports import SecretBox

_SECRET = "SELECT sealed FROM project_secrets WHERE project_id = $1 AND name = $2"  # noqa: S105
_NAMES = "SELECT name, set_at FROM project_secrets WHERE project_id = $1 ORDER BY name"
_SAVE = """
    INSERT INTO project_secrets (project_id, name, sealed, set_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (project_id, name) DO UPDATE SET sealed = excluded.sealed, set_at = excluded.set_at"""
_DELETE = "DELETE FROM project_secrets WHERE project_id = $1 AND name = $2"


class ProjectSecretsSql(ABC):
    """Implements `ports.ProjectSecretStore` on reading and executing statements."""

    _secrets: SecretBox

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def project_secret(self, project_id: str, name: str) -> str | None:
        """The secret itself."""
        for (sealed,) in await self._read(_SECRET, project_id, name):
            return self._secrets.open(sealed).decode()
        return None

    async def project_secret_names(self, project_id: str) -> dict[str, int]:
        """When each was set."""
        return {str(name): int(at) for name, at in await self._read(_NAMES, project_id)}

    async def save_project_secret(self, project_id: str, name: str, secret: str, at: int) -> None:
        """Insert or replace."""
        await self._execute((_SAVE, (project_id, name, self._secrets.seal(secret.encode()), at)))

    async def delete_project_secret(self, project_id: str, name: str) -> None:
        """Remove it."""
        await self._execute((_DELETE, (project_id, name)))
