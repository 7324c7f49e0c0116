"""Users, sign-ins, API keys and the audit log in SQL; the same for both dialects."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from warmline.ports import ApiKey, AuditEntry, Role, SignIn, User

_USER = "id, name, role, password, projects, created_at"
_USERS = f"SELECT {_USER} FROM users ORDER BY name"
_ADD_USER = f"""
    INSERT INTO users ({_USER}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING RETURNING id"""
_ADD_FIRST_USER = f"""
    INSERT INTO users ({_USER}) SELECT * FROM (VALUES ($1, $2, $3, $4, $5, CAST($6 AS bigint))) AS first
    WHERE NOT EXISTS (SELECT 1 FROM users) ON CONFLICT (name) DO NOTHING RETURNING id"""
_CHANGE_USER = "UPDATE users SET role = $2, password = $3, projects = $4 WHERE id = $1 RETURNING id"
_DELETE_USER = "DELETE FROM users WHERE id = $1"

_SAVE_SIGN_IN = """
    INSERT INTO sign_ins (id, user_id, created_at, seen_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at"""
_SIGNED_IN = """
    SELECT s.id, s.user_id, s.created_at, s.seen_at, u.id, u.name, u.role, u.password, u.projects, u.created_at
    FROM sign_ins s JOIN users u ON u.id = s.user_id WHERE s.id = $1"""
_END_SIGN_INS = "DELETE FROM sign_ins WHERE id = $1 OR user_id = $2 OR seen_at < $3"

_KEY = "id, name, project_id, created_at"
_API_KEYS = f"SELECT {_KEY} FROM api_keys ORDER BY name"
_API_KEY = f"SELECT {_KEY} FROM api_keys WHERE id = $1"
_ADD_API_KEY = f"""
    INSERT INTO api_keys ({_KEY}) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING RETURNING id"""
_DELETE_API_KEY = "DELETE FROM api_keys WHERE id = $1"

_RECORD = "INSERT INTO audit (at, user_id, user_name, act, subject, project_id) VALUES ($1, $2, $3, $4, $5, $6)"
_AUDIT = """
    SELECT id, at, user_id, user_name, act, subject, project_id FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2"""
_LAST = (1 << 63) - 1


class PeopleSql(ABC):
    """Implements `ports.PeopleStore` on reading and executing statements."""

    @abstractmethod
    async def _read(self, query: str, *arguments: object) -> list[Sequence[Any]]:
        """Run a query beside the writer."""

    @abstractmethod
    async def _execute(self, *statements: tuple[str, tuple[object, ...]]) -> list[list[Sequence[Any]]]:
        """Run statements in one transaction; gives the rows of each."""

    async def users(self) -> list[User]:
        """All, by name."""
        return [_user(row) for row in await self._read(_USERS)]

    async def add_user(self, user: User, *, only_first: bool = False) -> bool:
        """Insert a user."""
        row = (user.id, user.name, user.role.value, user.password, ",".join(user.projects), user.created_at)
        (rows,) = await self._execute((_ADD_FIRST_USER if only_first else _ADD_USER, row))
        return bool(rows)

    async def change_user(self, user: User) -> bool:
        """Replace role, password and projects."""
        row = (user.id, user.role.value, user.password, ",".join(user.projects))
        (rows,) = await self._execute((_CHANGE_USER, row))
        return bool(rows)

    async def delete_user(self, user_id: str) -> None:
        """Remove a user and end their sign-ins."""
        await self._execute((_END_SIGN_INS, ("", user_id, 0)), (_DELETE_USER, (user_id,)))

    async def save_sign_in(self, sign_in: SignIn) -> None:
        """Insert a sign-in, or note when it was last seen."""
        await self._execute((_SAVE_SIGN_IN, (sign_in.id, sign_in.user_id, sign_in.created_at, sign_in.seen_at)))

    async def signed_in(self, sign_in_id: str) -> tuple[SignIn, User] | None:
        """The sign-in and its user."""
        for row in await self._read(_SIGNED_IN, sign_in_id):
            return SignIn(id=row[0], user_id=row[1], created_at=row[2], seen_at=row[3]), _user(row[4:])
        return None

    async def end_sign_ins(self, *, sign_in_id: str = "", user_id: str = "", seen_before: int = 0) -> None:
        """Forget those of which any of these is true."""
        await self._execute((_END_SIGN_INS, (sign_in_id, user_id, seen_before)))

    async def api_keys(self) -> list[ApiKey]:
        """All, by name."""
        return [_api_key(row) for row in await self._read(_API_KEYS)]

    async def api_key(self, key_id: str) -> ApiKey | None:
        """The key with that id."""
        for row in await self._read(_API_KEY, key_id):
            return _api_key(row)
        return None

    async def add_api_key(self, key: ApiKey) -> bool:
        """Insert a key."""
        (rows,) = await self._execute((_ADD_API_KEY, (key.id, key.name, key.project_id, key.created_at)))
        return bool(rows)

    async def delete_api_key(self, key_id: str) -> None:
        """Remove a key."""
        await self._execute((_DELETE_API_KEY, (key_id,)))

    async def record(self, entry: AuditEntry) -> None:
        """Add to the audit log."""
        row = (entry.at, entry.user_id, entry.user_name, entry.act, entry.subject, entry.project_id)
        await self._execute((_RECORD, row))

    async def audit(self, *, before: int = 0, limit: int = 100) -> list[AuditEntry]:
        """Newest first."""
        names = ("id", "at", "user_id", "user_name", "act", "subject", "project_id")
        rows = await self._read(_AUDIT, before or _LAST, limit)
        return [AuditEntry(**dict(zip(names, row, strict=True))) for row in rows]


def _api_key(row: Sequence[Any]) -> ApiKey:
    return ApiKey(id=row[0], name=row[1], project_id=row[2], created_at=row[3])


def _user(row: Sequence[Any]) -> User:
    user_id, name, role, password, projects, created_at = row
    return User(
        id=user_id,
        name=name,
        role=Role(role),
        password=password,
        projects=tuple(projects.split(",")) if projects else (),
        created_at=created_at,
    )
