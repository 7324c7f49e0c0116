"""Passwords as argon2id hashes (design.md §10)."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 12
LONGEST = 256

_hasher = PasswordHasher()
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$bm90LWEtdXNlci1hdC1hbGw$Rj1l9sC4xJQ6W2p0u3i0n6m8q9l5Y2d7T1v4c8B3k0E"
"""Checked when there is no such user, so that the answer takes as long."""


def password_problem(password: str, name: str) -> str:
    """Say why a password cannot be used, as a key of the texts; "" when it can."""
    if len(password) < SHORTEST:
        return "password.too_short"
    if len(password) > LONGEST:
        return "password.too_long"
    if name and name.lower() in password.lower():
        return "password.has_name"
    if len(set(password)) < 5:
        return "password.too_simple"
    return ""


async def hash_password(password: str) -> str:
    """Give the hash to store. Computes for about 50 ms, beside the event loop."""
    return await asyncio.to_thread(_hasher.hash, password)


async def password_fits(stored: str | None, password: str) -> bool:
    """Tell whether `password` is the one of the hash; None stands for a user who does not exist."""

    def check() -> bool:
        try:
            return _hasher.verify(stored or _NOBODY, password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    return await asyncio.to_thread(check)
