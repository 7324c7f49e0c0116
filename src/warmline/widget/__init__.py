"""The chat widget: plain ES modules, and the script a page embeds to load them."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from warmline.widget.bundle import bundle, compact, with_let

_FOLDER = Path(__file__).resolve().parent
_EMBED = with_let(compact((_FOLDER / "embed.js").read_text("utf-8")))
_MARKER = '"__WARMLINE_CONFIG__"'

CONTENT_TYPE = "text/javascript; charset=utf-8"
"""Of the embed script and of every asset."""


def _assets() -> dict[str, bytes]:
    words = sorted(path for path in (_FOLDER / "i18n").glob("??.js") if path.stem != "en")
    files = {f"i18n/{path.name}": path.read_bytes() for path in words}
    return {
        "widget.js": bundle(_FOLDER / "main.js").encode(),
        "extras.js": bundle(_FOLDER / "extras" / "main.js").encode(),
        **files,
    }


ASSETS: Mapping[str, bytes] = MappingProxyType(_assets())
"""The files below `/widget/assets/{VERSION}/` by name. Served with CORS, because pages of other origins import them."""

VERSION: str = hashlib.sha256(b"\0".join([_EMBED.encode(), *ASSETS.values()])).hexdigest()[:16]
"""Changes with any byte of the widget; part of the assets' addresses, so they may be cached for ever."""

_OPTIONS: Mapping[str, type] = MappingProxyType(
    {
        "token": str,
        "host": str,
        "color": str,
        "agent_name": str,
        "agent_image_url": str,
        "header_text": str,
        "welcome_message": str,
        "bubble_text": str,
        "bubble_color": str,
        "disclaimer": str,
        "disclaimer_consent": bool,
        "disclaimer_always": bool,
        "privacy_url": str,
        "terms_url": str,
        "languages": list,
        "texts": dict,
    }
)
LANGUAGES: tuple[str, ...] = (
    "en",
    *sorted(path.stem for path in (_FOLDER / "i18n").glob("??.js") if path.stem != "en"),
)
"""Languages that the widget speaks."""
_TOKEN = re.compile(r"[A-Za-z0-9_.~-]{1,128}")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_INKS = {"color": "ink", "bubble_color": "bubble_ink"}


def embed_script(config: Mapping[str, object]) -> str:
    """The script that a page embeds as `/widget/{connector_token}.js` (messaging-protocol.md §15.1).

    `config` is what the operator configured (§15.4); all but `token` may be missing:

    - `token`: the connector token. `host`: the website's host name, e.g. "example.com"; other pages than it and its
      subdomains show nothing; "" shows the widget everywhere.
    - `color`, `bubble_color`: "#rrggbb". `agent_name`, `agent_image_url`, `header_text`, `welcome_message`,
      `bubble_text`: what the panel and the prompt bubble show.
    - `disclaimer`: shown before the first message; `{{privacyPolicyUrl}}` and `{{termsUrl}}` become links.
      `disclaimer_consent`: nothing is sent before the customer accepted it. `disclaimer_always`: it stays.
    - `privacy_url`, `terms_url`: links of the header's menu.
    - `languages`: language tags the widget may use, the default first. `texts`: own words by key of `i18n/en.js`.

    Raises `ValueError` that names the field for an unknown field, a wrong type or a malformed value.
    """
    for name, value in config.items():
        wanted = _OPTIONS.get(name)
        if wanted is None:
            raise ValueError(f"widget configuration: unknown field {name!r}")
        if not isinstance(value, wanted):
            raise ValueError(f"widget configuration: {name!r} must be a {wanted.__name__}")
    if not _TOKEN.fullmatch(str(config.get("token", ""))):
        raise ValueError("widget configuration: 'token' must be a connector token")
    for name in _INKS:
        if config.get(name) and not _COLOR.fullmatch(str(config[name])):
            raise ValueError(f"widget configuration: {name!r} must look like #1f6feb")
    inks = {name: _ink(str(config[of])) for of, name in _INKS.items() if config.get(of)}
    literal = json.dumps({**config, **inks, "version": VERSION}, separators=(",", ":")).replace("<", "\\u003c")
    return _EMBED.replace(_MARKER, literal, 1)


def _ink(color: str) -> str:
    """The better readable of white and near-black on `color`, by the contrast of WCAG 2.2."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#ffffff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.06 else "#10141f"
