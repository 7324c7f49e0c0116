"""`conv.state`, and how it travels: each key pickled for itself, so that one bad value spoils no other."""

import pickle
from collections.abc import Mapping
from typing import Any

_LONGEST_TEXT = 20_000
"""Characters of a state value that are offered to the project's texts; longer values are cut."""


class StateNotKept(Exception):
    """A state value cannot be pickled or is too large; the message names the key."""


class State(dict[str, Any]):
    """The session's variables: a dict whose attributes are its keys (agent-project.md §5.2)."""

    def __getattr__(self, name: str) -> Any:
        """Give the value, None when there is none: never an AttributeError, except for Python's own protocols."""
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set the value."""
        self[name] = value

    def __delattr__(self, name: str) -> None:
        """Remove the value; no error when there is none."""
        self.pop(name, None)


def platform_state(caller: str | None, callee: str | None, call_id: str, language: str | None) -> dict[str, Any]:
    """Give the keys that every state holds (agent-project.md §5.2)."""
    spoken = {"asr_lang_code": language, "tts_lang_code": language}
    return {"from_": caller, "to": callee, "call_sid": call_id, **spoken}


def load_state(pickled: Mapping[str, bytes]) -> tuple[State, dict[str, str]]:
    """Give the state, and for each key that could not be read the reason; such a key is left out."""
    state, lost = State(), {}
    for key, value in pickled.items():
        try:
            # Trusted: only a worker of the same project writes it.
            state[key] = pickle.loads(value)
        except Exception as error:
            lost[key] = f"{type(error).__name__}: {error}"
    return state, lost


def dump_state(state: Mapping[str, Any], limit_kb: int) -> dict[str, bytes]:
    """Pickle the state.

    Raises:
        StateNotKept: a value cannot be pickled, or all together take more than `limit_kb`.
    """
    pickled: dict[str, bytes] = {}
    size = 0
    for key, value in state.items():
        try:
            pickled[str(key)] = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            raise StateNotKept(f"conv.state[{key!r}] cannot be kept: {error}") from error
        size += len(pickled[str(key)])
        if size > limit_kb * 1024:
            raise StateNotKept(f"conv.state is larger than {limit_kb} kB at key {key!r}")
    return pickled


def state_texts(state: Mapping[str, Any]) -> dict[str, str]:
    """Give each value as the text that `$name` stands for; None is empty (agent-project.md §3.1)."""
    texts: dict[str, str] = {}
    for key, value in state.items():
        try:
            texts[str(key)] = "" if value is None else str(value)[:_LONGEST_TEXT]
        except Exception as error:
            texts[str(key)] = f"<{type(error).__name__}>"
    return texts


def changed_keys(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Give the names of the keys that a function added, updated and removed."""
    return {
        "added": sorted(after.keys() - before.keys()),
        "updated": sorted(key for key in after.keys() & before.keys() if after[key] != before[key]),
        "removed": sorted(before.keys() - after.keys()),
    }
