"""Verified context: facts about the customer that the page's own server signs (messaging-protocol.md §12)."""

import hmac
from collections.abc import Mapping, Sequence

import jwt
import msgspec

from warmline.domain.errors import WarmlineError
from warmline.ports import Clock, Connector

MAX_TOKEN_BYTES = 16_384
_MAX_CONTEXT_BYTES = 8_192
_MAX_LIFETIME_S = 30
_SKEW_S = 10
"""How far the clock of the page's server may be from ours."""
_SETTING = "verified_context"


class ContextRefused(WarmlineError):
    """The token does not count; the text says why, for the page's developers."""

    def __init__(self, text: str) -> None:
        super().__init__("context_refused", text)


def key_of_installation(secret_key: str) -> bytes:
    """What the keys of an installation's connectors are made of; `secret_key` is one of `Settings.secret_keys`."""
    return hmac.new(secret_key.encode(), b"warmline verified context", "sha256").digest()


def generation(connector: Connector) -> int:
    """Which of the connector's signing keys counts; 0: the feature is off."""
    number = connector.settings.get(_SETTING)
    return number if isinstance(number, int) and number > 0 else 0


def with_generation(settings: Mapping[str, object], number: int) -> dict[str, object]:
    """A connector's settings with another signing key, or with the feature off."""
    rest = {name: value for name, value in settings.items() if name != _SETTING}
    return rest | {_SETTING: number} if number else rest


def signing_key(installation_key: bytes, connector: Connector) -> str:
    """The connector's signing key. It is used as this text, not as the bytes that it spells (§12)."""
    named = f"{connector.id} {generation(connector)}".encode()
    return hmac.new(installation_key, named, "sha256").hexdigest()


class ContextTokens:
    """Checks what pages submit. The first of `keys` is the installation's present key, the others are former ones."""

    def __init__(self, keys: Sequence[bytes], clock: Clock) -> None:
        self._keys = tuple(keys)
        self._clock = clock

    def verify(self, token: str, connector: Connector, context_id: str) -> dict[str, object]:
        """The facts that `token` states about the conversation `context_id`. Raises ContextRefused."""
        claims = self._claims(token, connector)
        if not context_id or claims.get("sub") != context_id:
            raise ContextRefused("sub: not the context_id of this session")
        issued, expires = claims.get("iat"), claims.get("exp")
        if not (type(issued) is int and type(expires) is int):
            raise ContextRefused("iat, exp: must be whole numbers")
        now = self._clock.now() // 1000
        if not 0 < expires - issued <= _MAX_LIFETIME_S:
            raise ContextRefused(f"exp: must be at most {_MAX_LIFETIME_S} seconds after iat")
        if expires + _SKEW_S < now or issued - _SKEW_S > now:
            raise ContextRefused("iat, exp: the token is not valid now")
        return _facts(claims.get("ctx"))

    def _claims(self, token: str, connector: Connector) -> Mapping[str, object]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise ContextRefused("not a JWT") from None
        if header.get("kid") != connector.id:
            raise ContextRefused("kid: not the key id of this connector")
        for key in self._keys:
            try:
                return jwt.decode(
                    token,
                    signing_key(key, connector),
                    algorithms=["HS256"],
                    options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_sub": False},
                )
            except jwt.InvalidTokenError:
                continue
        raise ContextRefused("the signature is not HS256 with this connector's key")


def _facts(ctx: object) -> dict[str, object]:
    if not isinstance(ctx, dict):
        raise ContextRefused("ctx: must be an object")
    if any(not isinstance(value, str | int | float | None) for value in ctx.values()):
        raise ContextRefused("ctx: values must be texts, numbers, true, false or null")
    if len(msgspec.json.encode(ctx)) > _MAX_CONTEXT_BYTES:
        raise ContextRefused(f"ctx: larger than {_MAX_CONTEXT_BYTES} bytes")
    return ctx
