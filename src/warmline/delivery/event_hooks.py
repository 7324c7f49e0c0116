"""Tells programs outside what happens in conversations: signed, in order per session, again until they accept it.

The catalog's follower puts events into a queue, in the transaction that moves its own place in the log on; here they
are sent. Nothing of this stands in the way of a message: without receivers nothing is queued and nothing is read but
the list of receivers, every few seconds.

Signatures are those of Standard Webhooks 1.0 (github.com/standard-webhooks, spec/standard-webhooks.md).
"""

import asyncio
import base64
import contextlib
import hmac
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import aiohttp
import msgspec
import structlog

from warmline.delivery.backoff import Backoff
from warmline.delivery.leases import Leases
from warmline.domain.errors import ConfigError, StoreUnavailable
from warmline.domain.events import Recorded
from warmline.domain.published import fields_of, kind_of
from warmline.files.fetch import FetchFailed, checked_address, open_session
from warmline.ports import Clock, QueuedEvent, Receiver, Store, StoredSession, Tried

_log = structlog.get_logger(__name__)

SECRET_PREFIX = "whsec_"  # noqa: S105  (says what the rest is)
"""What a secret begins with; the rest is the key in base64."""
_AT_ONCE = 16
_BACKOFF = Backoff((1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0))
_LONGEST_MS = 4_400_000
"""No event is put off for longer: the last step of `_BACKOFF` with its jitter."""
_UNREACHABLE = Backoff((1.0, 5.0, 15.0, 60.0))
_BUSY = frozenset({408, 425, 429})
"""Statuses that say something about the receiver's state, not about the event, though they look like refusals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSettings:
    """Seconds of event webhooks."""

    answer_within_s: float = 15.0
    give_up_after_s: float = 24 * 3600.0
    """An event is sent again and again for so long."""
    keep_s: float = 7 * 24 * 3600.0
    """Given-up events, and those of a paused receiver, are forgotten after so long."""
    reload_s: float = 5.0
    pace_s: float = 1.0
    """How often is looked for what is due again."""


@dataclass(slots=True)
class _Line:
    """One receiver here: whether it is served now, and how it did."""

    task: asyncio.Task[None] | None = None
    failures: int = 0
    """How often in a row it could not be reached."""
    hold_until: float = 0.0
    again: bool = False


class EventHooks:
    """Implements `ports.EventSender`. `secret_for` tells nothing to logs: addresses and texts are in none."""

    def __init__(
        self,
        store: Store,
        leases: Leases,
        clock: Clock,
        *,
        relaxed: bool = False,
        settings: HookSettings | None = None,
        chance: Callable[[], float] = random.random,
        counted: Callable[[str, int], None] = lambda result, events: None,
    ) -> None:
        self._store = store
        self._leases = leases
        self._clock = clock
        self._relaxed = relaxed
        self._settings = settings or HookSettings()
        self._chance = chance
        self._counted = counted
        self._receivers: tuple[Receiver, ...] = ()
        self._lines: dict[str, _Line] = {}
        self._http: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._loaded_at = 0.0
        self._forget_at = 0.0

    @property
    def receivers(self) -> Sequence[Receiver]:
        """Who wants events, as far as this node knows."""
        return self._receivers

    async def start(self) -> None:
        """Begin. Raises StoreUnavailable."""
        await self._load()
        self._task = asyncio.create_task(self._run(), name="event-hooks")

    async def stop(self) -> None:
        """Stop; what is under way is sent again by whoever goes on."""
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        tasks += [self._task] if self._task is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    def wake(self) -> None:
        """Something was queued."""
        for receiver in self._receivers:
            self._serve(receiver)

    def problem(self, url: str) -> str:
        """Why nothing can be sent to an address; "" when it can."""
        try:
            checked_address(url, relaxed=self._relaxed)
        except FetchFailed as error:
            return error.code
        return ""

    async def changed(self) -> None:
        """Receivers were added, changed or removed. Raises StoreUnavailable."""
        await self._load()
        for receiver in self._receivers:
            self._line(receiver).hold_until = 0.0
        self.wake()

    async def test(self, receiver: Receiver) -> Tried:
        """Send a signed event of the kind "test" now, once."""
        now = self._clock.now()
        body = {"id": f"test-{now}", "type": "test", "at": now, "data": {"receiver": receiver.name}}
        return await self._post(receiver, f"test-{now}", msgspec.json.encode(body))

    # --- when ------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._settings.pace_s)
            try:
                if self._clock.monotonic() - self._loaded_at >= self._settings.reload_s:
                    await self._load()
                await self._forget()
            except StoreUnavailable as error:
                _log.warning("event_hooks.store_unavailable", code=error.code)
            except ConfigError as error:
                # Another node's key sealed a receiver: those that are known here go on.
                _log.error("event_hooks.not_loaded", code=error.code, setting=error.key)
                self._loaded_at = self._clock.monotonic()
            self.wake()

    async def _load(self) -> None:
        self._receivers = tuple(await self._store.receivers())
        self._loaded_at = self._clock.monotonic()
        known = {receiver.id for receiver in self._receivers}
        for receiver_id in [receiver_id for receiver_id in self._lines if receiver_id not in known]:
            line = self._lines.pop(receiver_id)
            if line.task is not None:
                line.task.cancel()
        # What seems further away than that waits for a clock that was set back since.
        await self._store.hasten_events(known, after=self._clock.now() + _LONGEST_MS)

    async def _forget(self) -> None:
        """Once an hour, what nobody will ask for any more."""
        if self._clock.monotonic() >= self._forget_at:
            self._forget_at = self._clock.monotonic() + 3600
            await self._store.forget_events(before=self._clock.now() - round(self._settings.keep_s * 1000))

    def _line(self, receiver: Receiver) -> _Line:
        return self._lines.setdefault(receiver.id, _Line())

    def _serve(self, receiver: Receiver) -> None:
        line = self._line(receiver)
        line.again = True
        if line.task is None and not receiver.paused and self._clock.monotonic() >= line.hold_until:
            line.task = asyncio.create_task(self._drain(receiver.id, line))

    async def _drain(self, receiver_id: str, line: _Line) -> None:
        """Send what is due; one event of a session at a time, and after a failure one event in all."""
        try:
            while line.again:
                line.again = False
                receiver = next((r for r in self._receivers if r.id == receiver_id), None)
                if receiver is None or receiver.paused or not self._leases.certain:
                    return
                most = _AT_ONCE if line.failures == 0 else 1
                held = sorted(self._leases.held)
                due = await self._store.events_due(receiver.id, held, self._clock.now(), most)
                if not due:
                    continue
                await self._send(receiver, line, due)
                if self._clock.monotonic() < line.hold_until:
                    return
        except StoreUnavailable as error:
            _log.warning("event_hooks.store_unavailable", code=error.code)
        except Exception:
            _log.exception("event_hooks.failed", receiver_id=receiver_id)
        finally:
            line.task = None

    # --- what ------------------------------------------------------------------------------------------------

    async def _send(self, receiver: Receiver, line: _Line, due: Sequence[QueuedEvent]) -> None:
        results = await asyncio.gather(*(self._send_one(receiver, event) for event in due))
        accepted = [event for event, error, _ in results if not error]
        await self._store.events_accepted(accepted, self._clock.now())
        self._counted("accepted", len(accepted))
        for event, error, reached in results:
            if error:
                self._counted("refused" if reached else "unreachable", 1)
                await self._failed(event, error, reached=reached)
        if all(reached for _, _, reached in results):
            line.failures = 0
            line.again = True
            return
        line.failures += 1
        line.hold_until = self._clock.monotonic() + _UNREACHABLE.delay(line.failures, self._chance())
        too_old = self._clock.now() - round(self._settings.give_up_after_s * 1000)
        given_up = await self._store.give_up_events(receiver.id, before=too_old, error="unreachable")
        if given_up:
            self._counted("given_up", given_up)
            _log.error("event_hooks.given_up", receiver_id=receiver.id, events=given_up)

    async def _send_one(self, receiver: Receiver, event: QueuedEvent) -> tuple[QueuedEvent, str, bool]:
        """Give the event, why it was not accepted ("": it was), and whether the receiver was there at all."""
        stored = await self._store.session(event.session_id)
        log = await self._store.events(event.session_id, event.sequence - 1, 1)
        if stored is None or not log:
            # Erased meanwhile: nobody is told of it any more.
            return event, "", True
        tried = await self._post(receiver, log[0].id, body(stored, log[0]))
        refused = 400 <= tried.status < 500 and tried.status not in _BUSY
        return event, tried.error, not tried.error or refused

    async def _failed(self, event: QueuedEvent, error: str, *, reached: bool) -> None:
        now = self._clock.now()
        wait_s = _BACKOFF.delay(event.attempts + 1, self._chance())
        dead = reached and now - event.created_at > self._settings.give_up_after_s * 1000
        failed = replace(event, attempts=event.attempts + 1, next_at=now + round(wait_s * 1000), error=error)
        await self._store.event_failed(failed, dead=dead)
        if dead:
            self._counted("given_up", 1)
            _log.error("event_hooks.given_up", receiver_id=event.receiver_id, events=1)

    async def _post(self, receiver: Receiver, event_id: str, content: bytes) -> Tried:
        began = self._clock.monotonic()
        status, error = 0, ""
        try:
            url = checked_address(receiver.url, relaxed=self._relaxed)
            async with asyncio.timeout(self._settings.answer_within_s):
                headers = sign(receiver, event_id, self._clock.now(), content)
                async with self._session().post(url, data=content, headers=headers, allow_redirects=False) as answer:
                    status = answer.status
            error = "" if 200 <= status < 300 else f"http_{status}"
        except TimeoutError:
            error = "too_slow"
        except FetchFailed as failed:
            error = failed.code
        except aiohttp.ClientConnectorCertificateError:
            error = "bad_certificate"
        except (aiohttp.ClientError, OSError):
            error = "not_reached"
        return Tried(status=status, error=error, milliseconds=round((self._clock.monotonic() - began) * 1000))

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = open_session(relaxed=self._relaxed, limit=4 * _AT_ONCE)
        return self._http


def body(stored: StoredSession, recorded: Recorded) -> bytes:
    """What a receiver is told of an event (docs/guide/event-webhooks.md)."""
    told = {
        "id": recorded.id,
        "type": kind_of(recorded.event),
        "at": recorded.at,
        "project_id": stored.info.project_id,
        "environment": stored.info.environment,
        "session_id": stored.session.id,
        "sequence": recorded.sequence,
        "data": fields_of(recorded.event),
    }
    return msgspec.json.encode(told | {"test_chat": True} if stored.info.is_test_chat else told)


def sign(receiver: Receiver, event_id: str, now: int, content: bytes) -> dict[str, str]:
    """The headers of a request; `now` in epoch milliseconds."""
    timestamp = str(now // 1000)
    secrets = [receiver.secret]
    if receiver.previous and now < receiver.previous_until:
        secrets.append(receiver.previous)
    signed = f"{event_id}.{timestamp}.".encode() + content
    signatures = [f"v1,{_signature(secret, signed)}" for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": "Warmline",
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = b""
    with contextlib.suppress(ValueError):
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    return base64.b64encode(hmac.new(key, signed, "sha256").digest()).decode()
