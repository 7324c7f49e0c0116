"""Chat completions as JSON and as server-sent events (OpenAI API reference, "Chat completions"). Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from warmline.agent.models.port import Message, ModelAnswer, ModelRequest, ToolCall, Usage

LARGEST_ANSWER = 200_000
"""Characters of text and arguments in one answer; more is a model that does not stop."""


class AnswerBroken(Exception):
    """What came is no chat completion."""


class AnswerTooLong(Exception):
    """The answer goes on and on."""


class _Function(msgspec.Struct, kw_only=True):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct, kw_only=True):
    index: int | None = None
    id: str | None = None
    function: _Function = msgspec.field(default_factory=_Function)


class _Message(msgspec.Struct, kw_only=True):
    content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, kw_only=True):
    message: _Message | None = None
    delta: _Message | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct, kw_only=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct, kw_only=True):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    model: str | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Completion)


def encode_request(request: ModelRequest, *, stream: bool) -> bytes:
    """Give the body of `POST /chat/completions`."""
    body: dict[str, Any] = {**request.settings, "model": request.model}
    body["messages"] = [_message(message) for message in request.messages]
    if request.tools:
        body["tools"] = [{"type": "function", "function": tool} for tool in request.tools]
    if request.json:
        body["response_format"] = {"type": "json_object"}
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body)


def _message(message: Message) -> Mapping[str, object]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.content}
    if not message.calls:
        return {"role": message.role, "content": message.content}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
        for call in message.calls
    ]
    return {"role": message.role, "content": message.content or None, "tool_calls": calls}


class Answer:
    """An answer while it is being read, whole or in pieces."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._text: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._finish = ""
        self._usage = Usage()
        self._model = ""
        self._size = 0

    @property
    def finished(self) -> bool:
        """True when the model said why it stopped: without it, the answer broke off."""
        return bool(self._finish)

    def read(self, data: bytes | str) -> str:
        """Take a whole completion or the next chunk of one; gives the text that it adds.

        Raises:
            AnswerBroken: it is no completion. AnswerTooLong: there is no end to it.
        """
        try:
            completion = _decoder.decode(data)
        except msgspec.MsgspecError as problem:
            raise AnswerBroken(str(problem)) from problem
        if completion.error is not None:
            raise AnswerBroken("the endpoint reports an error in its answer")
        self._model = completion.model or self._model
        if completion.usage is not None:
            usage = completion.usage
            self._usage = Usage(prompt=usage.prompt_tokens or 0, completion=usage.completion_tokens or 0)
        if not completion.choices:
            return ""
        choice = completion.choices[0]
        self._finish = choice.finish_reason or self._finish
        said = choice.delta or choice.message or _Message()
        for position, call in enumerate(said.tool_calls or ()):
            self._add_call(call, position)
        text = said.content or ""
        self._grow(len(text))
        self._text.append(text)
        return text

    def _add_call(self, call: _Call, position: int) -> None:
        name, arguments = call.function.name or "", call.function.arguments or ""
        self._grow(len(name) + len(arguments))
        known = self._calls.setdefault(position if call.index is None else call.index, _Call())
        known.id = known.id or call.id
        known.function.name = (known.function.name or "") + name
        known.function.arguments = (known.function.arguments or "") + arguments

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > LARGEST_ANSWER:
            raise AnswerTooLong

    def done(self) -> ModelAnswer:
        """Give the answer.

        Raises:
            AnswerBroken: there is neither a text nor a tool call in it.
        """
        calls = tuple(
            ToolCall(
                id=call.id or f"call_{index}", name=call.function.name or "", arguments=call.function.arguments or ""
            )
            for index, call in sorted(self._calls.items())
        )
        text = "".join(self._text)
        if not self._finish and not text and not calls:
            raise AnswerBroken("the endpoint answered without a choice")
        return ModelAnswer(text=text, calls=calls, finish=self._finish, usage=self._usage, model=self._model)


class EventLines:
    """Cuts the bytes of a server-sent event stream into the data of its events (HTML standard §9.2.6)."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the `data` lines that are complete with these bytes; comments and other fields are left out."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LARGEST_ANSWER:
            raise AnswerTooLong
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
