"""References inside the project's texts, such as `{{fn:start_return}}` and `$name` (agent-project.md §3)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from warmline.agent.project.model import Text

REFERENCE = re.compile(r"\{\{\s*(fn|ft|ho|attr|va|vrbl|tn|entity|twilio_sms|sms):([^{}]+?)\s*\}\}")
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*))")
# The screens of the format's home write some of them differently (agent-project.md §3).
ALIASES = {"va": "attr", "sms": "twilio_sms"}


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference: its kind (`fn`, `ho`, `attr` …), the name it points to, and where it stands."""

    kind: str
    name: str
    file: str
    line: int


def references(text: Text) -> Iterator[Reference]:
    """Give the references in `text`, in their order."""
    for match in REFERENCE.finditer(text.value):
        line = text.line + text.value.count("\n", 0, match.start())
        kind = ALIASES.get(match[1], match[1])
        yield Reference(kind, match[2].strip(), text.file, line)
