"""API keys: made once, shown once, kept as hashes."""

import hashlib

from warmline.ports import ApiKey, Clock, Ids, PeopleStore

_PREFIX = "wlk_"
"""Lets scanners for leaked secrets find them."""
_MAX_CHARS = 128


class ApiKeys:
    """Makes and checks the keys of the REST APIs.

    A key has 256 random bits, so its plain SHA-256 is as good as a slow hash, and looking the hash up tells nothing
    by its timing.
    """

    def __init__(self, people: PeopleStore, clock: Clock, ids: Ids) -> None:
        self._people = people
        self._clock = clock
        self._ids = ids

    async def make(self, name: str, project_id: str = "") -> str | None:
        """A new key for one project ("": for all), to be shown this once; None when the name is taken."""
        secret = _PREFIX + self._ids.secret()
        key = ApiKey(id=_digest(secret), name=name, project_id=project_id, created_at=self._clock.now())
        return secret if await self._people.add_api_key(key) else None

    async def find(self, secret: str) -> ApiKey | None:
        """The key, unless it was never made or is revoked. Raises StoreUnavailable."""
        if not secret.startswith(_PREFIX) or len(secret) > _MAX_CHARS:
            return None
        return await self._people.api_key(_digest(secret))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
