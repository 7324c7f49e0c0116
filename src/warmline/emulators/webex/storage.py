"""What the emulator keeps on disk between two starts, when it is given a file (§20: "optional SQLite").

Kept: settings, tokens, subscriptions, agents, conversations with their transcripts and waiting steps, files. Not kept:
webhooks on their way, faults, a scenario's script, and the records of requests and deliveries.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from warmline.emulators.webex.clock import Timer
from warmline.emulators.webex.oauth import Tokens
from warmline.emulators.webex.settings import SimSettings
from warmline.emulators.webex.sim import Sim
from warmline.emulators.webex.state import Agent, File, Message, Status, Subscription, Task

log = logging.getLogger(__name__)

_SCHEMA = "CREATE TABLE IF NOT EXISTS objects (kind TEXT, id TEXT, body BLOB, PRIMARY KEY (kind, id)) WITHOUT ROWID"
_SAVE_MS = 300


class _FileRow(msgspec.Struct):
    name: str
    mime_type: str
    content: bytes


class _Rest(msgspec.Struct):
    """What there is one of. `starts` counts the starts, so that no id is given out twice under one seed."""

    settings: SimSettings
    tokens: Tokens
    agents: dict[str, Agent]
    subscriptions: dict[str, Subscription]
    file_keys: dict[str, bytes]
    clock_ms: float
    starts: int


class StorageError(Exception):
    """The file cannot be used; the text says why."""


class Storage:
    """One emulator's file.

    Args:
        path: of the SQLite database; made when it does not exist.

    Raises:
        StorageError: the file cannot be opened, or is something else.
    """

    def __init__(self, path: Path) -> None:
        self._starts = 1
        self._sim: Sim | None = None
        self._changed: set[str] = set()
        self._written_files: set[str] = set()
        self._last_rest = b""
        try:
            self._database = sqlite3.connect(path, isolation_level=None, timeout=0.2)
        except sqlite3.Error as problem:
            raise StorageError(f"{path}: {problem}") from problem
        try:
            # Held until the end: a second emulator on the same file is refused.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("BEGIN EXCLUSIVE")
            self._database.execute(_SCHEMA)
            self._database.execute("COMMIT")
        except sqlite3.Error as problem:
            self._database.close()
            raise StorageError(f"{path}: {problem}") from problem

    def settings(self) -> SimSettings | None:
        """Return the settings that were in force, or None for a new file."""
        rest = self._rest()
        return rest.settings if rest else None

    def restore(self, sim: Sim) -> None:
        """Put into a new organization what the file holds, let it go on, and save it from now on."""
        rest = self._rest()
        if rest is not None:
            self._starts = rest.starts + 1
            sim.world.ids.begin_again(self._starts)
            sim.world.clock.go_on(rest.clock_ms)
            self._fill(sim, rest)
        self._watch(sim)
        if rest is not None:
            _go_on(sim)
        self._save_soon(sim)

    def begin(self, sim: Sim) -> None:
        """Forget everything for an organization that replaces the former one, and save that."""
        with self._transaction():
            self._database.execute("DELETE FROM objects")
        self._written_files.clear()
        self._last_rest = b""
        self._watch(sim)
        self._save_soon(sim)

    def save(self) -> None:
        """Write what has changed."""
        if self._sim is None:
            return
        world = self._sim.world
        rows: list[tuple[str, str, bytes]] = []
        rest = self._encoded_rest(self._sim)
        if rest != self._last_rest:
            rows.append(("rest", "", rest))
        rows += [("task", task_id, _encode(world.tasks[task_id])) for task_id in sorted(self._changed)]
        for file_id in world.files.keys() - self._written_files:
            file = world.files[file_id]
            row = msgspec.msgpack.encode(_FileRow(file.name, file.mime_type, file.content))
            rows.append(("file", file_id, row))
        if not rows:
            return
        with self._transaction():
            self._database.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", rows)
        self._last_rest = rest
        self._changed.clear()
        self._written_files |= world.files.keys()

    def close(self) -> None:
        """Write what is left, and close the file."""
        self.save()
        self._sim = None
        self._database.close()

    def _watch(self, sim: Sim) -> None:
        self._sim = sim
        self._changed = set(sim.world.tasks)
        sim.world.observers.append(self._task_changed)

    def _task_changed(self, task: Task, message: Message | None) -> None:
        if task.id in (self._sim.world.tasks if self._sim else ()):
            self._changed.add(task.id)

    def _save_soon(self, sim: Sim) -> None:
        """Save again and again; what a crash loses is younger than a third of a second."""

        def save() -> None:
            if self._sim is not sim:
                return
            try:
                self.save()
            except sqlite3.Error as problem:
                log.error("the data file cannot be written, which is tried again: %s", problem)
            sim.world.background.later(_SAVE_MS / 1000, save)

        save()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _rows(self, kind: str) -> dict[str, bytes]:
        found = self._database.execute("SELECT id, body FROM objects WHERE kind = ?", (kind,))
        return dict(found.fetchall())

    def _rest(self) -> _Rest | None:
        row = self._rows("rest").get("")
        with _understood():
            return msgspec.msgpack.decode(row, type=_Rest) if row else None

    def _encoded_rest(self, sim: Sim) -> bytes:
        world = sim.world
        return msgspec.msgpack.encode(
            _Rest(
                settings=world.settings,
                tokens=sim.oauth.tokens,
                agents=world.agents,
                subscriptions=world.subscriptions,
                file_keys=world.file_keys,
                clock_ms=world.clock.position_ms,
                starts=self._starts,
            )
        )

    def _fill(self, sim: Sim, rest: _Rest) -> None:
        world = sim.world
        sim.oauth.tokens = rest.tokens
        world.agents = rest.agents
        world.subscriptions = rest.subscriptions
        world.file_keys = rest.file_keys
        with _understood():
            for file_id, row in self._rows("file").items():
                file = msgspec.msgpack.decode(row, type=_FileRow)
                world.files[file_id] = File(file_id, file.name, file.mime_type, file.content)
            tasks = [_decode(row, world.files) for row in self._rows("task").values()]
        self._written_files = set(world.files)
        for task in sorted(tasks, key=lambda task: (task.created_ms, task.id)):
            world.tasks[task.id] = task
            if task.open:
                world.open_conversations[task.conversation] = task.id
        sim.agent_events.know(world.agents.values())


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    try:
        yield
    except (msgspec.DecodeError, KeyError) as problem:
        raise StorageError(f"the file was written by another version of the emulator ({problem})") from problem


def _encode(task: Task) -> bytes:
    def known(value: Any) -> Any:
        return value.due_ms if isinstance(value, Timer) else value.id

    return msgspec.msgpack.encode(task, enc_hook=known)


def _decode(row: bytes, files: dict[str, File]) -> Task:
    def known(kind: type, value: Any) -> Any:
        return Timer(value, lambda: None) if kind is Timer else files[value]

    return msgspec.msgpack.decode(row, type=Task, dec_hook=known)


def _go_on(sim: Sim) -> None:
    """Arm again what waits: verdicts, flow steps, queues, offers. Who waited longest is first again."""
    for task in sorted(sim.world.tasks.values(), key=lambda task: task.last_stamp_ms):
        if task.status is Status.CREATED and not task.open:
            sim.tasks.decide(task)
        sim.flows.resume(task)
        sim.routing.resume(task)
    for agent in sim.world.agents.values():
        sim.routing.resume_agent(agent)
