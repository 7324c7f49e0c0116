"""Signals as bytes: each message is `node:number:` and a JSON list of signals. Pure.

`number` counts the messages of a node, so that those who hear it know when one is missing. Customers' words never
travel: a Poke goes without its events.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from warmline.ports import Ephemeral, Poke, Signal, Wake


class _Poke(msgspec.Struct, tag="p", array_like=True):
    session_id: str
    upto: int


class _Ephemeral(msgspec.Struct, tag="e", array_like=True):
    session_id: str
    kind: str
    payload: dict[str, object]


class _Wake(msgspec.Struct, tag="w", array_like=True):
    topic: str
    keys: tuple[str, ...]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[_Poke | _Ephemeral | _Wake])


@dataclass(frozen=True, slots=True)
class Heading:
    """Which node sent a message, and its number among that node's messages."""

    node: str
    number: int


def heading(message: bytes) -> Heading:
    """Who sent it. Raises ValueError when it is no message of ours."""
    node, number, _ = message.split(b":", 2)
    return Heading(node.decode(), int(number))


def signals(message: bytes) -> Iterator[Signal]:
    """What it says. Raises ValueError when it cannot be read, as when it comes from a newer version."""
    try:
        told = _decoder.decode(message.split(b":", 2)[2])
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    return map(_signal, told)


def _signal(told: _Poke | _Ephemeral | _Wake) -> Signal:
    match told:
        case _Poke():
            return Poke(session_id=told.session_id, upto=told.upto)
        case _Ephemeral():
            return Ephemeral(session_id=told.session_id, kind=told.kind, payload=told.payload)
        case _Wake():
            return Wake(told.topic, told.keys)


def encode(signal: Signal) -> bytes:
    """One signal. Raises TypeError or msgspec.MsgspecError when its payload is not JSON."""
    match signal:
        case Poke():
            return _encoder.encode(_Poke(signal.session_id, signal.upto))
        case Ephemeral():
            return _encoder.encode(_Ephemeral(signal.session_id, signal.kind, dict(signal.payload)))
        case Wake():
            return _encoder.encode(_Wake(signal.topic, signal.keys))


def message(head: Heading, encoded: Sequence[bytes]) -> bytes:
    """A message with these signals; none: it only tells that the node is there."""
    return b"%s:%d:[%s]" % (head.node.encode(), head.number, b",".join(encoded))


def chunks(encoded: Iterable[bytes], room: int) -> Iterator[list[bytes]]:
    """Cut signals into lists that fit into `room` bytes with their commas; one that is larger goes alone."""
    chunk: list[bytes] = []
    size = 0
    for signal in encoded:
        if chunk and size + len(signal) + 1 > room:
            yield chunk
            chunk, size = [], 0
        chunk.append(signal)
        size += len(signal) + 1
    if chunk:
        yield chunk


def shortened(waiting: Iterable[Signal]) -> list[Signal]:
    """The same hints in fewer signals.

    Of a session's Pokes with nothing of it in between only the last is kept, of equal Wakes the first.
    """
    kept: list[Signal] = []
    latest: dict[str, int] = {}
    wakes: set[Wake] = set()
    for signal in waiting:
        if isinstance(signal, Wake):
            if signal not in wakes:
                wakes.add(signal)
                kept.append(signal)
            continue
        place = latest.get(signal.session_id)
        if place is not None and isinstance(signal, Poke) and isinstance(kept[place], Poke):
            kept[place] = signal
            continue
        latest[signal.session_id] = len(kept)
        kept.append(signal)
    return kept
