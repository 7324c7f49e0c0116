"""Events, effects and sessions as JSON text, and back. Pure.

The type stands beside the text as a tag (the class's name). Fields that a text has and a class does not are
ignored, those that it lacks get their defaults: old logs stay readable, and so do those of a newer neighbour.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from warmline.domain.effects import EFFECT_TYPES, Effect
from warmline.domain.events import EVENT_TYPES, Event, Recorded
from warmline.domain.session import Session


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be stored")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_session_decoder = msgspec.json.Decoder(Session)
_mapping_decoder = msgspec.json.Decoder(dict[str, Any])
_event_decoders = {kind.__name__: msgspec.json.Decoder(kind) for kind in EVENT_TYPES}
_effect_decoders = {kind.__name__: msgspec.json.Decoder(kind) for kind in EFFECT_TYPES}


def encode(value: object) -> str:
    """JSON text of an event, effect, session or mapping. Raises TypeError for what JSON cannot say."""
    return _encoder.encode(value).decode()


def tag(value: Event | Effect) -> str:
    """The tag under which `decode_event` and `decode_effect` know the type."""
    return type(value).__name__


def decode_event(kind: str, text: str) -> Event:
    """The event. Raises ValueError for an unknown tag and for a text that does not fit it."""
    decoder = _event_decoders.get(kind)
    if decoder is None:
        raise ValueError(f"the log holds an event of unknown type {kind!r}")
    return decoder.decode(text)


def decode_effect(kind: str, text: str) -> Effect:
    """The effect. Raises ValueError for an unknown tag and for a text that does not fit it."""
    decoder = _effect_decoders.get(kind)
    if decoder is None:
        raise ValueError(f"the outbox holds an effect of unknown type {kind!r}")
    return decoder.decode(text)


def decode_session(text: str) -> Session:
    """The snapshot. Raises ValueError for a text that is none."""
    return _session_decoder.decode(text)


def decode_mapping(text: str) -> Mapping[str, Any]:
    """An object of strings to anything. Raises ValueError for a text that is none."""
    return _mapping_decoder.decode(text)


def decode_recorded(sequence: int, event_id: str, at: int, kind: str, text: str) -> Recorded:
    """A row of the log. Raises ValueError as `decode_event` does."""
    return Recorded(sequence=sequence, id=event_id, at=at, event=decode_event(kind, text))
