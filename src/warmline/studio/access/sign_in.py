"""Sign-ins: the cookie, what it stands for, and the token that forms must carry."""

import hashlib
import hmac
from dataclasses import dataclass, field, replace

from aiohttp import web

from warmline.ports import Clock, Ids, PeopleStore, SignIn, User

COOKIE = "warmline_studio"
PATH = "/studio"
_IDLE_MS = 12 * 3600 * 1000
_LONGEST_MS = 7 * 24 * 3600 * 1000
_NOTE_SEEN_MS = 5 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who sends a request. `form_token` proves that a form comes from one of our pages."""

    user: User
    sign_in: SignIn
    form_token: str = field(repr=False)


class SignIns:
    """Starts, finds and ends sign-ins.

    Args:
        key: makes form tokens; the same on every node.
        secure: the cookie is for https only.
    """

    def __init__(self, store: PeopleStore, clock: Clock, ids: Ids, key: bytes, *, secure: bool) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._key = key
        self._secure = secure

    async def start(self, response: web.StreamResponse, user: User) -> None:
        """Sign the user in with a new token, whatever cookie the browser had (session fixation)."""
        token = self._ids.secret()
        now = self._clock.now()
        await self._store.end_sign_ins(seen_before=now - _LONGEST_MS)
        await self._store.save_sign_in(SignIn(id=_digest(token), user_id=user.id, created_at=now, seen_at=now))
        response.set_cookie(COOKIE, token, path=PATH, httponly=True, samesite="Lax", secure=self._secure)

    async def visitor(self, request: web.Request) -> Visitor | None:
        """Who is signed in with the request's cookie; None when nobody is any more."""
        token = request.cookies.get(COOKIE, "")
        found = await self._store.signed_in(_digest(token)) if token else None
        if found is None:
            return None
        sign_in, user = found
        now = self._clock.now()
        if now - sign_in.seen_at > _IDLE_MS or now - sign_in.created_at > _LONGEST_MS:
            await self._store.end_sign_ins(sign_in_id=sign_in.id)
            return None
        if now - sign_in.seen_at > _NOTE_SEEN_MS:
            sign_in = replace(sign_in, seen_at=now)
            await self._store.save_sign_in(sign_in)
        return Visitor(user=user, sign_in=sign_in, form_token=self._form_token(token))

    async def end(self, response: web.StreamResponse, visitor: Visitor) -> None:
        """Sign out."""
        await self._store.end_sign_ins(sign_in_id=visitor.sign_in.id)
        response.del_cookie(COOKIE, path=PATH)

    def _form_token(self, token: str) -> str:
        return hmac.new(self._key, token.encode(), hashlib.sha256).hexdigest()


def same_origin(request: web.Request) -> bool:
    """Tell whether a page of this very server sent the request, as far as the browser says it."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.host


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
