"""Opening encrypted files of agents (webex-byoc.md §13.3); sealed here by hand, as the specification says."""

import base64
import json
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from warmline.handoff.contract import ProviderRejected, ProviderTimeout, RemoteFile
from warmline.handoff.providers.webex.encryption import KeyServerDecryptor, open_file, open_jwe

CONTENT = b"%PDF-1.7 what the agent sent"
KEY = bytes(range(32))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sealed(**changes: Any) -> tuple[dict[str, Any], bytes]:
    """The SCR of a file and its ciphertext."""
    key, iv, aad = os.urandom(32), os.urandom(12), "file 1"
    box = AESGCM(key).encrypt(iv, CONTENT, aad.encode())
    scr = {"enc": "A256GCM", "key": b64(key), "iv": b64(iv), "aad": aad, "tag": b64(box[-16:]), "loc": "https://x"}
    return {**scr, **changes}, box[:-16]


def jwe(scr: object, header: object = None, key: bytes = KEY) -> str:
    """A compact JWE, direct encryption."""
    head = b64(json.dumps(header or {"enc": "A256GCM", "alg": "dir"}).encode())
    iv = os.urandom(12)
    box = AESGCM(key).encrypt(iv, json.dumps(scr).encode(), head.encode())
    return ".".join((head, "", b64(iv), b64(box[:-16]), b64(box[-16:])))


def test_what_was_sealed_is_opened() -> None:
    scr, ciphertext = sealed()
    assert open_file(open_jwe(b64(KEY), jwe(scr)), ciphertext) == CONTENT


def test_a_single_bit_makes_it_unreadable() -> None:
    scr, ciphertext = sealed()
    opened = open_jwe(b64(KEY), jwe(scr))
    flipped = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    with pytest.raises(ProviderRejected, match="file_damaged"):
        open_file(opened, flipped)
    with pytest.raises(ProviderRejected, match="file_damaged"):
        open_file(opened, ciphertext[:-1])


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (jwe(sealed()[0], {"enc": "A256GCM", "alg": "RSA-OAEP"}), "file_encryption_unknown"),
        (jwe(sealed()[0], {"enc": "A128CBC-HS256", "alg": "dir"}), "file_encryption_unknown"),
        (jwe(sealed()[0], ["dir"]), "file_encryption_unknown"),
        (jwe(sealed(enc="A128GCM")[0]), "file_encryption_unknown"),
        (jwe(sealed()[0], key=bytes(32)), "file_key_unfit"),
        (jwe({"key": "x"}), "file_key_unfit"),
        (jwe(sealed()[0]).replace(".", ""), "file_key_unfit"),
        ("a.b.c.d.e", "file_key_unfit"),
        ("", "file_key_unfit"),
    ],
)
def test_a_foreign_or_broken_envelope_is_refused(token: str, code: str) -> None:
    with pytest.raises(ProviderRejected, match=code):
        open_jwe(b64(KEY), token)


class Keys:
    """A key server in memory."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.down = False

    async def file_key(self, key_id: str) -> str:
        self.asked.append(key_id)
        if self.down:
            raise ProviderTimeout("no_answer_in_time")
        return b64(KEY)


async def test_the_key_is_asked_for_by_the_id_in_its_address() -> None:
    keys = Keys()
    scr, ciphertext = sealed()
    file = RemoteFile(url="https://x", name="a.pdf", encrypted=True, jwe=jwe(scr), key_uri="kms://webex-sim/keys/k-1")
    assert await KeyServerDecryptor(keys).decrypt(file, ciphertext) == CONTENT
    assert keys.asked == ["k-1"]
    keys.down = True
    with pytest.raises(ProviderTimeout):
        await KeyServerDecryptor(keys).decrypt(file, ciphertext)


async def test_a_file_that_is_only_said_to_be_encrypted_cannot_be_opened() -> None:
    with pytest.raises(ProviderRejected, match="file_without_key"):
        await KeyServerDecryptor(Keys()).decrypt(RemoteFile(url="https://x", name="a", encrypted=True), b"x")
