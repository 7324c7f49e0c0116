"""`conv.log` and `plog`: entries go to the record of the call, never to the server's log (agent-project.md §5.7)."""

import time
from collections.abc import Mapping
from typing import Any

from warmline.agent.turn.protocol import size_of
from warmline.agent.turn.worker.plain import plain, plain_text

_MOST = 200
"""Entries that are kept of one call."""
_LONGEST = 4_000
"""Characters that are kept of one entry's text, and bytes of its other fields together."""


class Log:
    """A logger of one call."""

    def __init__(self, entries: list[dict[str, Any]], logger: str = "conversation_logger") -> None:
        """Append to `entries`."""
        self._entries = entries
        self._logger = logger

    def debug(self, content: Any = "", is_pii: Any = False, **fields: Any) -> None:
        """Note a detail."""
        self._write("debug", content, is_pii, fields)

    def info(self, content: Any = "", is_pii: Any = False, **fields: Any) -> None:
        """Note something."""
        self._write("info", content, is_pii, fields)

    def warning(self, content: Any = "", is_pii: Any = False, **fields: Any) -> None:
        """Note something unexpected."""
        self._write("warning", content, is_pii, fields)

    def error(self, content: Any = "", is_pii: Any = False, **fields: Any) -> None:
        """Note something wrong."""
        self._write("error", content, is_pii, fields)

    exception = error

    def _write(self, level: str, content: Any, is_pii: Any, fields: Mapping[str, Any]) -> None:
        """Add an entry; entries beyond the limit are dropped."""
        if len(self._entries) >= _MOST:
            return
        entry = {
            "level": level,
            "content": plain_text(content, longest=_LONGEST),
            "is_pii": bool(is_pii),
            "timestamp": time.time(),
            "logger": self._logger,
        }
        more = plain(fields)
        if size_of(more) > _LONGEST:
            more = {"left_out": f"the other fields, because they are larger than {_LONGEST} bytes"}
        self._entries.append({**more, **entry})
