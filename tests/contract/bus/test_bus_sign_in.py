"""As whom a node speaks to NATS and to PostgreSQL, and what it says when it is refused."""

import asyncio
import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import nkeys
import pytest
from nacl.signing import SigningKey

from support.buses import INSTALLATION, Heard
from support.nats import nats_server
from support.tls import Authority
from warmline.bus import NatsSettings, open_bus
from warmline.domain.errors import BusUnavailable, ConfigError
from warmline.ports import Wake
from warmline.system import SystemIds

PASSWORD = "right-and-secret"


async def sign_in(port: int, *, scheme: str = "nats", **settings: Any) -> None:
    """Start a node's bus there, see that it works, stop it."""
    server = NatsSettings(servers=(f"{scheme}://localhost:{port}",), **settings)
    bus = open_bus("sqlite:///unused", server, SystemIds(), INSTALLATION)
    try:
        await bus.start()
        await bus.check()
    finally:
        await bus.stop()


def key_pair(kind: int) -> tuple[str, str, nkeys.KeyPair]:
    """Seed, public key and both."""
    raw = SigningKey(os.urandom(32)).encode()
    seed = nkeys.encode_seed(raw, kind)
    pair = nkeys.from_seed(bytearray(seed))
    return seed.decode(), pair.public_key.decode(), pair


async def test_user_and_password(tmp_path: Path) -> None:
    config = f'authorization {{ user: warmline, password: "{PASSWORD}" }}'
    async with nats_server(tmp_path, config) as server:
        await sign_in(server.port, user="warmline", password=PASSWORD)
        for wrong in ({"user": "warmline", "password": "guessed-wrong"}, {}):
            with pytest.raises(ConfigError, match="WARMLINE_NATS_URL: NATS refuses the credentials") as refused:
                await sign_in(server.port, **wrong)
            assert "guessed" not in str(refused.value)


async def test_token(tmp_path: Path) -> None:
    async with nats_server(tmp_path, f'authorization {{ token: "{PASSWORD}" }}') as server:
        await sign_in(server.port, token=PASSWORD)
        with pytest.raises(ConfigError, match="NATS refuses the credentials"):
            await sign_in(server.port, token="guessed-wrong")


async def test_nkey(tmp_path: Path) -> None:
    seed, public, _ = key_pair(nkeys.PREFIX_BYTE_USER)
    other, _, _ = key_pair(nkeys.PREFIX_BYTE_USER)
    async with nats_server(tmp_path, f"authorization {{ users: [{{ nkey: {public} }}] }}") as server:
        await sign_in(server.port, nkey_seed=seed)
        with pytest.raises(ConfigError, match="NATS refuses the credentials"):
            await sign_in(server.port, nkey_seed=other)
        with pytest.raises(ConfigError, match="WARMLINE_NATS_NKEY_SEED: holds no seed") as malformed:
            await sign_in(server.port, nkey_seed="SU-nothing-of-the-kind")
        assert "nothing-of-the-kind" not in str(malformed.value)


def web_token(signer: nkeys.KeyPair, issuer: str, subject: str, kind: str, claims: dict[str, Any]) -> str:
    """A token of NATS: an nkey signs who somebody is (the NATS documentation, "JSON Web Tokens")."""
    body = {"iat": 1, "iss": issuer, "sub": subject, "name": kind, "nats": {"type": kind, "version": 2, **claims}}
    body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).decode().rstrip("=")
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, body)
    ]
    signature = base64.urlsafe_b64encode(signer.sign(b".".join(parts))).rstrip(b"=")
    return b".".join([*parts, signature]).decode()


