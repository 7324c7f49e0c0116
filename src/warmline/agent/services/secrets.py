"""The secrets of projects as the server's settings hold them."""

import re
from collections.abc import Mapping


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
