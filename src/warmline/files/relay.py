"""Files under addresses of ours: no login, exact headers, gone after their time (webex-byoc.md §13.1)."""

import asyncio
import base64
import contextlib
import hmac
from collections.abc import Sequence
from urllib.parse import quote

import msgspec
import structlog
from aiohttp import web

from warmline.domain.errors import StoreUnavailable
from warmline.domain.messages import Attachment, AttachmentKind
from warmline.files.kinds import EXTENSIONS, IMAGES, clean_name, extension
from warmline.ports import Clock, FileStore, Ids, StoredFile
from warmline.web.errors import error_response

_log = structlog.get_logger(__name__)

CUSTOMER_TTL_S = 60 * 60
"""How long a customer's file can be fetched (§13.1)."""
AGENT_TTL_S = 24 * 60 * 60
"""How long an agent's file can be fetched: as long as the customer's access token lives."""

_SWEEP_EVERY_S = 600.0


class _Claims(msgspec.Struct, frozen=True):
    id: str
    exp: int
    size: int
    mime: str


class FileRelay:
    """Keeps files and serves them under signed addresses.

    Args:
        keys: signing keys, the newest first; addresses signed with any of them are good.
        public_url: where this server is reached from outside, without a trailing slash.
    """

    def __init__(self, store: FileStore, clock: Clock, ids: Ids, keys: Sequence[bytes], public_url: str) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._keys = tuple(keys)
        self._public_url = public_url
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Forget expired files from now on."""
        self._sweeper = asyncio.create_task(self._sweep(), name="files-sweeper")

    async def stop(self) -> None:
        """Stop forgetting; files stay."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper

    async def keep(self, session_id: str, name: str, mime_type: str, content: bytes, *, ttl_s: int) -> Attachment:
        """Keep a file for `ttl_s` seconds; durable when this returns. Raises RuleViolation, StoreUnavailable."""
        now = self._clock.now()
        name = clean_name(name)
        file = StoredFile(
            id=self._ids.uuid(),
            session_id=session_id,
            name=name,
            mime_type=mime_type,
            content=content,
            created_at=now,
            expires_at=now + ttl_s * 1000,
        )
        await self._store.save_file(file)
        return Attachment(
            content_url=self.url(file),
            kind=AttachmentKind.IMAGE if mime_type in IMAGES else AttachmentKind.URL,
            title=name,
            mime_type=mime_type,
            size=len(content),
        )

    def url(self, file: StoredFile) -> str:
        """Where the file is served. Its own name is not in it; the extension fits its type (§13.1)."""
        claims = _Claims(file.id, file.expires_at, len(file.content), file.mime_type)
        body = _base64(msgspec.json.encode(claims))
        known = EXTENSIONS.get(file.mime_type)
        ending = known[0] if known else extension(file.name) or "bin"
        return f"{self._public_url}/files/{body}.{_sign(self._keys[0], body)}/attachment-{file.id}.{ending}"

    def routes(self) -> list[web.RouteDef]:
        """What to add to the server's router: `GET` and `HEAD /files/{token}/{name}`."""
        return [web.get("/files/{token}/{name}", self.serve, allow_head=True)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one download. A bad or expired token and a forgotten file are the same 404."""
        claims = self._claims(request.match_info["token"])
        if claims is None:
            return error_response(404, "Not Found")
        try:
            file = await self._store.file(claims.id)
        except StoreUnavailable:
            return error_response(503, "UNAVAILABLE", {"Retry-After": "2"})
        if file is None or len(file.content) != claims.size:
            return error_response(404, "Not Found")
        return web.Response(
            body=file.content,
            headers={
                "Content-Type": file.mime_type,
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, no-store",
                "Cross-Origin-Resource-Policy": "cross-origin",
            },
        )

    def _claims(self, token: str) -> _Claims | None:
        body, _, signature = token.rpartition(".")
        good = [hmac.compare_digest(_sign(key, body).encode(), signature.encode()) for key in self._keys]
        if not any(good):
            return None
        claims = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=_Claims)
        return claims if claims.exp > self._clock.now() else None

    async def _sweep(self) -> None:
        while True:
            try:
                forgotten = await self._store.forget_files(expired_by=self._clock.now())
                if forgotten:
                    _log.info("files.forgotten", count=forgotten)
            except StoreUnavailable:
                _log.warning("files.sweep_failed")
            await self._clock.sleep(_SWEEP_EVERY_S)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _sign(key: bytes, body: str) -> str:
    return _base64(hmac.digest(key, body.encode(), "sha256"))
