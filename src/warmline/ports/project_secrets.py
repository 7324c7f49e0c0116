"""Keeping the secrets that functions and APIs of projects use."""

from typing import Protocol


class ProjectSecretStore(Protocol):
    """Keeps secrets sealed, by project and name; nothing but `project_secret` gives one out."""

    async def project_secret(self, project_id: str, name: str) -> str | None:
        """The secret itself; None when there is none."""
        ...

    async def project_secret_names(self, project_id: str) -> dict[str, int]:
        """When each secret was set (epoch milliseconds), by name."""
        ...

    async def save_project_secret(self, project_id: str, name: str, secret: str, at: int) -> None:
        """Insert or replace; durable when this returns."""
        ...

    async def delete_project_secret(self, project_id: str, name: str) -> None:
        """Remove it, if it is there."""
        ...