async def test_credentials_file(tmp_path: Path) -> None:
    _, operator, operator_pair = key_pair(nkeys.PREFIX_BYTE_OPERATOR)
    _, account, account_pair = key_pair(nkeys.PREFIX_BYTE_ACCOUNT)
    seed, user, _ = key_pair(nkeys.PREFIX_BYTE_USER)
    free = dict.fromkeys(("subs", "conn", "leaf", "imports", "exports", "data", "payload"), -1)
    operator_token = web_token(operator_pair, operator, operator, "operator", {})
    account_token = web_token(operator_pair, operator, account, "account", {"limits": {**free, "wildcards": True}})
    user_token = web_token(account_pair, account, user, "user", {"subs": -1, "data": -1, "payload": -1})
    config = f"operator: {operator_token}\nresolver: MEMORY\nresolver_preload: {{ {account}: {account_token} }}\n"
    creds = (
        f"-----BEGIN NATS USER JWT-----\n{user_token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
    async with nats_server(tmp_path, config) as server:
        await sign_in(server.port, creds=creds)
        other, _, _ = key_pair(nkeys.PREFIX_BYTE_USER)
        with pytest.raises(ConfigError, match="NATS refuses the credentials"):
            await sign_in(server.port, creds=creds.replace(seed, other))
        with pytest.raises(ConfigError, match="WARMLINE_NATS_CREDS: holds no seed"):
            await sign_in(server.port, creds="not a credentials file")


async def test_a_user_who_may_not_publish_is_told(tmp_path: Path) -> None:
    config = 'authorization { users: [{ user: u, password: p, permissions: { publish: "other.>" } }] }'
    async with nats_server(tmp_path, config) as server:
        with pytest.raises(
            ConfigError, match=r"does not permit this user to publish and subscribe to warmline\."
        ) as no:
            await sign_in(server.port, user="u", password="p")
        assert "other" not in str(no.value)


async def test_tls_with_an_authority_of_ones_own_and_a_certificate_of_the_client(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = authority.file(30)
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.pem)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    other_ca = stranger / "ca.pem"
    other_ca.write_text(Authority(stranger).pem)
    tls = f'tls {{ cert_file: "{certificate}", key_file: "{certificate}", ca_file: "{ca}", verify: true }}'
    async with nats_server(tmp_path, tls) as server:
        await sign_in(server.port, scheme="tls", ca=ca, cert=certificate)
        await sign_in(server.port, ca=ca, cert=certificate)
        with pytest.raises(ConfigError, match="TLS fails: certificate signature failure"):
            await sign_in(server.port, scheme="tls", ca=other_ca, cert=certificate)
        with pytest.raises(ConfigError, match="TLS fails"):
            await sign_in(server.port, scheme="tls", cert=certificate)
        with pytest.raises(ConfigError, match="WARMLINE_NATS_CERT_FILE"):
            await sign_in(server.port, scheme="tls", ca=ca, cert=server_config(tmp_path))
        with pytest.raises(ConfigError, match="WARMLINE_NATS_CA_FILE"):
            await sign_in(server.port, scheme="tls", ca=server_config(tmp_path))


def server_config(folder: Path) -> Path:
    """A file that is no certificate."""
    return folder / "nats.conf"


async def test_a_server_that_offers_no_tls_learns_no_password() -> None:
    heard = b""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        writer.write(b'INFO {"server_id":"x","version":"2.11.0","max_payload":1048576,"auth_required":true}\r\n')
        heard = await reader.read(65536)
        writer.close()

    server = await asyncio.start_server(listen, "localhost", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for secret in ({"user": "u", "password": PASSWORD}, {"token": PASSWORD}):
            with pytest.raises(ConfigError, match="TLS is demanded"):
                await sign_in(port, scheme="tls", **secret)
    assert heard == b""


async def test_one_server_of_several_is_enough_and_may_take_short_messages_only(tmp_path: Path) -> None:
    async with nats_server(tmp_path, "max_payload: 1000") as server:
        servers = ("nats://127.0.0.1:1", f"nats://127.0.0.1:{server.port}", "nats://127.0.0.1:2")
        nodes = [open_bus("", NatsSettings(servers=servers), SystemIds(), INSTALLATION) for _ in range(2)]
        for node in nodes:
            await node.start()
        heard = Heard(nodes[1])
        wakes = [Wake("timers", (str(number),)) for number in range(200)]
        for wake in wakes:
            nodes[0].send(wake)
        await heard.until(lambda: wakes[-1] in heard.watched, "all arrived")
        assert heard.watched == wakes
        for node in nodes:
            await node.stop()


async def test_nobody_there_is_no_refusal() -> None:
    with pytest.raises(BusUnavailable, match="NATS cannot be used: ConnectionRefusedError"):
        await sign_in(1)


async def test_postgresql_refuses_whom_it_does_not_know(postgres_url: str) -> None:
    bus = open_bus(postgres_url.replace("postgres@", "nobody-there@"), None, SystemIds(), INSTALLATION)
    with pytest.raises(ConfigError, match="WARMLINE_DATABASE_URL: PostgreSQL refuses it: InvalidAuth"):
        await bus.start()
    await bus.stop()
