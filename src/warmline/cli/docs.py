"""Writes the documents that come from code: `python -m warmline.cli.docs [FOLDER]` (`make docs`)."""

import sys
from pathlib import Path

from warmline.domain.diagram import handoff_document


def write(folder: Path) -> list[Path]:
    """Write every generated document into `folder`; returns the files."""
    handoff = folder / "handoff.md"
    handoff.write_text(handoff_document(), encoding="utf-8")
    return [handoff]


if __name__ == "__main__":
    for file in write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs")):
        print(file)
