"""What the interpreter of a dying process says about the place where it was (faulthandler). Never logged."""

import contextlib
import os
import re
from pathlib import Path

_PLACE = re.compile(r'File "([^"]+)", line (\d+)')
_KEPT = 65_536


class LastWords:
    """A pipe whose writing end belongs to a process that may die; a full pipe swallows what more it says."""

    def __init__(self) -> None:
        """Open the pipe."""
        self._read_end, self.write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._heard = b""

    def give_away(self) -> None:
        """Close the writing end here: the process has it now."""
        os.close(self.write_end)

    def timed_out(self) -> bool:
        """True when the process ended itself because its time was over."""
        return b"Timeout (" in self._listen()

    def place(self, root: Path) -> tuple[str, int]:
        """Give the innermost place in the files below `root` that was named: file and line, or ("", 0)."""
        for match in _PLACE.finditer(self._listen().decode("utf-8", "replace")):
            path = Path(match[1])
            if path.is_relative_to(root):
                return path.relative_to(root).as_posix(), int(match[2])
        return "", 0

    def close(self) -> None:
        """Close the reading end; safe to call twice."""
        end, self._read_end = self._read_end, -1
        if end >= 0:
            os.close(end)

    def _listen(self) -> bytes:
        with contextlib.suppress(OSError):
            while piece := os.read(self._read_end, _KEPT):
                self._heard = (self._heard + piece)[-_KEPT:]
        return self._heard
