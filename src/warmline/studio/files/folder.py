"""Reads and writes the files of one project: only those that the Studio knows, and nothing that changed meanwhile."""

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from warmline.agent.turn.engine import ProjectEngine
from warmline.domain.errors import WarmlineError

_KINDS = (
    re.compile(r"(?:topics|child_topics/[^/]+)/(?:[^/]+/)*[^/]+\.ya?ml"),
    re.compile(r"functions/[^/]+\.py"),
    re.compile(r"config/(?:entities|sms_templates|translations|variant_attributes)\.ya?ml"),
    re.compile(r"(?:chat/handoff_routes|sms/configuration|voice/response_control/phrase_filtering)\.ya?ml"),
    re.compile(r"flows/[^/]+/(?:functions|function_steps)/[^/]+\.py"),
    re.compile(r"flows/[^/]+/(?:flow_config|steps/[^/]+)\.ya?ml"),
)


class FileRefused(WarmlineError):
    """A file of the project is not read or written. `code` tells why: one below `files.` in the Studio's texts."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file as it was read: where it is, its text, and the digest by which a later change is noticed."""

    path: Path
    text: str
    digest: str


class ProjectFiles:
    """The files of one project's folder. After every change its engine uses the new version."""

    def __init__(self, root: Path, engine: ProjectEngine) -> None:
        """Work in the folder `root`, from which `engine` runs."""
        self._root = root.resolve()
        self._engine = engine
        self._changing = asyncio.Lock()

    async def read(self, file: str) -> Content:
        """Read a file, named relative to the project.

        Raises:
            FileRefused: `bad_path`, `gone` or `unreadable`.
        """
        return await asyncio.to_thread(_read, self._path(file))

    async def write(self, file: str, text: str, digest: str) -> None:
        """Replace a file that still is as it was read.

        Raises:
            FileRefused: `changed` when it has another digest by now; see also `read`; `unwritable`.
        """
        path = self._path(file)
        async with self._changing:
            if (await asyncio.to_thread(_read, path)).digest != digest:
                raise FileRefused("changed", f"{file} has changed on disk.")
            await asyncio.to_thread(_put, path, text, new=False)
            await self._engine.reload()

    async def create(self, file: str, text: str) -> None:
        """Make a file that is not there yet.

        Raises:
            FileRefused: `exists`, `bad_path` or `unwritable`.
        """
        path = self._path(file)
        async with self._changing:
            await asyncio.to_thread(_put, path, text, new=True)
            await self._engine.reload()

    async def move(self, file: str, to: str, text: str, digest: str) -> None:
        """Replace a file by one of another name.

        Raises:
            FileRefused: as `write` and `create`.
        """
        old, new = self._path(file), self._path(to)
        async with self._changing:
            if (await asyncio.to_thread(_read, old)).digest != digest:
                raise FileRefused("changed", f"{file} has changed on disk.")
            await asyncio.to_thread(_put, new, text, new=True)
            await asyncio.to_thread(_remove, old)
            await self._engine.reload()

    async def delete(self, file: str) -> None:
        """Remove a file.

        Raises:
            FileRefused: `bad_path`, `gone` or `unwritable`.
        """
        path = self._path(file)
        async with self._changing:
            await asyncio.to_thread(_remove, path)
            await self._engine.reload()

    async def below(self, folder: str) -> list[str]:
        """Give all files below a folder of the project, hidden ones and Python's own caches left out.

        Raises:
            FileRefused: `strange_file`, when one is there that the Studio does not know.
        """
        found = await asyncio.to_thread(self._below, folder)
        strange = [file for file in found if not any(kind.fullmatch(file) for kind in _KINDS)]
        if strange:
            raise FileRefused("strange_file", f"The Studio does not know {strange[0]}. Move it away first.")
        return found

    def _below(self, folder: str) -> list[str]:
        paths = [path for path in (self._root / folder).rglob("*") if path.is_file()]
        files = sorted(path.relative_to(self._root).as_posix() for path in paths)
        return [f for f in files if not any(part.startswith((".", "__pycache__")) for part in f.split("/"))]

    async def change(self, before: Mapping[str, Content], after: Mapping[str, str]) -> None:
        """Change several files at once, if they all are as they were read.

        Args:
            before: every file that is replaced or removed, as it was read.
            after: the texts of all that shall be there; those of `before` that are not among them are removed.

        Raises:
            FileRefused: `changed`, `exists`, or as `write`; nothing was changed unless it is `unwritable`.
        """
        paths = {file: self._path(file) for file in (*before, *after)}
        async with self._changing:
            for file, content in before.items():
                if (await asyncio.to_thread(_read, paths[file])).digest != content.digest:
                    raise FileRefused("changed", f"{file} has changed on disk.")
            fresh = [file for file in after if file not in before]
            for file in fresh:
                if paths[file].exists():
                    raise FileRefused("exists", f"There is a file {file} already.")
            try:
                for file, text in after.items():
                    if file in fresh or text != before[file].text:
                        await asyncio.to_thread(_put, paths[file], text, new=file in fresh)
                for file in before:
                    if file not in after:
                        await asyncio.to_thread(_remove, paths[file])
                await asyncio.to_thread(self._drop_empty, {paths[file].parent for file in before})
            finally:
                await self._engine.reload()

    def _drop_empty(self, folders: Collection[Path]) -> None:
        """Remove folders that hold nothing any more but Python's caches, and those that held only these."""
        for folder in folders:
            while folder != self._root and folder.is_dir():
                if any(path.name != "__pycache__" for path in folder.iterdir()):
                    break
                shutil.rmtree(folder)
                folder = folder.parent

    async def same_content(self, file: str, digest: str) -> str:
        """Give the first file of the same kind as `file` that has this digest, and let the engine know of it.

        "" when there is none.
        """
        kind = next((kind for kind in _KINDS if kind.fullmatch(file)), None)
        found = await asyncio.to_thread(self._search, kind, digest) if kind is not None and digest else ""
        if found:
            await self._engine.reload()
        return found

    def _search(self, kind: re.Pattern[str], digest: str) -> str:
        for path in sorted(self._root.rglob("*")):
            file = path.relative_to(self._root).as_posix()
            if kind.fullmatch(file):
                with contextlib.suppress(FileRefused):
                    if _read(self._path(file)).digest == digest:
                        return file
        return ""

    def _path(self, file: str) -> Path:
        hidden = any(part.startswith(".") for part in file.split("/"))
        if hidden or "\\" in file or "\0" in file or not any(kind.fullmatch(file) for kind in _KINDS):
            raise FileRefused("bad_path", "That is no file that the Studio changes.")
        path = (self._root / file).resolve()
        # A link may lead out of the project.
        if not path.is_relative_to(self._root):
            raise FileRefused("bad_path", "That file lies outside the project.")
        return path


def _read(path: Path) -> Content:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileRefused("gone", f"{path.name} is not there any more.") from None
    except OSError as error:
        raise FileRefused("unreadable", f"{path.name} cannot be read: {error.strerror}.") from None
    try:
        return Content(path, data.decode("utf-8"), hashlib.sha256(data).hexdigest())
    except UnicodeDecodeError:
        raise FileRefused("unreadable", f"{path.name} is not in UTF-8.") from None


def _put(path: Path, text: str, *, new: bool) -> None:
    """Write the whole file or nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as part:
                part.write(text.encode("utf-8"))
                part.flush()
                os.fsync(part.fileno())
            Path(name).chmod(0o644 if new else path.stat().st_mode & 0o777)
            if new:
                os.link(name, path)
            else:
                os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except FileExistsError:
        raise FileRefused("exists", f"There is a file {path.name} already.") from None
    except OSError as error:
        raise FileRefused("unwritable", f"{path.name} cannot be written: {error.strerror}.") from None


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except FileNotFoundError:
        raise FileRefused("gone", f"{path.name} is not there any more.") from None
    except OSError as error:
        raise FileRefused("unwritable", f"{path.name} cannot be removed: {error.strerror}.") from None
