"""What must not be in any log: customers' and agents' words, phone numbers, tokens, secrets (design.md §10)."""

import re
from collections.abc import Iterable

_PHONE = re.compile(r"\+\d[\d ()-]{7,}\d")
_LEAST = 8
"""Shorter words are found by chance."""


def betrayed(log: str, *, said: Iterable[str], secrets: Iterable[str]) -> list[str]:
    """What of it stands in the log, shortened; phone numbers of any kind too."""
    lines = {line.strip() for text in said for line in text.splitlines()}
    told = [line[:40] for line in lines if len(line) >= _LEAST and " " in line and line in log]
    told += [f"a secret: {secret[:4]}…" for secret in set(secrets) if len(secret) >= _LEAST and secret in log]
    return [*told, *_PHONE.findall(log)]
