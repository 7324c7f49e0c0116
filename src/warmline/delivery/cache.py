"""A bounded memory of what the store knows anyway."""

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(Generic[K, V]):
    """A mapping that forgets what was put longest ago when it holds more than `limit` entries."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value, or None when it is not remembered."""
        return self._entries.get(key)

    def values(self) -> tuple[V, ...]:
        """All that is remembered."""
        return tuple(self._entries.values())

    def put(self, key: K, value: V) -> None:
        """Remember `value`."""
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) > self._limit:
            del self._entries[next(iter(self._entries))]

    def forget(self, key: K) -> None:
        """Forget the entry if there is one."""
        self._entries.pop(key, None)
