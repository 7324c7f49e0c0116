"""The part of the store that knows who may use the Studio and the APIs, who is signed in, and who did what.

See `ports`.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Role(StrEnum):
    """What a user may do; each may all that those before it may."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Tell whether this role may do what `needed` is asked for."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may sign in to the Studio.

    `name` is unique, in lower case. `password` is an argon2id hash. `projects` are the ids of those that the user
    sees; none: all, and an admin sees all. Times are milliseconds since the epoch.
    """

    id: str
    name: str
    role: Role
    password: str = field(repr=False)
    projects: tuple[str, ...] = ()
    created_at: int = 0

    def sees(self, project_id: str) -> bool:
        """Tell whether the user may see a project."""
        return self.role is Role.ADMIN or not self.projects or project_id in self.projects


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A browser that is signed in. `id` is the SHA-256 of the cookie's token, in hexadecimal digits."""

    id: str = field(repr=False)
    user_id: str
    created_at: int
    seen_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of the REST APIs, without itself.

    `id` is the SHA-256 of the key in hexadecimal digits, `name` unique, `project_id` the only project that it opens
    ("": all). `created_at` is in milliseconds since the epoch.
    """

    id: str = field(repr=False)
    name: str
    project_id: str = ""
    created_at: int = 0

    def opens(self, project_id: str) -> bool:
        """Tell whether the key is good for a project."""
        return self.project_id in ("", project_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Somebody did something. `act` is a fixed name, `subject` what it was done to (ids and names, never texts)."""

    at: int
    user_id: str
    user_name: str
    act: str
    subject: str = ""
    project_id: str = ""
    id: int = 0


class PeopleStore(Protocol):
    """Keeps users, sign-ins, API keys and the audit log."""

    async def users(self) -> list[User]:
        """All, by name."""
        ...

    async def add_user(self, user: User, *, only_first: bool = False) -> bool:
        """Insert a user; False when the name is taken or, with `only_first`, when there is any user."""
        ...

    async def change_user(self, user: User) -> bool:
        """Replace role, password and projects of the user with that id; False when there is none."""
        ...

    async def delete_user(self, user_id: str) -> None:
        """Remove a user and end their sign-ins."""
        ...

    async def save_sign_in(self, sign_in: SignIn) -> None:
        """Insert a sign-in, or note when it was last seen."""
        ...

    async def signed_in(self, sign_in_id: str) -> tuple[SignIn, User] | None:
        """The sign-in and its user."""
        ...

    async def end_sign_ins(self, *, sign_in_id: str = "", user_id: str = "", seen_before: int = 0) -> None:
        """Forget those of which any of these is true."""
        ...

    async def api_keys(self) -> list[ApiKey]:
        """All, by name."""
        ...

    async def api_key(self, key_id: str) -> ApiKey | None:
        """The key with that id."""
        ...

    async def add_api_key(self, key: ApiKey) -> bool:
        """Insert a key; False when the name is taken."""
        ...

    async def delete_api_key(self, key_id: str) -> None:
        """Remove a key."""
        ...

    async def record(self, entry: AuditEntry) -> None:
        """Add to the audit log."""
        ...

    async def audit(self, *, before: int = 0, limit: int = 100) -> list[AuditEntry]:
        """Newest first; with `before`, those whose id is below it."""
        ...
