"""Finds mistakes that show only when the parts of a project are looked at together."""

import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from warmline.agent.project.check_config import check_config
from warmline.agent.project.check_flows import check_flows
from warmline.agent.project.model import Module, Problem, Project, Severity, StepType, Text, Topic
from warmline.agent.project.names import clean_name
from warmline.agent.project.references import REFERENCE, VARIABLE, Reference, references
from warmline.agent.project.routes import OPTIONS, check_routes
from warmline.agent.turn.returns import INTEGRATIONS

_BRACES = re.compile(r"\{\{[^\n{}]*\}?\}?")
_MOST_EXAMPLES = 20
"""Example queries of a topic (agent-project.md §2.17)."""


def check_project(project: Project) -> tuple[Problem, ...]:
    """Give all problems of a loaded project, those of the loader included, by file and line.

    Nothing of the project is executed.
    """
    found = list(project.problems)
    if project.usable:
        for rule in (_topics, _references, _modules, check_flows, check_config, check_routes, _channels, _names):
            found += rule(project)
    order = {Severity.ERROR: 0, Severity.WARNING: 1}
    unique = dict.fromkeys(found)
    return tuple(sorted(unique, key=lambda p: (p.file, p.line, order[p.severity], p.rule)))


def _warning(rule: str, text: str, file: str, line: int, remedy: str = "") -> Problem:
    return Problem(rule=rule, text=text, remedy=remedy, file=file, line=line, severity=Severity.WARNING)


def _topics(project: Project) -> Iterator[Problem]:
    for topic in project.topics:
        if not topic.content and not topic.actions:
            yield _warning(
                "empty-topic",
                f"The topic `{topic.name}` has neither content nor actions.",
                topic.file,
                topic.line,
                "Write what the agent shall say or do.",
            )
        yield from _content_only(topic)
        if not topic.example_queries:
            yield _warning(
                "no-examples",
                f"The topic `{topic.name}` has no example queries and is hard to find.",
                topic.file,
                topic.line,
                "Add five to ten sentences that customers write.",
            )
        if len(topic.example_queries) > _MOST_EXAMPLES:
            yield _warning(
                "many-examples",
                f"The topic `{topic.name}` has {len(topic.example_queries)} example queries; the format allows "
                f"{_MOST_EXAMPLES}.",
                topic.file,
                topic.line,
                "Split the topic or remove the most similar ones.",
            )


def _content_only(topic: Topic) -> Iterator[Problem]:
    """Find functions that only the content names; there a model is not meant to call them (agent-project.md §2.17)."""
    ordered = {reference.name for reference in references(topic.actions)}
    for reference in references(topic.content):
        if reference.kind in ("fn", "ho") and reference.name not in ordered:
            yield _warning(
                "content-function",
                f"`{reference.name}` is only named in the content of `{topic.name}`, where nothing calls it.",
                reference.file,
                reference.line,
                "Name it in the actions.",
            )


def _markup(text: Text) -> Iterator[Problem]:
    """Find references and conditional blocks that are not written as they must be (agent-project.md §2.5 and §3)."""
    rest = REFERENCE.sub(lambda match: " " * len(match[0]), text.value)
    for match in _BRACES.finditer(rest):
        yield _warning(
            "malformed-reference",
            f"`{text.value[match.start() : match.end()]}` is no reference and stays as it is written.",
            text.file,
            text.line + text.value.count("\n", 0, match.start()),
            "Write `{{kind:name}}` with a kind such as fn, ft, ho, attr, vrbl, tn, entity or twilio_sms.",
        )
    for kind in ("channel", "language"):
        opened, closed = len(re.findall(rf"<{kind}:[^<>]+>", text.value)), text.value.count(f"</{kind}>")
        if opened != closed:
            yield _warning(
                "unbalanced-block",
                f"{opened} <{kind}:…> and {closed} </{kind}> do not go together.",
                text.file,
                text.line,
                "Close each block once.",
            )


