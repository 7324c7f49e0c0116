"""Finds mistakes in the files of `config/` and in the project's settings (agent-project.md §2.7 to §2.16, §10)."""

import re
from collections.abc import Iterator, Mapping

import phonenumbers

from warmline.agent.project.experimental import section
from warmline.agent.project.model import Entity, Problem, Project, Severity

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_PHONE = re.compile(r"\+\d{6,15}|MG[0-9a-fA-F]{32}")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::\d{2})?(?: ?[AaPp][Mm])?")
_TEMPLATE_NAME, _TEMPLATE_TEXT = 100, 500
_FLAGS = ("has_decimal", "has_range", "relative_date", "enabled")
_NUMBERS = (
    *("threshold", "in_flow_threshold", "qa_metric_threshold", "top_k", "history_len"),
    *("previous_user_inputs_len", "soft_threshold"),
)
_EXPERIMENTAL = "agent_settings/experimental_config.json"


def check_config(project: Project) -> Iterator[Problem]:
    """Give what is wrong in the settings of a project."""
    for entity in project.entities.values():
        yield from _entity(entity)
    yield from _templates(project)
    yield from _languages(project)
    yield from _phrase_filters(project)
    yield from _experimental(project)


def _problem(rule: str, text: str, remedy: str, file: str, line: int, *, warning: bool = False) -> Problem:
    severity = Severity.WARNING if warning else Severity.ERROR
    return Problem(rule=rule, text=text, remedy=remedy, file=file, line=line, severity=severity)


def _entity(entity: Entity) -> Iterator[Problem]:
    for wrong in _entity_config(entity.type, entity.config):
        text = f"The entity `{entity.name}` cannot work: {wrong}."
        yield _problem("entity-config", text, "Correct its `config`.", "config/entities.yaml", entity.line)


def _entity_config(kind: str, config: Mapping[str, object]) -> Iterator[str]:
    for key in _FLAGS:
        if key in config and not isinstance(config[key], bool):
            yield f"`{key}` must be true or false"
    limits = {}
    for key in ("min", "max"):
        if config.get(key) not in (None, ""):
            try:
                limits[key] = float(str(config[key]))
            except ValueError:
                yield f"`{key}` must be a number"
    if len(limits) == 2 and limits["min"] > limits["max"]:
        yield "`min` is larger than `max`"
    if kind == "enum" and not (isinstance(config.get("options"), list) and config["options"]):
        yield "it needs `options`"
    expression = config.get("regular_expression")
    if isinstance(expression, str):
        try:
            re.compile(expression)
        except re.error as error:
            yield f"`regular_expression` is none ({error})"
    for key in ("options", "country_codes"):
        words = config.get(key)
        if isinstance(words, list) and any(isinstance(word, bool) for word in words):
            yield f'YAML reads a word of `{key}` as true or false: put it in quotes, as in `"No"`'
    codes = config.get("country_codes")
    for code in codes if isinstance(codes, list) else ():
        if not isinstance(code, bool) and str(code).upper() not in phonenumbers.SUPPORTED_REGIONS:
            yield f"`{code}` is no country code such as GB"
    for key in ("start_time", "end_time"):
        if config.get(key) and not _is_time(str(config[key])):
            yield f"`{key}` must be a time such as 09:00"


def _is_time(text: str) -> bool:
    match = _TIME.fullmatch(text.strip())
    return match is not None and int(match[1]) < 24 and int(match[2]) < 60


def _templates(project: Project) -> Iterator[Problem]:
    for template in project.sms_templates.values():
        file, line = template.text.file, template.text.line
        if len(template.name) > _TEMPLATE_NAME:
            text = f"The name of a template is longer than {_TEMPLATE_NAME} characters."
            yield _problem("template-name", text, "Shorten it.", file, line, warning=True)
        if len(template.text.value) > _TEMPLATE_TEXT:
            text = f"`{template.name}` is longer than {_TEMPLATE_TEXT} characters."
            yield _problem("template-length", text, "Several text messages are sent for one.", file, line, warning=True)
        for environment, number in template.numbers.items():
            if number and not _PHONE.fullmatch(number):
                text = f"`{number}` ({environment}) of `{template.name}` is no number such as +441632960000."
                yield _problem("template-number", text, "Correct it, or leave it empty.", file, line)


def _languages(project: Project) -> Iterator[Problem]:
    file = "agent_settings/languages.yaml"
    known = {project.default_language, *project.languages} - {""}
    listed = [project.default_language, *project.languages]
    for name in sorted({name for name in listed if listed.count(name) > 1}):
        yield _problem("duplicate-language", f"`{name}` is listed twice.", "Remove one.", file, 1)
    for name in sorted(known):
        if not _LANGUAGE.fullmatch(name):
            text = f"`{name}` is no language such as en-GB."
            yield _problem("language", text, "Use a code as in BCP 47.", file, 1)
    for name, texts in project.translations.items():
        for language in sorted(known - set(texts)):
            text = f"The translation `{name}` has no text for {language}."
            yield _problem("missing-translation", text, f"Add `{language}: …`.", "config/translations.yaml", 1)
        for language in sorted(set(texts) - known) if known else ():
            text = f"The translation `{name}` has a text for {language}, which the project does not speak."
            remedy = f"Add {language} to {file}, or remove the text."
            yield _problem("extra-translation", text, remedy, "config/translations.yaml", 1, warning=True)


def _phrase_filters(project: Project) -> Iterator[Problem]:
    file = "voice/response_control/phrase_filtering.yaml"
    for one in project.phrase_filters:
        function = project.functions.get(one.function)
        if one.function and function is None:
            text = f"There is no function `{one.function}`."
            yield _problem("dangling-reference", text, "Create it or correct the name.", file, one.line)
        elif function is not None and function.parameters:
            text = f"`{one.function}` needs arguments, and a phrase filter has none to give."
            yield _problem("phrase-function", text, "Use a function without parameters.", file, one.line, warning=True)


def _experimental(project: Project) -> Iterator[Problem]:
    ragdoll = section(project.experimental, "ragdoll")
    for key in _NUMBERS:
        value = ragdoll.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            text = f"`ragdoll.{key}` must be a number, 0 or more; the usual value is used."
            yield _problem("wrong-type", text, "Correct it.", _EXPERIMENTAL, 1)
    names = {topic.name for topic in project.topics}
    exclusions = section(ragdoll, "channel_topic_exclusions")
    lists = [("qa_metric_exclusions", ragdoll.get("qa_metric_exclusions"))]
    lists += [(f"channel_topic_exclusions.{channel}", value) for channel, value in exclusions.items()]
    for place, value in lists:
        for name in value if isinstance(value, list) else ():
            if name not in names:
                text = f"`ragdoll.{place}` names the topic `{name}`, which does not exist."
                yield _problem("unknown-topic", text, "Correct the name.", _EXPERIMENTAL, 1, warning=True)
    context = section(project.experimental, "prompts").get("context_information")
    if isinstance(context, str) and "{topics_prompt}" not in context:
        text = "`prompts.context_information` does not hold {topics_prompt}, so topics would not reach the model."
        yield _problem("missing-placeholder", text, "Put {topics_prompt} where the topics belong.", _EXPERIMENTAL, 1)
    flows = {flow.name: flow for flow in project.flows}
    for name in section(project.experimental, "llm", "flow_overrides"):
        if name not in flows:
            text = f"`llm.flow_overrides` names the flow `{name}`, which does not exist."
            yield _problem("unknown-flow", text, "Correct the name.", _EXPERIMENTAL, 1, warning=True)
