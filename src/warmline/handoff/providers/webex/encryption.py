"""Opening encrypted files of agents (webex-byoc.md §13.3): a JWE holds the file's key, AES-GCM its bytes.

Getting the key that opens the JWE takes Webex's own key management, for which there is no client here; the
emulator's key server stands in for it.
"""

import base64
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from warmline.handoff.contract import ProviderRejected, RemoteFile

_NOT_OPENED = "an agent's encrypted file could not be opened"


class Scr(msgspec.Struct, frozen=True):
    """Secure content resource: how one file was encrypted. All but `aad` are base64url."""

    enc: str
    key: str
    iv: str
    aad: str
    tag: str


class Keys(Protocol):
    """Where keys are had."""

    async def file_key(self, key_id: str) -> str:
        """The key, base64url. Raises ProviderError."""
        ...


class KeyServerDecryptor:
    """Implements `contract.AttachmentDecryptor` with a key server that hands out its keys."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def decrypt(self, file: RemoteFile, content: bytes) -> bytes:
        """The file. Raises ProviderRejected when it cannot be opened, and what `file_key` raises."""
        if not file.jwe or not file.key_uri:
            raise ProviderRejected("file_without_key", _NOT_OPENED)
        key = await self._keys.file_key(file.key_uri.rstrip("/").rsplit("/", 1)[-1])
        return open_file(open_jwe(key, file.jwe), content)


def open_jwe(key: str, jwe: str) -> Scr:
    """The content of a compact JWE with direct A256GCM (RFC 7516). Raises ProviderRejected."""
    try:
        header, wrapped, iv, sealed, tag = jwe.split(".")
        named = msgspec.json.decode(_bytes(header))
        if not isinstance(named, dict) or (named.get("alg"), named.get("enc"), wrapped) != ("dir", "A256GCM", ""):
            raise ProviderRejected("file_encryption_unknown", _NOT_OPENED)
        plain = AESGCM(_bytes(key)).decrypt(_bytes(iv), _bytes(sealed) + _bytes(tag), header.encode("ascii"))
        scr = msgspec.json.decode(plain, type=Scr)
    except (ValueError, InvalidTag) as error:
        raise ProviderRejected("file_key_unfit", _NOT_OPENED) from error
    if scr.enc != "A256GCM":
        raise ProviderRejected("file_encryption_unknown", _NOT_OPENED)
    return scr


def open_file(scr: Scr, content: bytes) -> bytes:
    """The file whose ciphertext is `content`. Raises ProviderRejected when a single bit is not as it was."""
    try:
        return AESGCM(_bytes(scr.key)).decrypt(_bytes(scr.iv), content + _bytes(scr.tag), scr.aad.encode())
    except (ValueError, InvalidTag) as error:
        raise ProviderRejected("file_damaged", _NOT_OPENED) from error


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
