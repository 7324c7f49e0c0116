"""Kills the process at a named point, for tests that want to know what survives.

The points lie between the steps a message takes (style-anchors.md §6.8). They are reached from wrappers around
the ports, so the program itself knows nothing of them.
"""

import os
import re
import signal
from collections.abc import Callable
from typing import Any, cast

import aiohttp

from warmline.ports import Change, Committed, InboxRow, Link, SentText, Store

POINTS = (
    "user-message.before-commit",
    "user-message.after-commit",
    "turn.before-run",
    "turn.before-commit",
    "turn.after-commit",
    "open.before-request",
    "open.after-request",
    "link.after-save",
    "webhook.before-accept",
    "webhook.after-accept",
    "news.before-commit",
    "news.after-commit",
    "forward.before-request",
    "forward.after-request",
    "forward.after-settle",
    "close.before-request",
    "close.after-request",
    "close.after-settle",
    "text.before-request",
    "text.after-request",
    "text.after-note",
)
"""Every point, in the order in which a conversation reaches them first."""

_REQUESTS = (
    ("open", re.compile(r"/v2/tasks$")),
    ("forward", re.compile(r"/v2/tasks/[^/]+/messages$")),
    ("close", re.compile(r"/tasks/[^/]+/end$")),
    ("text", re.compile(r"/Accounts/[^/]+/Messages\.json$")),
)


def kill_this_process() -> None:
    """`kill -9`: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


class CrashPlan:
    """Dies when `point` is reached for the `nth` time. An empty `point` never does."""

    def __init__(self, point: str = "", nth: int = 1, die: Callable[[], None] = kill_this_process) -> None:
        if point and point not in POINTS:
            raise ValueError(f"unknown crash point {point!r}")
        self._point = point
        self._left = nth
        self._die = die

    def reach(self, point: str) -> None:
        """Called at every point."""
        if point != self._point:
            return
        self._left -= 1
        if self._left == 0:
            self._die()

    def store(self, inner: Store) -> Store:
        """`inner` with the points of the store around it."""
        return cast(Store, _CrashingStore(inner, self))

    def trace(self) -> aiohttp.TraceConfig:
        """The points around requests to a provider."""
        trace = aiohttp.TraceConfig()

        async def started(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
            self._request(params.method, params.url.path, "before-request")

        async def answered(_: object, __: object, params: aiohttp.TraceRequestEndParams) -> None:
            self._request(params.method, params.url.path, "after-request")

        trace.on_request_start.append(started)
        trace.on_request_end.append(answered)
        return trace

    def _request(self, method: str, path: str, when: str) -> None:
        for name, pattern in _REQUESTS:
            if method == "POST" and pattern.search(path):
                self.reach(f"{name}.{when}")


class _CrashingStore:
    def __init__(self, inner: Store, plan: CrashPlan) -> None:
        self._inner = inner
        self._plan = plan
        self._kinds: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def transact(self, change: Change) -> Committed:
        kind = self._kind(change)
        self._plan.reach(f"{kind}.before-commit")
        committed = await self._inner.transact(change)
        for row in committed.outbox:
            self._kinds[row.id] = type(row.effect).__name__
        self._plan.reach(f"{kind}.after-commit")
        if change.settle is not None:
            effect = self._kinds.get(change.settle.row_id, "")
            settled = {"ForwardMessage": "forward", "CloseConversation": "close"}.get(effect)
            if settled:
                self._plan.reach(f"{settled}.after-settle")
        return committed

    async def turn_start(self, session_id: str, turn_id: str) -> object:
        self._plan.reach("turn.before-run")
        return await self._inner.turn_start(session_id, turn_id)

    async def save_link(self, link: Link) -> None:
        await self._inner.save_link(link)
        self._plan.reach("link.after-save")

    async def accept(self, row: InboxRow) -> int | None:
        self._plan.reach("webhook.before-accept")
        accepted = await self._inner.accept(row)
        self._plan.reach("webhook.after-accept")
        return accepted

    async def save_text(self, text: SentText) -> bool:
        saved = await self._inner.save_text(text)
        self._plan.reach("text.after-note")
        return saved

    def _kind(self, change: Change) -> str:
        if change.dedup_key.startswith("client:"):
            return "user-message"
        if change.turn is not None:
            return "turn"
        if change.inbox_done is not None or change.inbox_row is not None:
            return "news"
        return "other"
