"""The client of a chat completions endpoint, with retries that end."""

import asyncio
import random
from dataclasses import replace
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
import structlog

from warmline.agent.models.endpoint import Endpoint
from warmline.agent.models.metrics import ModelMetrics
from warmline.agent.models.port import FailureKind, ModelAnswer, ModelFailed, ModelRequest, TextSink
from warmline.agent.models.wire import Answer, AnswerBroken, AnswerTooLong, EventLines, encode_request
from warmline.ports import Clock

_log = structlog.get_logger(__name__)

_MOST_ATTEMPTS = 4
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 8.0
_LEAST_TIME_S = 0.05
"""With less time left than this nothing is asked any more."""
_RETRIED = {
    FailureKind.UNREACHABLE,
    FailureKind.RATE_LIMITED,
    FailureKind.UNAVAILABLE,
    FailureKind.BROKEN_ANSWER,
    # Only where it was silent for too long while there was time left.
    FailureKind.TOO_SLOW,
}
_MAX_BODY = 4 * 1024 * 1024


class _Failed(Exception):
    """One attempt failed; `after` is when the endpoint wants to be asked again, seconds from now."""

    def __init__(self, kind: FailureKind, message: str, after: float = 0.0, status: int = 0) -> None:
        super().__init__(message)
        self.kind = kind
        self.after = after
        self.status = status


class ChatCompletions:
    """Implements `ModelPort` over HTTP."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        endpoint: Endpoint,
        clock: Clock,
        metrics: ModelMetrics,
        chance: random.Random | None = None,
    ) -> None:
        """Ask `endpoint` through `http`; `chance` spreads the pauses between attempts."""
        self._http = http
        self._endpoint = endpoint
        self._clock = clock
        self._metrics = metrics
        self._chance = chance or random.Random()
        self._place = urlsplit(endpoint.base_url).netloc

    async def complete(self, request: ModelRequest, sink: TextSink | None = None) -> ModelAnswer:
        """Ask the model; see `ModelPort`."""
        began = self._clock.monotonic()
        attempt = 0
        while True:
            attempt += 1
            try:
                left = request.limit_s - (self._clock.monotonic() - began)
                answer = await self._attempt(request, sink, left)
            except _Failed as failed:
                self._metrics.failed(request.purpose, failed.kind)
                pause = self._pause(attempt, failed)
                left = request.limit_s - (self._clock.monotonic() - began)
                shown = sink is not None and not sink.restart()
                if shown:
                    raise ModelFailed(FailureKind.HALF_ANSWER, str(failed), attempts=attempt) from failed
                if failed.kind is FailureKind.REFUSED and failed.status == 400 and request.settings:
                    # An endpoint need not know every setting; a project's must never stop its agent (§10).
                    _log.warning("llm.settings_refused", settings=sorted(request.settings), model=request.model)
                    request = replace(request, settings={})
                    continue
                if failed.kind not in _RETRIED or attempt >= _MOST_ATTEMPTS or pause + _LEAST_TIME_S >= left:
                    raise ModelFailed(failed.kind, str(failed), attempts=attempt) from failed
                await self._clock.sleep(pause)
            else:
                self._metrics.answered(request.purpose, answer, self._clock.monotonic() - began)
                return replace(answer, attempts=attempt)

    def _pause(self, attempt: int, failed: _Failed) -> float:
        longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (attempt - 1))
        return max(failed.after, longest * self._chance.uniform(0.5, 1.0))

    async def _attempt(self, request: ModelRequest, sink: TextSink | None, left: float) -> ModelAnswer:
        if left < _LEAST_TIME_S:
            raise _Failed(FailureKind.TOO_SLOW, "There was no time left for the language model.")
        try:
            async with asyncio.timeout(left):
                return await self._ask(request, sink)
        except aiohttp.ConnectionTimeoutError:
            text = f"The language model at {self._place} does not take connections."
            raise _Failed(FailureKind.UNREACHABLE, text) from None
        except TimeoutError:
            text = f"The language model at {self._place} took too long."
            raise _Failed(FailureKind.TOO_SLOW, text) from None
        except aiohttp.ClientPayloadError:
            text = f"The language model at {self._place} broke off its answer."
            raise _Failed(FailureKind.BROKEN_ANSWER, text) from None
        except (aiohttp.ClientError, OSError) as error:
            text = f"The language model at {self._place} cannot be reached ({type(error).__name__})."
            raise _Failed(FailureKind.UNREACHABLE, text) from None
        except AnswerBroken as error:
            text = f"The language model at {self._place} answered with what is no answer: {error}."
            raise _Failed(FailureKind.BROKEN_ANSWER, text) from None
        except AnswerTooLong:
            text = f"The language model at {self._place} did not stop answering."
            raise _Failed(FailureKind.TOO_LONG, text) from None

    async def _ask(self, request: ModelRequest, sink: TextSink | None) -> ModelAnswer:
        endpoint = self._endpoint
        # An answer that comes whole is silence until it is there.
        silence = endpoint.idle_s if sink is not None else None
        limits = aiohttp.ClientTimeout(total=None, connect=5.0, sock_read=silence)
        async with self._http.post(
            f"{endpoint.base_url.rstrip('/')}/chat/completions",
            data=encode_request(request, stream=sink is not None),
            headers=endpoint.headers,
            timeout=limits,
            allow_redirects=False,
        ) as response:
            if response.status != 200:
                raise await self._refusal(response)
            answer = Answer()
            if sink is None:
                answer.read(await _body(response))
            else:
                await self._read_stream(response, answer, sink)
            return answer.done()

    async def _read_stream(self, response: aiohttp.ClientResponse, answer: Answer, sink: TextSink) -> None:
        if response.content_type != "text/event-stream":
            # Some servers ignore the wish for a stream.
            sink.add(answer.read(await _body(response)))
            return
        lines = EventLines()
        async for data in response.content.iter_any():
            for event in lines.feed(data):
                if event == b"[DONE]":
                    return
                if text := answer.read(event):
                    sink.add(text)
        if not answer.finished:
            raise AnswerBroken("it ended in the middle")

    async def _refusal(self, response: aiohttp.ClientResponse) -> _Failed:
        status = response.status
        text = f"The language model at {self._place} answered with HTTP {status}."
        if status == 429:
            return _Failed(FailureKind.RATE_LIMITED, text, self._retry_after(response))
        if status >= 500 or status == 408:
            return _Failed(FailureKind.UNAVAILABLE, text, self._retry_after(response))
        remedy = {
            401: " Check WARMLINE_LLM_API_KEY.",
            403: " Check WARMLINE_LLM_API_KEY.",
            404: " Check WARMLINE_LLM_BASE_URL and WARMLINE_LLM_MODEL.",
        }
        return _Failed(FailureKind.REFUSED, text + remedy.get(status, ""), status=status)

    def _retry_after(self, response: aiohttp.ClientResponse) -> float:
        """Seconds that the endpoint asks for: a number or a date (RFC 9110 §10.2.3)."""
        value = response.headers.get("Retry-After", "").strip()
        try:
            return max(0.0, float(value))
        except ValueError:
            pass
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - self._clock.now() / 1000)
        except (ValueError, TypeError):
            return 0.0


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for data in response.content.iter_any():
        body += data
        if len(body) > _MAX_BODY:
            raise AnswerTooLong
    return body
