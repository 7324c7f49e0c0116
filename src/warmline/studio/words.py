"""The Studio's texts: one TOML file per language, English complete."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


class MissingText(KeyError):
    """A page asks for a text that the language file does not have."""


@cache
def texts(language: str = "en") -> Mapping[str, str]:
    """All texts of a language by dotted key, such as "nav.integrations"."""
    data = tomllib.loads((files("warmline.studio") / "texts" / f"{language}.toml").read_text("utf-8"))
    return {f"{section}.{key}": text for section, entries in data.items() for key, text in entries.items()}


def say(key: str, **values: object) -> str:
    """Give a text with its `{names}` filled in.

    Raises:
        MissingText: there is none under `key`.
    """
    try:
        return texts()[key].format(**values)
    except KeyError as missing:
        raise MissingText(f"{key} ({missing})") from None
