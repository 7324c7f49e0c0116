"""Writes the documents that come from code: `python -m warmline.cli.docs [FOLDER]` (`make docs`)."""

import asyncio
import sys
from pathlib import Path

from warmline.cli.metrics_document import metrics_document, registry_of_a_server
from warmline.domain.diagram import handoff_document

_TEMPLATE = Path(__file__).with_name("project_template")


def write(folder: Path) -> list[Path]:
    """Write every generated document into `folder`; returns the files."""
    handoff = folder / "handoff.md"
    handoff.write_text(handoff_document(), encoding="utf-8")
    metrics = folder / "metrics.md"
    metrics.write_text(metrics_document(asyncio.run(registry_of_a_server(_TEMPLATE))), encoding="utf-8")
    return [handoff, metrics]


if __name__ == "__main__":
    for file in write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs")):
        print(file)
