"""The secrets of projects: those in the server's settings, then those set in the Studio."""

import re
from collections.abc import Collection, Mapping

from warmline.ports import ProjectSecretStore


def secret_key(name: str) -> str:
    """Give the form in which the name of a project or secret stands in an environment variable: `CRM_KEY`."""
    return re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")


class ConfiguredSecrets:
    """Looks secrets up in the settings."""

    def __init__(self, secrets: Mapping[tuple[str, str], str]) -> None:
        """Give out `secrets`, by (project, name), both as `secret_key` writes them."""
        self._secrets = secrets

    async def __call__(self, project_id: str, name: str) -> str | None:
        """Give the secret; None when there is none."""
        return self._secrets.get((secret_key(project_id), secret_key(name)))

    def names(self, project_id: str) -> Collection[str]:
        """The secrets of a project that the settings hold, as `secret_key` writes them."""
        return {name for project, name in self._secrets if project == secret_key(project_id)}


class ProjectSecrets:
    """Looks secrets up in the settings, which win, and then in the store; what is changed there counts at once."""

    def __init__(self, configured: ConfiguredSecrets, store: ProjectSecretStore) -> None:
        """Ask `configured` first, then `store`, which keeps names as `secret_key` writes them."""
        self._configured = configured
        self._store = store

    async def __call__(self, project_id: str, name: str) -> str | None:
        """Give the secret; None when there is none. Raises StoreUnavailable."""
        found = await self._configured(project_id, name)
        return found if found is not None else await self._store.project_secret(project_id, secret_key(name))
