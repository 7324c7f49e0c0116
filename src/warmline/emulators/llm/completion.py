"""Chat completions as objects and as streamed chunks (OpenAI API reference, "Chat completions")."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from warmline.emulators.llm.asked import ChatRequest
from warmline.emulators.llm.script import Answer

_PIECE = re.compile(r"\s*\S+")


def completion(answer: Answer, request: ChatRequest, number: int) -> dict[str, Any]:
    """Return the `chat.completion` object of an answer; `number` makes its ids."""
    if answer.response is not None:
        return answer.response
    calls = [
        {
            "id": f"call_{number}_{index}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.text},
        }
        for index, call in enumerate(answer.calls)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": answer.say or None}
    if calls:
        message["tool_calls"] = calls
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": request.model,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": _usage(request, message),
    }


def chunks(done: dict[str, Any], *, include_usage: bool) -> Iterator[bytes]:
    """Return the server-sent events that tell the same as `done`, the last one being `[DONE]`."""
    choice = done["choices"][0]
    message = choice["message"]
    yield _event(done, {"role": "assistant", "content": ""})
    for piece in _PIECE.findall(message.get("content") or ""):
        yield _event(done, {"content": piece})
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        opening = {"name": function["name"], "arguments": ""}
        yield _event(done, {"tool_calls": [{**call, "index": index, "function": opening}]})
        half = len(function["arguments"]) // 2
        for part in (function["arguments"][:half], function["arguments"][half:]):
            yield _event(done, {"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    yield _event(done, {}, finish=choice["finish_reason"])
    if include_usage:
        yield _encode({**_head(done), "choices": [], "usage": done.get("usage")})
    yield b"data: [DONE]\n\n"


def _event(done: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> bytes:
    return _encode({**_head(done), "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _head(done: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": done.get("id", ""),
        "object": "chat.completion.chunk",
        "created": done.get("created", 0),
        "model": done.get("model", ""),
    }


def _encode(body: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def _usage(request: ChatRequest, message: dict[str, Any]) -> dict[str, int]:
    """Count a token for four characters: near enough for what only has to add up."""
    prompt = sum(len(m.text) for m in request.messages) // 4 + 1
    answer = len(msgspec.json.encode(message)) // 4 + 1
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
