"""Reads a project folder. Whatever is broken is reported and left out; the rest works."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from warmline.agent.project import integrations
from warmline.agent.project import loader_config as config
from warmline.agent.project.flow_files import read_flow, read_step
from warmline.agent.project.known_keys import EXPERIMENTAL, FILES, TOPIC, check_keys
from warmline.agent.project.model import (
    Channel,
    Flow,
    Function,
    FunctionKind,
    Module,
    Problem,
    Project,
    Step,
    Text,
    Topic,
)
from warmline.agent.project.names import clean_name
from warmline.agent.project.protection import guardrails, phrase_filters, safety_filters
from warmline.agent.project.python_files import read_module
from warmline.agent.project.routes import FILE as HANDOFF_ROUTES
from warmline.agent.project.routes import handoff_routes
from warmline.agent.project.texting import check_texting
from warmline.agent.project.variants import read_variants
from warmline.agent.project.yaml_files import Fields, Problems, read_json_fields, read_text, read_yaml

_FOLDERS = (
    *("_gen", "agent_settings", "config", "voice", "chat", "sms", "flows", "functions", "topics", "child_topics"),
    *("context", "test_suite", "tests", "real_time_configuration"),
)
"""The folders of a project (agent-project.md §1), `sms` being a Warmline extension."""
_IGNORED_FOLDERS = frozenset({"_gen", "__pycache__", "tests", "node_modules"})
_SUFFIXES = frozenset({".yaml", ".yml", ".txt", ".py", ".json"})


def fingerprint(root: Path) -> tuple[tuple[str, int, int], ...]:
    """Give (path, modification time in ns, size) of every file that the project is made of."""
    found: list[tuple[str, int, int]] = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(n for n in folders if n not in _IGNORED_FOLDERS and not n.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if path.suffix in _SUFFIXES:
                try:
                    status = path.stat()
                except OSError:
                    continue
                found.append((str(path.relative_to(root)), status.st_mtime_ns, status.st_size))
    return tuple(found)


def load_project(root: Path) -> Project:
    """Read the project in the folder `root`; never raises for what is in it."""
    return _Loader(root.resolve()).load()


class _Loader:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems = Problems()
        self.modules: list[Module] = []
        self.broken: dict[str, Problem] = {}

    def load(self) -> Project:
        head = self._head()
        if head is None:
            return Project(root=self.root, usable=False, problems=tuple(self.problems.found))
        functions = self._functions(self.root / "functions", FunctionKind.GLOBAL, self.broken)
        start = functions.pop("start_function", None)
        end = functions.pop("end_function", None)
        languages = self._yaml("agent_settings/languages.yaml")
        safety = safety_filters(self._yaml("agent_settings/safety_filters.yaml"), self.problems)
        variants = read_variants(self._yaml("config/variant_attributes.yaml"), self.problems)
        role, texting = self._yaml("agent_settings/role.yaml"), self._yaml("sms/configuration.yaml")
        check_texting(texting, self.problems)
        project = replace(
            head,
            persona=self._plain_text("agent_settings/persona.txt"),
            personality=self._personality(),
            role=_role(role),
            additional_info=role.text("additional_info"),
            rules=self._plain_text("agent_settings/rules.txt"),
            default_language=languages.text("default_language").value,
            languages=languages.texts("additional_languages"),
            topics=tuple(self._topics(variants.attributes)),
            functions=functions,
            start_function=start,
            end_function=end,
            chat=_channel(self._yaml("chat/configuration.yaml")),
            voice=_channel(self._yaml("voice/configuration.yaml")),
            sms=_channel(texting),
            phrases=config.phrases(self._yaml("chat/phrases.yaml"), self.problems),
            variants=variants.attributes,
            default_variant=variants.default,
            attribute_kinds=variants.kinds,
            handoffs=config.handoffs(self._yaml("config/handoffs.yaml"), self.problems),
            handoff_routes=handoff_routes(self._yaml(HANDOFF_ROUTES), self.problems),
            entities=config.entities(self._yaml("config/entities.yaml"), self.problems),
            sms_templates=config.sms_templates(self._yaml("config/sms_templates.yaml"), self.problems),
            translations=config.translations(self._yaml("config/translations.yaml"), self.problems),
            apis=integrations.apis(self._yaml(integrations.APIS), self.problems),
            real_time_config=integrations.real_time_config(self.root, self.problems),
            flows=tuple(self._flows()),
            experimental=self._experimental(),
            chat_safety=safety_filters(self._yaml("chat/safety_filters.yaml"), self.problems, safety),
            sms_safety=safety_filters(self._yaml("sms/safety_filters.yaml"), self.problems, safety),
            phrase_filters=phrase_filters(self._yaml("voice/response_control/phrase_filtering.yaml"), self.problems),
            guardrails=guardrails(self._yaml("agent_settings/guardrails.yaml"), self.problems),
        )
        self._unused()
        return replace(
            project,
            modules=tuple(self.modules),
            broken_functions=self.broken,
            problems=tuple(self.problems.found),
        )

    def _head(self) -> Project | None:
        path = self.root / "project.yaml"
        if not path.is_file():
            self.problems.error(
                "no-project",
                "The folder has no project.yaml.",
                "project.yaml",
                1,
                "Point to the folder that holds project.yaml.",
            )
            return None
        fields = read_yaml(path, "project.yaml", self.problems)
        if fields is None:
            # The identity is lost, but customers can still be answered from the other files.
            return Project(root=self.root, id=self.root.name)
        return Project(
            root=self.root,
            id=fields.text("project_id", required=True).value or self.root.name,
            account_id=fields.text("account_id", required=True).value,
            name=fields.text("project_name").value,
        )

    def _yaml(self, file: str) -> Fields:
        path = self.root / file
        if not path.is_file() and path.with_suffix(".yml").is_file():
            path = path.with_suffix(".yml")
        fields = read_yaml(path, self._relative(path), self.problems) if path.is_file() else None
        if fields is None:
            return Fields({}, file, self.problems, {})
        check_keys(fields, FILES.get(file), self.problems)
        return fields

    def _unused(self) -> None:
        """Read the files that have no effect on text channels, so that mistakes in them are found too."""
        for file in FILES:
            if file.startswith(("voice/speech_recognition/", "voice/response_control/pron", "voice/safety")):
                self._yaml(file)
        servers = self._yaml("config/mcp.yaml")
        for server in servers.children("mcp_servers"):
            self.problems.warning(
                "not-supported",
                f"Tools of the MCP server `{server.text('provider_id').value}` are not offered to a model.",
                servers.file,
                server.line(),
                "Write a function that does the work, or use config/api_integrations.yaml.",
            )
        for path in sorted(path for path in self.root.glob("*") if path.is_dir() and path.name not in _FOLDERS):
            near = get_close_matches(path.name.lower(), _FOLDERS, n=1, cutoff=0.8)
            if near:
                text, remedy = f"The folder `{path.name}` is none that a project has.", f"Did you mean {near[0]}?"
                self.problems.warning("unknown-folder", text, path.name, 1, remedy)
        for folder in ("agent_settings", "config", "chat", "sms", "voice"):
            for path in sorted((self.root / folder).rglob("*")):
                file = self._relative(path)
                place = path.with_suffix(".yaml") if path.suffix == ".yml" else path
                if path.is_file() and path.suffix in (".yaml", ".yml") and self._relative(place) not in FILES:
                    near = get_close_matches(file, FILES, n=1)
                    self.problems.warning(
                        "unknown-file",
                        "The file is none that a project may have, and has no effect.",
                        file,
                        1,
                        f"Did you mean {near[0]}?" if near else "Move or remove it.",
                    )

    def _plain_text(self, file: str) -> Text:
        path = self.root / file
        if not path.is_file():
            return Text("", file, 1)
        return Text((read_text(path, file, self.problems) or "").strip(), file, 1)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _personality(self) -> Text:
        fields = self._yaml("agent_settings/personality.yaml")
        adjectives = fields.child("adjectives")
        chosen = [name for name in adjectives.values if adjectives.flag(name, False)]
        if "Other" in chosen and len(chosen) > 1:
            self.problems.warning(
                "personality",
                "`Other` goes with no other adjective; only `custom` counts.",
                fields.file,
                adjectives.line("Other"),
                "Switch the others off, or `Other`.",
            )
        if "Other" in chosen:
            return fields.text("custom")
        return Text(", ".join(name.lower() for name in chosen), fields.file, fields.line("adjectives"))

    def _topics(self, variants: Iterable[str]) -> Iterator[Topic]:
        """Read the topics that everyone knows, and those of single variants (`child_topics/`, agent-project.md §1)."""
        yield from self._topics_in(self.root / "topics", "")
        by_folder = {clean_name(name): name for name in variants}
        for folder in sorted(path for path in (self.root / "child_topics").glob("*") if path.is_dir()):
            if folder.name in by_folder:
                yield from self._topics_in(folder, by_folder[folder.name])
            elif not folder.name.startswith((".", "_")):
                self.problems.error(
                    "unknown-variant",
                    f"There is no variant whose folder would be `{folder.name}`; its topics are left out.",
                    self._relative(folder),
                    1,
                    "Name the folder like the variant, in lower case with `_` for blanks.",
                )

    def _topics_in(self, folder: Path, variant: str) -> Iterator[Topic]:
        seen: dict[str, str] = {}
        for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
            file = self._relative(path)
            fields = read_yaml(path, file, self.problems)
            if fields is None:
                continue
            check_keys(fields, TOPIC, self.problems)
            # Older projects have no `name`: the path is the name (agent-project.md §1.2).
            name = fields.text("name").value or path.relative_to(folder).with_suffix("").as_posix()
            if name in seen:
                self.problems.error(
                    "duplicate-topic",
                    f"The topic `{name}` is also in {seen[name]}; this one is left out.",
                    file,
                    fields.line("name"),
                    "Give it another name.",
                )
                continue
            seen[name] = file
            yield Topic(
                name=name,
                file=file,
                line=fields.line("name"),
                enabled=fields.flag("enabled", True),
                content=fields.text("content"),
                actions=fields.text("actions"),
                example_queries=tuple(query for query in fields.texts("example_queries") if query),
                variant=variant,
            )

    def _functions(self, folder: Path, kind: FunctionKind, broken: dict[str, Problem]) -> dict[str, Function]:
        functions: dict[str, Function] = {}
        special = {"start_function": FunctionKind.START, "end_function": FunctionKind.END}
        for path in sorted(folder.glob("*.py")):
            if path.name == "__init__.py":
                continue
            own = special.get(path.stem, kind) if kind is FunctionKind.GLOBAL else kind
            before = len(self.problems.found)
            module = read_module(path, self._relative(path), own, self.problems)
            if module is not None:
                self.modules.append(module)
            if module is not None and module.function is not None:
                functions[path.stem] = module.function
            else:
                broken[path.stem] = self.problems.found[before]
        return functions

    def _flows(self) -> Iterator[Flow]:
        folder = self.root / "flows"
        for path in sorted(p for p in folder.glob("*") if p.is_dir() and not p.name.startswith((".", "_"))):
            head = read_flow(self._yaml(self._relative(path) + "/flow_config.yaml"), path.name, self.problems)
            broken: dict[str, Problem] = {}
            yield replace(
                head,
                steps=tuple(self._steps(path / "steps")),
                functions=self._functions(path / "functions", FunctionKind.TRANSITION, broken),
                function_steps=self._functions(path / "function_steps", FunctionKind.STEP, broken),
                broken_functions=broken,
            )

    def _steps(self, folder: Path) -> Iterator[Step]:
        for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
            fields = read_yaml(path, self._relative(path), self.problems)
            if fields is not None:
                yield read_step(fields, self.problems)

    def _experimental(self) -> Mapping[str, object]:
        file = "agent_settings/experimental_config.json"
        path = self.root / file
        if not path.is_file():
            return {}
        fields = read_json_fields(path, file, self.problems)
        check_keys(fields, EXPERIMENTAL, self.problems)
        return fields.values


def _role(fields: Fields) -> Text:
    value = fields.text("value")
    return fields.text("custom") if value.value.lower() == "other" else value


def _channel(fields: Fields) -> Channel:
    greeting = fields.child("greeting")
    return Channel(
        greeting=greeting.text("welcome_message"),
        language=greeting.text("language_code").value,
        style=fields.child("style_prompt").text("prompt"),
    )
