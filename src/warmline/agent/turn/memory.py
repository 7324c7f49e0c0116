"""What a session's turns hand to each other, as bytes that only this package reads."""

from typing import Any

import msgspec


class Memory(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The memory of one session.

    `state` is `conv.state`, each value pickled by a function worker and never unpickled elsewhere; `texts` is
    the same as text. `flow` and `step` are the names of the position; `entities` are the valid values by name.
    `brain` belongs to the brain alone. `content` is what a function left for the next turn.
    `customer` is what was remembered of the customer when the session began, `kept` what is to be remembered.
    """

    state: dict[str, bytes] = {}
    texts: dict[str, str] = {}
    flow: str | None = None
    step: str | None = None
    entities: dict[str, str] = {}
    language: str | None = None
    variant: str | None = None
    metrics: list[tuple[str, Any]] = []
    disabled_topics: list[str] = []
    content: str = ""
    brain: dict[str, Any] = {}
    customer: dict[str, Any] = {}
    kept: dict[str, Any] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Memory)


def read_memory(memory: bytes) -> Memory:
    """Give the memory in `memory`; a new one for b"".

    Raises:
        msgspec.MsgspecError: the bytes were not written by `write_memory`.
    """
    return _decoder.decode(memory) if memory else Memory()


def write_memory(memory: Memory) -> bytes:
    """Give the bytes to keep until the next turn."""
    return _encoder.encode(memory)
