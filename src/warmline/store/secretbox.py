"""Encryption of what must not lie on disk in the clear (AES-256-GCM, keys by HKDF from the operator's secrets)."""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from warmline.domain.errors import ConfigError
from warmline.ports import SealedBy

KEY_NAME = "WARMLINE_SECRET_KEY"
MIN_LENGTH = 16
"""Characters. Shorter keys are refused: HKDF adds no strength to a guessable one."""

_WHICH = "`warmline secrets list` tells which"
_FORMAT = b"\x01"
_KEY_ID = 4
_NONCE = 12


class AesSecretBox:
    """Implements `ports.SecretBox`. Sealed: format byte, key id (4 bytes), nonce (12), ciphertext and tag.

    Args:
        current: the secret that seals. At least 16 characters, random.
        previous: former ones, which still open until everything is sealed anew (`warmline secrets rotate`).
    """

    def __init__(self, current: str, previous: Sequence[str] = ()) -> None:
        self._current, cipher = _derive(current)
        self._ciphers = {**dict(map(_derive, previous)), self._current: cipher}

    def seal(self, plain: bytes) -> bytes:
        """Encrypt with the current key."""
        nonce = os.urandom(_NONCE)
        head = _FORMAT + self._current
        return head + nonce + self._ciphers[self._current].encrypt(nonce, plain, head)

    def open(self, sealed: bytes) -> bytes:
        """Decrypt with the current or a previous key. Raises ConfigError when no key fits."""
        by, plain = self._open(sealed)
        if by is SealedBy.UNKNOWN:
            raise ConfigError(
                KEY_NAME, f"a stored secret was sealed with another key; add that one as a previous key. {_WHICH}"
            )
        if by is SealedBy.DAMAGED:
            raise ConfigError(KEY_NAME, f"a stored secret is damaged. {_WHICH}")
        return plain

    def sealed_by(self, sealed: bytes) -> SealedBy:
        """Which key opens it. One whose beginning is damaged looks as if an unknown key had sealed it."""
        return self._open(sealed)[0]

    def _open(self, sealed: bytes) -> tuple[SealedBy, bytes]:
        start = len(_FORMAT) + _KEY_ID
        head, nonce, text = sealed[:start], sealed[start : start + _NONCE], sealed[start + _NONCE :]
        key = head[len(_FORMAT) :]
        cipher = self._ciphers.get(key)
        if head[: len(_FORMAT)] != _FORMAT or cipher is None:
            return SealedBy.UNKNOWN, b""
        try:
            plain = cipher.decrypt(nonce, text, head)
        except (InvalidTag, ValueError):  # ValueError: cut off within the nonce
            return SealedBy.DAMAGED, b""
        return SealedBy.CURRENT if key == self._current else SealedBy.PREVIOUS, plain


def _derive(secret: str) -> tuple[bytes, AESGCM]:
    if len(secret) < MIN_LENGTH:
        raise ConfigError(KEY_NAME, f"must have at least {MIN_LENGTH} random characters")
    material = HKDF(algorithm=SHA256(), length=32 + _KEY_ID, salt=None, info=b"warmline secret box 1").derive(
        secret.encode()
    )
    return material[32:], AESGCM(material[:32])
