"""`conv.functions` and `flow.functions`: the project's functions as seen by each other (agent-project.md §5.5)."""

from collections.abc import Callable, Mapping
from typing import Any

Find = Callable[[str], Callable[..., Any]]
"""Gives the main function of a file."""


class Executor:
    """Calls functions by name and adds `conv`, and `flow` where there is one, when the caller left them out."""

    def __init__(self, find: Find, files: Mapping[str, str], *context: Any) -> None:
        """Call the functions in `files`, name to file, with the objects of `context` first."""
        self._find = find
        self._files = files
        self._context = context

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Give the function, ready to be called.

        Raises:
            AttributeError: there is none of that name.
        """
        file = self._files.get(name)
        if file is None:
            raise AttributeError(f"the project has no function `{name}` here")
        function = self._find(file)

        def call(*args: Any, **named: Any) -> Any:
            given = list(args)
            context = [self._own(given, part) for part in self._context]
            return function(*context, *given, **named)

        return call

    def _own(self, given: list[Any], part: Any) -> Any:
        """Take the caller's own object of the same kind from the front, if it gave one."""
        return given.pop(0) if given and isinstance(given[0], type(part)) else part