def _texts(project: Project) -> Iterator[tuple[Text, tuple[str, ...]]]:
    """Give every text that may hold references, with the kinds that are of use there."""
    everywhere = ("fn", "twilio_sms", "ho", "attr", "vrbl", "tn")
    yield project.rules, everywhere
    for text in (project.persona, project.personality, project.role, project.additional_info):
        yield text, ("attr", "vrbl")
    for topic in project.topics:
        yield topic.actions, everywhere
        yield topic.content, everywhere
    for channel in (project.chat, project.voice, project.sms):
        yield channel.greeting, ("attr", "vrbl", "tn")
        yield channel.style, ()
    for phrase in project.phrases.values():
        yield phrase, ("attr", "vrbl", "tn")
    for template in project.sms_templates.values():
        yield template.text, ("attr", "vrbl", "tn", "entity")
    for flow in project.flows:
        for step in flow.steps:
            plain = step.type is StepType.DEFAULT
            yield step.prompt, ("attr", "entity", "vrbl") if plain else (*everywhere, "ft", "entity")
    for module in project.modules:
        for text in module.texts:
            yield text, (*everywhere, "ft", "entity")


def _references(project: Project) -> Iterator[Problem]:
    known = _known_names(project)
    for text, allowed in _texts(project):
        for reference in references(text):
            names = known.get(reference.kind, frozenset())
            if reference.kind == "ft":
                names = _transition_functions(project, reference.file)
            if reference.name not in names:
                yield _dangling(reference, project)
            elif reference.kind not in allowed:
                yield _warning(
                    "reference-place",
                    f"`{{{{{reference.kind}:{reference.name}}}}}` has no effect here.",
                    reference.file,
                    reference.line,
                    f"Useful here: {', '.join(allowed) or 'no references'}.",
                )
        # The state also mirrors the values of entities (agent-project.md §5.2).
        yield from _unknown_variables(text, project, known["vrbl"] | known["entity"])
        if not text.file.endswith(".py"):
            yield from _markup(text)


def _known_names(project: Project) -> dict[str, frozenset[str]]:
    attributes = frozenset(name for values in project.variants.values() for name in values)
    variables = frozenset(name for module in project.modules for name in module.state_names)
    return {
        "fn": frozenset(project.functions),
        "ho": frozenset(project.handoffs),
        "attr": attributes,
        "vrbl": variables,
        "tn": frozenset(project.translations),
        "entity": frozenset(project.entities),
        "twilio_sms": frozenset(project.sms_templates),
    }


def _transition_functions(project: Project, file: str) -> frozenset[str]:
    """Give the transition functions that `file` may refer to: those of its own flow."""
    parts = file.split("/")
    return frozenset(
        name for flow in project.flows if parts[0] != "flows" or parts[1] == flow.folder for name in flow.functions
    )


_WHAT = {
    "fn": ("function", "Create functions/{name}.py or correct the name."),
    "ft": ("transition function of this flow", "Create it in the flow's functions/ or correct the name."),
    "ho": ("handoff", "Add it to config/handoffs.yaml or correct the name."),
    "attr": ("variant attribute", "Add it to config/variant_attributes.yaml or correct the name."),
    "vrbl": ("variable", "Set conv.state.{name} in a function or correct the name."),
    "tn": ("translation", "Add it to config/translations.yaml or correct the name."),
    "entity": ("entity", "Add it to config/entities.yaml or correct the name."),
    "twilio_sms": ("SMS template", "Add it to config/sms_templates.yaml or correct the name."),
}


def _dangling(reference: Reference, project: Project) -> Problem:
    what, remedy = _WHAT[reference.kind]
    text = f"There is no {what} `{reference.name}`."
    broken = next(
        (f.broken_functions[reference.name] for f in project.flows if reference.name in f.broken_functions), None
    )
    if reference.kind == "ft" and broken is not None:
        text = f"The function `{reference.name}` is switched off because its file cannot be read."
        remedy = f"Correct {broken.file}."
    if reference.kind == "fn" and reference.name in project.broken_functions:
        text = f"The function `{reference.name}` is switched off because its file cannot be read."
        remedy = f"Correct {project.broken_functions[reference.name].file}."
    return Problem(
        rule="dangling-reference",
        text=text,
        remedy=remedy.replace("{name}", reference.name),
        file=reference.file,
        line=reference.line,
    )


