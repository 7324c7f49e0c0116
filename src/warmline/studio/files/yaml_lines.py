"""The lines of a part of a YAML file: where it ends, and how it is moved to the left edge and back."""

from warmline.domain.errors import WarmlineError

_FOREIGN = "#\ue000"
"""Marks a comment that is less indented than the part that it stands in."""


def unusual_form() -> WarmlineError:
    """Make the error that tells that a page cannot change a file."""
    return WarmlineError("yaml_form", "The file is written in a form that this page cannot change. Use a text editor.")


def without_tail(region: str) -> str:
    """Leave out the blank lines and comments at the left edge that come before what follows the region."""
    kept = region
    while True:
        start = kept.rfind("\n", 0, len(kept) - 1) + 1
        last = kept[start:]
        if start == 0 or (last.strip() and not last.startswith("#")):
            return kept
        kept = kept[:start]


def outdented(text: str, indent: int) -> str:
    """Move a part to the left edge; comments that stand further left are marked, lines of blanks stay.

    Raises:
        WarmlineError: `yaml_form`, when something else stands further left.
    """
    margin = " " * indent

    def moved(line: str) -> str:
        if not line.strip():
            return line
        if line.startswith(margin):
            return line[indent:]
        if line.lstrip().startswith("#"):
            return _FOREIGN + line
        raise unusual_form()

    return "\n".join(moved(line) for line in text.split("\n"))


def indented(text: str, indent: int) -> str:
    """Undo `outdented`."""
    margin = " " * indent

    def moved(line: str) -> str:
        if line.startswith(_FOREIGN):
            return line.removeprefix(_FOREIGN)
        return margin + line if line.strip() else line

    return "\n".join(moved(line) for line in text.split("\n"))
