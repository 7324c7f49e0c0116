"""What a project's files may import: its own files, and our own `_gen`, `plog` and `polyai` (§4.3)."""

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from warmline.agent.turn.worker import entity_configs, errors, values, voices
from warmline.agent.turn.worker.conv import Conversation
from warmline.agent.turn.worker.flow import Flow
from warmline.agent.turn.worker.log import Log

_PACKAGES = ("functions", "flows")


def _unchanged(*args: Any, **named: Any) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        return function

    return decorate


def injected_names() -> dict[str, Any]:
    """Give the names that every file of a project finds without importing them."""
    names: dict[str, Any] = {
        name: value
        for module in (values, errors, voices, entity_configs)
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    decorators = ("func_description", "func_parameter", "func_latency_control")
    return {**names, "Conversation": Conversation, "Flow": Flow, **dict.fromkeys(decorators, _unchanged)}


class Namespaces:
    """The importable modules of one project in this process; also an importer for `sys.meta_path`."""

    def __init__(self, root: Path) -> None:
        """Serve the project in the folder `root`."""
        self._root = root
        self._names = injected_names()
        self.logs: list[dict[str, Any]] = []

    def install(self) -> None:
        """Make the project's files importable, and hide its own `_gen` for good."""
        gen = _module("_gen", self._names)
        plog = _module("plog", {"tmp_bind": _unchanged, "bind": _unchanged})
        log = Log(self.logs, "plog")
        for level in ("debug", "info", "warning", "error", "exception"):
            setattr(plog, level, getattr(log, level))
        self._names["log"] = log
        sys.modules.update({"_gen": gen, "plog": plog})
        for name in ("polyai", "polyai.voice", "polyai.webchat", "polyai.attachments"):
            sys.modules[name] = _module(name, self._names)
        for package in _PACKAGES:
            module = ModuleType(package)
            module.__path__ = [str(self._root / package)]
            sys.modules[package] = module
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a file or folder below `functions/` or `flows/`; part of Python's importer protocol."""
        parts = name.split(".")
        if parts[0] not in _PACKAGES:
            return None
        place = self._root.joinpath(*parts)
        file = place.with_name(place.name + ".py")
        if file.is_file():
            loader = _InjectingLoader(name, str(file), self._names)
            return importlib.util.spec_from_file_location(name, file, loader=loader)
        if place.is_dir():
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        return None

    def function(self, file: str) -> Callable[..., Any]:
        """Give the main function of the project's file `file`, such as `functions/route_call.py`.

        Raises:
            Exception: whatever importing the file raises.
        """
        name = file.removesuffix(".py").replace("/", ".")
        module = importlib.import_module(name)
        function: Callable[..., Any] = getattr(module, name.rpartition(".")[2])
        return function


class _InjectingLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, names: dict[str, Any]) -> None:
        super().__init__(name, path)
        self._injected = names

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__.update(self._injected)
        super().exec_module(module)


def _module(name: str, names: dict[str, Any]) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(names)
    module.__path__ = []
    return module
