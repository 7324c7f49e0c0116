"""Access tokens: JWTs that carry a fresh user identity (messaging-protocol.md §2.1)."""

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
    """Makes and checks access tokens, signed with `secret` (at least 32 bytes)."""

    def __init__(self, secret: bytes, clock: Clock, ids: Ids) -> None:
        self._secret = secret
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
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def verify(self, token: str) -> Claims:
        """Whom the token speaks for. Raises InvalidToken."""
        if len(token) > _MAX_CHARS:
            raise InvalidToken
        options = {"require": ["sub", "cid", "exp"], "verify_exp": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, self._secret, algorithms=[_ALGORITHM], options=options)  # type: ignore[arg-type]
        except jwt.InvalidTokenError:
            raise InvalidToken from None
        subject, connector_id, expires = claims["sub"], claims["cid"], claims["exp"]
        if not isinstance(connector_id, str) or not isinstance(expires, int):
            raise InvalidToken
        if expires * 1000 <= self._clock.now():
            raise InvalidToken
        return Claims(subject=subject, connector_id=connector_id)
