"""The emulated API: `/v1/chat/completions`, `/v1/models`, `/v1/moderations`."""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from warmline.emulators.llm import completion
from warmline.emulators.llm.asked import ChatRequest, asked_of
from warmline.emulators.llm.faults import Effect, Faults
from warmline.emulators.llm.script import Answer, Call, Playing, Script

_MOST_REMEMBERED = 500
_UNKNOWN_TOOL = "a_tool_that_was_not_offered"


class _ModerationRequest(msgspec.Struct, kw_only=True):
    input: str | list[str]
    model: str = ""


class Refused(Exception):
    """An error of the API."""

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Emulator:
    """The state of the emulated endpoint: its script, its faults, what it was asked."""

    def __init__(self, script: Script) -> None:
        self._initial = script
        self.playing = Playing(script)
        self.faults = Faults()
        self.requests: deque[dict[str, Any]] = deque(maxlen=_MOST_REMEMBERED)
        self._numbers = itertools.count(1)

    def play(self, script: Script) -> None:
        """Play another script from its beginning."""
        self.playing = Playing(script)

    def reset(self) -> None:
        """Go back to the state after the start."""
        self.play(self._initial)
        self.faults.clear()
        self.requests.clear()

    def routes(self) -> list[web.RouteDef]:
        """Return the API's routes."""
        return [
            web.post("/v1/chat/completions", self._answering("chat", self._chat)),
            web.post("/v1/moderations", self._answering("moderations", self._moderate)),
            web.get("/v1/models", self._answering("models", self._models)),
        ]

    def _answering(
        self, endpoint: str, handler: Callable[[web.Request, Effect], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            effect = self.faults.take(endpoint)
            body = await request.read()
            self.requests.append({"endpoint": endpoint, "body": _shown(body), "effect": effect})
            try:
                await _spoil(request, effect)
                self._authorize(request)
                return await handler(request, effect)
            except Refused as refused:
                return _error(refused)

        return handle

    def _authorize(self, request: web.Request) -> None:
        key = self.playing.script.api_key
        if key and request.headers.get("Authorization") != f"Bearer {key}":
            raise Refused(401, "Incorrect API key provided.")

    async def _chat(self, request: web.Request, effect: Effect) -> web.StreamResponse:
        chat = _decoded(await request.read(), ChatRequest)
        answer = _spoiled(self.playing.answer(asked_of(chat)), chat, effect)
        done = completion.completion(answer, chat, next(self._numbers))
        if not chat.stream:
            return _json({"this is": "no completion"} if effect.garbage else done)
        include_usage = chat.stream_options is not None and chat.stream_options.include_usage
        return await self._stream(request, completion.chunks(done, include_usage=include_usage), effect)

    async def _stream(self, request: web.Request, events: Any, effect: Effect) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        try:
            for number, event in enumerate(events):
                if effect.cut_after == number:
                    _cut(request)
                    break
                if effect.stall_after == number:
                    await asyncio.sleep(effect.stall_ms / 1000)
                await response.write(b"data: {this is no event\n\n" if effect.garbage and number else event)
                if self.playing.script.pace_ms:
                    await asyncio.sleep(self.playing.script.pace_ms / 1000)
            await response.write_eof()
        except ConnectionResetError:
            # The client hung up, as it may at any time.
            pass
        return response

    async def _moderate(self, request: web.Request, effect: Effect) -> web.StreamResponse:
        asked = _decoded(await request.read(), _ModerationRequest)
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        results = []
        for text in texts:
            scores = self.playing.script.flagged(text)
            results.append(
                {
                    "flagged": bool(scores),
                    "categories": dict.fromkeys(scores, True),
                    "category_scores": scores,
                }
            )
        return _json({"id": f"modr-{next(self._numbers)}", "model": asked.model or "moderation", "results": results})

    async def _models(self, request: web.Request, effect: Effect) -> web.StreamResponse:
        model = self.playing.script.model
        return _json({"object": "list", "data": [{"id": model, "object": "model", "created": 0, "owned_by": "you"}]})


def _spoiled(answer: Answer, chat: ChatRequest, effect: Effect) -> Answer:
    if effect.huge:
        return Answer(say="word " * (effect.huge // 5))
    if effect.unknown_tool:
        return Answer(calls=(Call(name=_UNKNOWN_TOOL),))
    if effect.loop and chat.tools:
        function = chat.tools[0].function
        wanted = function.parameters.get("properties") or {}
        return Answer(calls=(Call(name=function.name, arguments=dict.fromkeys(wanted, "1")),))
    if effect.bad_arguments:
        calls = answer.calls or tuple(Call(name=tool.function.name) for tool in chat.tools[:1])
        return Answer(calls=tuple(Call(name=call.name, arguments='{"half": ') for call in calls))
    return answer


async def _spoil(request: web.Request, effect: Effect) -> None:
    if effect.delay_ms:
        await asyncio.sleep(effect.delay_ms / 1000)
    if effect.drop:
        _cut(request)
        raise Refused(500, "cut")
    if effect.status is not None:
        raise Refused(effect.status, "This is a fault on purpose.", effect.retry_after)


def _cut(request: web.Request) -> None:
    transport = request.transport
    if transport is not None:
        transport.abort()


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as problem:
        raise Refused(400, str(problem)) from problem


def _shown(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.MsgspecError:
        return body.decode(errors="replace")


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json")


def _error(refused: Refused) -> web.Response:
    headers = {} if refused.retry_after is None else {"Retry-After": f"{refused.retry_after:g}"}
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(
        refused.status, "invalid_request_error" if refused.status < 500 else "server_error"
    )
    body = {"error": {"message": str(refused), "type": kind, "param": None, "code": None}}
    return _json(body, refused.status, headers)
