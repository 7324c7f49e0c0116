"""What a project's code prints."""

from collections.abc import Callable


class Printed:
    """Stands in for `sys.stdout` and `sys.stderr`: keeps the first characters, counts the rest."""

    MOST = 16_000
    """Characters that are kept for the record of a call."""
    encoding = "utf-8"

    def __init__(self, place: Callable[[], tuple[str, int]]) -> None:
        """Start empty; `place` gives the file and line of the code that prints."""
        self._where = place
        self._start_anew()

    def _start_anew(self) -> None:
        self._parts: list[str] = []
        self._room = self.MOST
        self._dropped = 0
        self._too_much: tuple[str, int] | None = None

    def write(self, text: str) -> int:
        """Take a piece of text."""
        kept = text[: self._room]
        if kept:
            self._parts.append(kept)
            self._room -= len(kept)
        self._dropped += len(text) - len(kept)
        if self._dropped and self._too_much is None:
            self._too_much = self._where()
        return len(text)

    def flush(self) -> None:
        """Do nothing: there is nothing to wait for."""

    def isatty(self) -> bool:
        """Say that nobody is watching."""
        return False

    def take(self) -> tuple[str, tuple[str, int] | None]:
        """Give what was kept, and the place that printed too much if one did; start anew."""
        text, place = "".join(self._parts), self._too_much
        if self._dropped:
            text += f"… ({self._dropped} more characters)"
        self._start_anew()
        return text, place
