"""Access tokens: JWTs that carry a fresh user identity (messaging-protocol.md §2.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jwt

from warmline.domain.errors import WarmlineError
from warmline.ports import Clock, Ids

LIFETIME_S = 86_400
_ALGORITHM = "HS256"
_MAX_CHARS = 4096


class InvalidToken(WarmlineError):
    """Not a token of ours, or it has expired."""

    def __init__(self) -> None:
        super().__init__("invalid_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Who a token speaks for: the user identity `subject`, made for the connector `connector_id`."""

    subject: str
    connector_id: str


class AccessTokens:
    """Makes and checks access tokens.

    `secrets` have at least 32 bytes each: the first signs, the others are former ones whose tokens still count,
    so that rotating the installation's key ends no conversation.
    """

    def __init__(self, secrets: Sequence[bytes], clock: Clock, ids: Ids) -> None:
        self._secrets = tuple(secrets)
        self._clock = clock
        self._ids = ids

    def issue(self, connector_id: str) -> str:
        """A new token with a new user identity; lives for `LIFETIME_S` seconds."""
        now = self._clock.now() // 1000
        claims = {
            "sub": self._ids.uuid(),
            "cid": connector_id,
            "iat": now,
            "exp": now + LIFETIME_S,
            "jti": self._ids.uuid(),
        }
        return jwt.encode(claims, self._secrets[0], algorithm=_ALGORITHM)

    def verify(self, token: str) -> Claims:
        """Whom the token speaks for. Raises InvalidToken."""
        if len(token) > _MAX_CHARS:
            raise InvalidToken
        claims = self._decode(token)
        subject, connector_id, expires = claims["sub"], claims["cid"], claims["exp"]
        if not (isinstance(subject, str) and isinstance(connector_id, str) and isinstance(expires, int)):
            raise InvalidToken
        if expires * 1000 <= self._clock.now():
            raise InvalidToken
        return Claims(subject=subject, connector_id=connector_id)

    def _decode(self, token: str) -> Mapping[str, object]:
        options = {"require": ["sub", "cid", "exp"], "verify_exp": False, "verify_iat": False}
        for secret in self._secrets:
            try:
                return jwt.decode(token, secret, algorithms=[_ALGORITHM], options=options)  # type: ignore[arg-type]
            except jwt.InvalidTokenError:
                continue
        raise InvalidToken
