"""Finds mistakes in the rules of texting, `sms/configuration.yaml` (agent-project.md §2.14; a Warmline extension).

The channel reads them when a session begins, and takes none of them when one is wrong.
"""

from warmline.agent.project.yaml_files import Fields, Problems
from warmline.domain.texting import SENTENCES

_TIMES = ("after_hours", "grace_minutes")
_MOST = 10_000


def check_texting(fields: Fields, problems: Problems) -> None:
    """Note what is wrong with the rules in `fields`, for all numbers and for single ones."""
    numbers = fields.child("numbers")
    for part in (fields, *(numbers.child(number) for number in numbers.values)):
        sentences, inactivity = part.child("sentences"), part.child("inactivity")
        for key, said in sentences.values.items():
            if key not in SENTENCES:
                remedy = f"Use {', '.join(SENTENCES)}."
                _wrong(problems, sentences, key, f"There is no sentence `{key}`.", remedy)
            elif not isinstance(said, str):
                _wrong(problems, sentences, key, f"`{key}` must be a text.", 'Write it in quotes; "" sends nothing.')
        for key in _TIMES:
            value = inactivity.values.get(key)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and 0 < float(str(value)) <= _MOST):
                _wrong(problems, inactivity, key, f"`{key}` must be a number above 0.", f"At most {_MOST}.")


def _wrong(problems: Problems, fields: Fields, key: str, text: str, remedy: str) -> None:
    problems.error(
        "texting-rules",
        f"{text} Until it is corrected none of the rules counts.",
        fields.file,
        fields.line(key),
        remedy,
    )
