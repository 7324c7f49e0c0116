"""Finds the values of a function's parameters in what the customer writes."""

import re

from warmline.agent.brains.topics.language import read_consent, small_talk
from warmline.agent.project.model import Parameter
from warmline.agent.turn.dates import NUMBER_WORDS, read_count

_NUMBER = re.compile(r"-?\d[\d,   ']*(?:\.\d+)?(?!\d|(?:st|nd|rd|th)\b)")
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(NUMBER_WORDS)})(?:[ -](?:{'|'.join(NUMBER_WORDS)}))?\b", re.IGNORECASE)
_FORMS = (
    (
        re.compile(r"post ?code|postal|zip"),
        re.compile(r"\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b|\b\d{5}(?:-\d{4})?\b|\b[A-Z]\d[A-Z] ?\d[A-Z]\d\b", re.I),
    ),
    (re.compile(r"e-?mail"), re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")),
    (re.compile(r"phone|mobile|telephone"), re.compile(r"\+?\d[\d ()/-]{5,}\d")),
    (
        re.compile(
            r"\b(?:order|account|reference|booking|customer|invoice|ticket|contract|job|case|serial|member\w*|policy)\b"
            r".*\b(?:number|id|code|no)\b"
        ),
        re.compile(r"\b(?=[\w-]*\d)[A-Z\d][A-Z\d-]{2,}\b", re.I),
    ),
)
_EXAMPLE = re.compile(r"\b(?:such as|e\.g\.|for example|like)\s*:?\s*(?P<example>[^.;]+)", re.IGNORECASE)
_LONGEST_VALUE = 200
_SHORT = 3
_PUT_OFF = re.compile(
    r"\b(?:i (?:don't|do not) (?:know|have)|no idea|never mind|forget it)\b|^(?:cancel|stop)$", re.IGNORECASE
)


def find_value(parameter: Parameter, text: str, *, asked: bool) -> object | None:
    """Find a value for `parameter` in `text`; None when there is none.

    Args:
        parameter: what the function needs. Its name and description tell the form, such as a postcode.
        text: the customer's message.
        asked: the customer was asked for just this value, so a message of no special form is the value.
    """
    if parameter.type in ("integer", "number"):
        match = _NUMBER.search(text)
        words = None if match else _NUMBER_WORD.search(text)
        said = re.sub(r"[^\d.-]", "", match[0]) if match else read_count(words[0]) if words and asked else None
        if said is None:
            return None
        number = float(said)
        return int(number) if parameter.type == "integer" else number
    if parameter.type == "boolean":
        return read_consent(text) if asked else None
    hints = f"{parameter.name.replace('_', ' ')} {parameter.description}".lower()
    for wanted, form in _FORMS:
        if wanted.search(hints):
            match = form.search(text)
            return match[0] if match else None
    value = text.strip()
    if not asked or not value or len(value) > _LONGEST_VALUE or _is_no_value(value):
        return None
    return value


def _is_no_value(text: str) -> bool:
    """Tell whether an answer is a question, a refusal or politeness rather than what was asked for."""
    refused = len(text.split()) <= _SHORT and read_consent(text) is False
    return text.endswith("?") or refused or small_talk(text) is not None or _PUT_OFF.search(text) is not None


def named_number(parameter: Parameter, text: str) -> str:
    """Give the number in `text` that stands before the name of `parameter`, as in "3 nights"; "" when there is none."""
    name = parameter.name.replace("_", " ").lower().removesuffix("s")
    match = re.search(rf"({_NUMBER.pattern})\s*(?:[a-z]+ )?{re.escape(name)}", text.lower())
    return match[1] if match else ""


def question_for(parameter: Parameter, template: str) -> str:
    """Give the question that asks for `parameter`; `template` holds `{name}`."""
    question = template.replace("{name}", parameter.name.replace("_", " "))
    if match := _EXAMPLE.search(parameter.description):
        question += f" (For example {match['example'].strip()}.)"
    return question
