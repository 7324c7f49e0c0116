"""Arguments for a function, brought to the declared types (agent-project.md §8.2.7)."""

from collections.abc import Mapping

from warmline.agent.project.model import Function, Parameter

_TRUE = frozenset({"true", "yes", "1"})
_FALSE = frozenset({"false", "no", "0"})


class ArgumentWrong(Exception):
    """An argument is missing or cannot be brought to its type; the message names the parameter."""


def coerce_arguments(function: Function, given: Mapping[str, object]) -> dict[str, object]:
    """Give the arguments that `function` declares, each with its declared type; others are left out.

    Raises:
        ArgumentWrong: a parameter is missing or has a value that does not fit.
    """
    arguments: dict[str, object] = {}
    for parameter in function.parameters:
        if parameter.name not in given:
            raise ArgumentWrong(f"`{function.name}` needs the argument `{parameter.name}`")
        arguments[parameter.name] = _coerce(parameter, given[parameter.name])
    return arguments


def _coerce(parameter: Parameter, value: object) -> object:
    text = str(value).strip()
    try:
        match parameter.type:
            case "string":
                return str(value)
            case "integer":
                return value if type(value) is int else int(float(text))
            case "number":
                return float(text)
            case _ if isinstance(value, bool):
                return value
            case _ if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
    except (ValueError, OverflowError):
        pass
    raise ArgumentWrong(f"the argument `{parameter.name}` must be {parameter.type}")
