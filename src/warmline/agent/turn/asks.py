"""Answers what the functions of a turn ask of the server while they run (frames `Ask` and `Answer`)."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from warmline.agent.project.model import Project
from warmline.agent.turn.protocol import Answer, Ask
from warmline.agent.turn.services import ApiRequest, Prompt, ServiceFailed, Services
from warmline.domain.turn import TurnInput

_log = structlog.get_logger(__name__)
_Answerer = Callable[[Mapping[str, Any]], Awaitable[Answer]]
_SHOWN = {"prompt_llm": "conv.utils.prompt_llm", "secret": "conv.utils.get_secret", "api": "conv.api.{api}.{operation}"}
Trace = Callable[[str, Mapping[str, object]], None]
"""Notes what happens for the author who tries the project: a kind of `TraceEntry` and its data."""


class Asks:
    """The asks of one turn, counted."""

    def __init__(self, services: Services, project: Project, turn: TurnInput, most: int, trace: Trace) -> None:
        """Answer at most `most` asks of the functions of `turn`, with `services`; `trace` notes them."""
        self._services = services
        self._project = project
        self._turn = turn
        self._most = most
        self._trace = trace
        self._answer: Mapping[str, _Answerer] = {
            "prompt_llm": self._prompt,
            "secret": self._secret,
            "api": self._api,
        }
        self._count = 0
        self._refused = False

    def take_refused(self) -> str | None:
        """Give what the author must know when asks were refused since the last time; None when none were."""
        refused, self._refused = self._refused, False
        return f"More than {self._most} calls to the server in one turn; the others were refused." if refused else None

    async def __call__(self, ask: Ask, language: str) -> Answer:
        """Answer one ask of a function that runs in `language`; a failure of any kind comes as the answer."""
        self._count += 1
        answer = self._answer.get(ask.kind)
        if answer is None:
            return Answer(error="InvalidInput", text=f"a function cannot ask for {ask.kind!r}")
        if self._count > self._most:
            self._refused = True
            error = "PromptLLMCallLimitError" if ask.kind == "prompt_llm" else "CallLimitError"
            return Answer(error=error, text=f"more than {self._most} calls to the server in one turn")
        name = _SHOWN[ask.kind].format_map({"api": "", "operation": "", **ask.payload})
        self._trace("tool", {"name": name, "kind": "service", "arguments": {}})
        began = time.perf_counter()
        given = await self._answered(answer, ask, language)
        # The values may be secret: only how it went is shown.
        status = given.value.get("status") if ask.kind == "api" and isinstance(given.value, dict) else "answered"
        taken = round((time.perf_counter() - began) * 1000)
        self._trace("returned", {"name": name, "value": given.error or status, "duration_ms": taken})
        return given

    async def _answered(self, answer: _Answerer, ask: Ask, language: str) -> Answer:
        try:
            return await answer({**ask.payload, "language": language})
        except (KeyError, TypeError, ValueError) as wrong:
            return Answer(error="InvalidInput", text=f"{type(wrong).__name__}: {wrong}")
        except Exception as error:
            # The function's author is told that it failed, the operator why; both go on.
            _log.exception("function_ask_failed", kind=ask.kind, session_id=self._turn.session_id)
            return Answer(error="ServiceError", text=f"the server could not answer: {type(error).__name__}")

    async def _prompt(self, payload: Mapping[str, Any]) -> Answer:
        if self._services.model is None:
            text = "prompt_llm needs a language model and none is configured"
            return Answer(error="NotImplementedError", text=text)
        prompt = Prompt(
            project=self._project,
            text=str(payload["prompt"]),
            session_id=self._turn.session_id,
            channel=self._turn.channel,
            language=payload["language"],
            history=self._turn.history if payload.get("show_history") else (),
            json=bool(payload.get("return_json")),
            model=str(payload.get("model") or ""),
        )
        try:
            text = await self._services.model(prompt)
        except ServiceFailed as failed:
            return Answer(error="ChatCompletionError", text=str(failed))
        return _as_json(text) if prompt.json else Answer(value=text)

    async def _secret(self, payload: Mapping[str, Any]) -> Answer:
        name = payload["name"]
        if not isinstance(name, str) or not name:
            return Answer(error="InvalidInput", text="the name of a secret must be a text")
        secret = await self._services.secrets(self._project.id, name) if self._services.secrets else None
        if secret is None:
            return Answer(error="SecretNotFound", text=f"there is no secret {name!r} for this project")
        return Answer(value=secret)

    async def _api(self, payload: Mapping[str, Any]) -> Answer:
        if self._services.apis is None:
            return Answer(error="NotConfigured", text="no API can be called here")
        request = ApiRequest(
            project=self._project,
            environment=self._turn.environment,
            api=payload["api"],
            operation=payload["operation"],
            path=payload.get("path", {}),
            params=tuple((str(key), str(value)) for key, value in payload.get("params", ())),
            headers=payload.get("headers", {}),
            json=payload.get("json"),
            has_json=bool(payload.get("has_json")),
            data=payload.get("data", b""),
            timeout_s=float(payload.get("timeout_s", 10.0)),
        )
        try:
            response = await self._services.apis(request)
        except ServiceFailed as failed:
            return Answer(error="ApiError", text=str(failed))
        return Answer(
            value={
                "status": response.status,
                "reason": response.reason,
                "url": response.url,
                "headers": [list(pair) for pair in response.headers],
                "body": response.body,
                "elapsed_s": response.elapsed_s,
            }
        )


def _as_json(text: str) -> Answer:
    """Read the model's JSON, also when it came in a fenced block."""
    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        value = json.loads(body)
    except ValueError:
        return Answer(error="ChatCompletionError", text="the model's answer is not JSON")
    if not isinstance(value, dict):
        return Answer(error="ChatCompletionError", text="the model's answer is not a JSON object")
    return Answer(value=value)
