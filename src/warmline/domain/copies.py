"""`dataclasses.replace` for the frozen values of every message, three times as quick."""

from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import replace as replace
else:
    from dataclasses import fields

    _MAKERS: dict[type, tuple[attrgetter, dict[str, Any]]] = {}

    def replace(value, /, **changes):
        """A copy of a dataclass with slots in which some fields are other.

        The values were checked when they were made, so that `__init__` need not run again: fields are copied slot by
        slot, which is what `frozen` lets through. A session changes several times with every message.

        Raises:
            TypeError: there is no such field, or the class does something of its own with new instances.
        """
        kind = type(value)
        read, slots = _MAKERS.get(kind) or _maker(kind)
        copy = object.__new__(kind)
        for put, part in zip(slots.values(), read(value), strict=True):
            put(copy, part)
        for name, part in changes.items():
            try:
                slots[name](copy, part)
            except KeyError:
                raise TypeError(f"{kind.__name__} has no field {name!r}") from None
        return copy

    def _maker(kind):
        names = [field.name for field in fields(kind)]
        if hasattr(kind, "__post_init__") or len(names) < 2:
            raise TypeError(f"{kind.__name__} cannot be copied slot by slot")
        maker = attrgetter(*names), {name: getattr(kind, name).__set__ for name in names}
        _MAKERS[kind] = maker
        return maker
