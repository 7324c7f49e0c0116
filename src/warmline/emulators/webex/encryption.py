"""Encrypted attachments: ciphertext behind the file URL, its key wrapped for the emulator's own key server (§13.3)."""

import base64
from urllib.parse import urlencode

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from warmline.emulators.webex.state import File, World


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def outbound_link(world: World, file: File) -> str:
    """Return the URL of a file for the customer's side, encrypting the file when the organization does so."""
    if not world.settings.encrypt_files:
        return world.file_url(file)
    random = world.ids.stream("encryption")
    key, iv, aad = random.randbytes(32), random.randbytes(12), f"file {file.id}"
    sealed = AESGCM(key).encrypt(iv, file.content, aad.encode())
    encrypted = world.store_file(file.name, "application/octet-stream", sealed[:-16])
    url = world.file_url(encrypted)
    scr = {
        "enc": "A256GCM",
        "key": _b64(key),
        "iv": _b64(iv),
        "aad": aad,
        "tag": _b64(sealed[-16:]),
        "loc": url,
    }
    key_id = world.ids.uuid("kms-key")
    world.file_keys[key_id] = random.randbytes(32)
    jwe = _compact_jwe(world.file_keys[key_id], random.randbytes(12), msgspec.json.encode(scr))
    return url + "&" + urlencode({"keyUri": f"kms://webex-sim/keys/{key_id}", "JWE": jwe})


def _compact_jwe(key: bytes, iv: bytes, plain: bytes) -> str:
    """Return `plain` as a compact JWE, direct encryption with A256GCM (RFC 7516)."""
    header = _b64(msgspec.json.encode({"enc": "A256GCM", "alg": "dir"}))
    sealed = AESGCM(key).encrypt(iv, plain, header.encode())
    return ".".join((header, "", _b64(iv), _b64(sealed[:-16]), _b64(sealed[-16:])))


def key_view(world: World, key_id: str) -> dict[str, str] | None:
    """Return a key of the key server as a JSON Web Key, or None when it is unknown."""
    key = world.file_keys.get(key_id)
    if key is None:
        return None
    return {"kid": f"kms://webex-sim/keys/{key_id}", "kty": "oct", "alg": "A256GCM", "k": _b64(key)}
