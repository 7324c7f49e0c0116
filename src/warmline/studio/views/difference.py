"""How two versions of a file differ, line by line."""

from dataclasses import dataclass
from difflib import ndiff


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the comparison: `kind` is "same", "theirs" or "yours"."""

    kind: str
    text: str


_KINDS = {"  ": "same", "- ": "theirs", "+ ": "yours"}


def difference(theirs: str, yours: str) -> list[Line]:
    """Compare the file on disk with what is to be saved."""
    lines = ndiff(theirs.splitlines(), yours.splitlines())
    return [Line(_KINDS[line[:2]], line[2:]) for line in lines if line[:2] in _KINDS]
