"""A chat completion request, as far as the script looks at it (OpenAI API reference, "Create chat completion")."""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec


class _Function(msgspec.Struct, kw_only=True):
    name: str
    description: str = ""
    parameters: dict[str, Any] = {}


class _Tool(msgspec.Struct, kw_only=True):
    type: Literal["function"]
    function: _Function


class _CalledFunction(msgspec.Struct, kw_only=True):
    name: str
    arguments: str


class _ToolCall(msgspec.Struct, kw_only=True):
    id: str
    type: Literal["function"]
    function: _CalledFunction


class _Part(msgspec.Struct, kw_only=True):
    type: str
    text: str = ""


class _Message(msgspec.Struct, kw_only=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    name: str = ""
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content or ())


class _StreamOptions(msgspec.Struct, kw_only=True):
    include_usage: bool = False


class ChatRequest(msgspec.Struct, kw_only=True):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: list[_Message]
    tools: list[_Tool] = []
    stream: bool = False
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        """Refuse what the API refuses: a tool result must answer a call of the assistant message before it."""
        if not self.messages:
            raise ValueError("messages must not be empty")
        waiting: set[str] = set()
        for message in self.messages:
            if message.role == "tool":
                if message.tool_call_id not in waiting:
                    raise ValueError("messages with role 'tool' must follow a message with their 'tool_calls'")
                waiting.discard(message.tool_call_id)
                continue
            if waiting:
                raise ValueError("an assistant message with 'tool_calls' must be followed by all tool messages")
            waiting = {call.id for call in message.tool_calls or ()}
        if waiting:
            raise ValueError("an assistant message with 'tool_calls' must be followed by all tool messages")
        names = [tool.function.name for tool in self.tools]
        if len(names) != len(set(names)):
            raise ValueError("tool names must be unique")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a script's conditions look at."""

    model: str
    user: str
    system: str
    tools: tuple[str, ...]
    tool: str
    result: str
    last: str


def asked_of(request: ChatRequest) -> Asked:
    """Give what the script looks at."""
    spoken = [message for message in request.messages if message.role not in ("system", "developer")]
    last = spoken[-1] if spoken else None
    users = [message.text for message in spoken if message.role == "user"]
    called = {call.id: call.function.name for message in request.messages for call in message.tool_calls or ()}
    is_tool = last is not None and last.role == "tool"
    return Asked(
        model=request.model,
        user=users[-1] if users else "",
        system="\n\n".join(m.text for m in request.messages if m.role in ("system", "developer")),
        tools=tuple(tool.function.name for tool in request.tools),
        tool=called.get(last.tool_call_id or "", "") if is_tool and last else "",
        result=last.text if is_tool and last else "",
        last="tool" if is_tool else "user",
    )