def _unknown_variables(text: Text, project: Project, variables: frozenset[str]) -> Iterator[Problem]:
    if text.file.endswith(".py"):
        return
    attributes = {f"variant_{name}" for values in project.variants.values() for name in values}
    for match in VARIABLE.finditer(text.value):
        name = match[1] or match[2]
        if name not in variables and name not in attributes:
            yield _warning(
                "unknown-variable",
                f"No function sets `conv.state.{name}`; `{match[0]}` stays as it is written.",
                text.file,
                text.line + text.value.count("\n", 0, match.start()),
                "Set it in a function or correct the name.",
            )


def _modules(project: Project) -> Iterator[Problem]:
    files = {module.file: module for module in project.modules}
    for module in project.modules:
        yield from _imports(project, module, files)
        yield from _missing_modules(module)
        for key, line in module.handoff_keys:
            if key not in INTEGRATIONS:
                yield Problem(
                    rule="unknown-integration",
                    text=f"`{key}` is no integration.",
                    remedy=f"Use one of {', '.join(sorted(INTEGRATIONS))}.",
                    file=module.file,
                    line=line,
                )
        for key, option, line in module.handoff_options:
            known = OPTIONS.get(key)
            if known is not None and option not in known:
                yield _warning(
                    "unknown-option",
                    f"`{option}` means nothing to `{key}` and has no effect.",
                    module.file,
                    line,
                    f"Known are {', '.join(sorted(known))}.",
                )


def _imports(project: Project, module: Module, files: dict[str, Module]) -> Iterator[Problem]:
    for name, imported, line in module.imports:
        place = name.replace(".", "/")
        target = files.get(f"{place}.py")
        if target is None:
            missing = [n for n in imported if not _exists(project.root, f"{place}/{n}")]
            if _exists(project.root, place) and not (imported and missing and (project.root / place).is_dir()):
                continue
            wrong = f"{name}.{missing[0]}" if imported and missing else name
            yield _broken_import(module, line, f"There is no module `{wrong}`.")
            continue
        for wanted in imported:
            if target.names is not None and wanted != "*" and wanted not in target.names:
                yield _broken_import(module, line, f"`{name}` defines no `{wanted}`.")


def _missing_modules(module: Module) -> Iterator[Problem]:
    for package, line in module.foreign_imports:
        if package not in sys.builtin_module_names and PathFinder.find_spec(package) is None:
            yield _warning(
                "missing-module",
                f"No package `{package}` is installed here; the file cannot be imported without it.",
                module.file,
                line,
                f"Install `{package}` beside Warmline, or do without it.",
            )


def _exists(root: Path, place: str) -> bool:
    return (root / f"{place}.py").is_file() or (root / place).is_dir()


def _broken_import(module: Module, line: int, text: str) -> Problem:
    return Problem(
        rule="broken-import",
        text=text,
        remedy="The function cannot run until the import is corrected.",
        file=module.file,
        line=line,
    )


def _channels(project: Project) -> Iterator[Problem]:
    parts = ("configuration.yaml", "safety_filters.yaml")
    there = [(project.root / "chat" / part).is_file() for part in parts]
    if any(there) and not all(there):
        yield _warning(
            "incomplete-channel",
            "A hosted platform wants greeting, style prompt and safety filters of chat together.",
            f"chat/{parts[there.index(True)]}",
            1,
            f"Add chat/{parts[there.index(False)]}.",
        )


def _names(project: Project) -> Iterator[Problem]:
    named = [(topic.name, topic.file, topic.line) for topic in project.topics if "/" not in topic.name]
    named += [(step.name, step.file, 1) for flow in project.flows for step in flow.steps]
    for name, file, line in named:
        if clean_name(name) != Path(file).stem:
            yield _warning(
                "file-name",
                f"The file of `{name}` should be called {clean_name(name)}.yaml.",
                file,
                line,
                "A hosted platform refuses the project otherwise.",
            )
    for flow in project.flows:
        if clean_name(flow.name) != flow.folder:
            yield _warning(
                "file-name",
                f"The folder of `{flow.name}` should be called {clean_name(flow.name)}.",
                flow.file,
                1,
                "A hosted platform refuses the project otherwise.",
            )
