"""What a server process wrote to standard error, as JSON lines."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from warmline.testing.messaging_client import PATIENCE_S


class ServerLog:
    """Reads the log file of a `ServerProcess` whose order has `log_format` json."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def text(self) -> str:
        """Everything, also what is no JSON line."""
        return self.path.read_text(encoding="utf-8") if self.path.exists() else ""

    def records(self, event: str = "", **fields: object) -> list[dict[str, Any]]:
        """The records of an event ("" for all) that have these values."""
        lines = [line for line in self.text().splitlines() if line.startswith("{")]
        records: list[dict[str, Any]] = [json.loads(line) for line in lines]
        return [
            record
            for record in records
            if event in ("", record["event"]) and all(record.get(name) == value for name, value in fields.items())
        ]

    async def wait(self, event: str, timeout: float = PATIENCE_S, **fields: object) -> dict[str, Any]:
        """Wait for such a record."""
        end = time.monotonic() + timeout
        while not (found := self.records(event, **fields)):
            if time.monotonic() > end:
                raise TimeoutError(f"no {event} with {fields}; the log:\n{self.text()[-6000:]}")
            await asyncio.sleep(0.05)
        return found[0]

    def tracebacks(self) -> list[dict[str, Any]]:
        """Records of what nobody expected."""
        return [record for record in self.records() if "exception" in record]
