"""What the server hands to a page that embeds the widget (messaging-protocol.md §15, design.md §12)."""

import gzip
import json
import re
from pathlib import Path

import pytest

from warmline import widget
from warmline.widget.bundle import bundle, compact, joined

_FOLDER = Path(widget.__file__).parent


def compressed(text: bytes) -> int:
    return len(gzip.compress(text, 9))


def config_of(script: str) -> dict[str, object]:
    """The configuration inside an embed script."""
    start = script.index("let config=") + len("let config=")
    found, _ = json.JSONDecoder().raw_decode(script[start:])
    assert isinstance(found, dict)
    return found


def test_script_carries_the_configuration_and_the_version() -> None:
    given = {
        "token": "t-1",
        "host": "example.com",
        "agent_name": 'A "quoted" </script>\u2028 name',
        "languages": ["de"],
    }
    script = widget.embed_script(given)
    assert config_of(script) == {**given, "version": widget.VERSION}
    assert "</script>" not in script
    assert script.isascii() or "\u2028" not in script


@pytest.mark.parametrize(("color", "ink"), [("#14466b", "#ffffff"), ("#ffd400", "#10141f"), ("#000000", "#ffffff")])
def test_ink_is_readable_on_the_brand_color(color: str, ink: str) -> None:
    script = widget.embed_script({"token": "t", "color": color, "bubble_color": color})
    assert (config_of(script)["ink"], config_of(script)["bubble_ink"]) == (ink, ink)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "token"),
        ({"token": "a b"}, "token"),
        ({"token": "t", "color": "red; } * { display: none"}, "color"),
        ({"token": "t", "bubble_color": "#12345"}, "bubble_color"),
        ({"token": "t", "colour": "#123456"}, "colour"),
        ({"token": "t", "disclaimer_consent": "yes"}, "disclaimer_consent"),
        ({"token": "t", "languages": "en"}, "languages"),
    ],
)
def test_wrong_configuration_is_refused_by_the_name_of_its_field(config: dict[str, object], field: str) -> None:
    with pytest.raises(ValueError, match=repr(field)):
        widget.embed_script(config)


def test_everything_a_visitor_loads_stays_within_25_kb() -> None:
    script = widget.embed_script({"token": "demo-connector-token", "host": "localhost", "agent_name": "Lumi"})
    assert compressed(script.encode()) + compressed(widget.ASSETS["widget.js"]) <= 25_000
    for name, body in widget.ASSETS.items():
        assert name == "widget.js" or compressed(body) <= (2_000 if name == "extras.js" else 1_400)


def test_bundle_holds_every_module_and_imports_none() -> None:
    served = widget.ASSETS["widget.js"].decode()
    assert re.findall(r"^import |[;}]import[ {]", served) == []
    assert served.count("export") == 1
    source, _ = joined(_FOLDER / "main.js")
    for path in _FOLDER.rglob("*.js"):
        if path.parent.name not in ("i18n", "extras") and path.name != "embed.js":
            declared = re.findall(
                r"^export (?:async )?(?:const|class|function) (\w+)", path.read_text("utf-8"), re.MULTILINE
            )
            assert all(re.search(rf"\b{name}\b", source) for name in declared), path


def test_bundle_refuses_two_modules_with_one_name(tmp_path: Path) -> None:
    (tmp_path / "one.js").write_text("export const same = 1;\n")
    (tmp_path / "main.js").write_text('import { same } from "./one.js";\nconst same = 2;\nexport const x = same;\n')
    with pytest.raises(ValueError, match="'same' is also declared"):
        bundle(tmp_path / "main.js")


def test_compacting_leaves_strings_expressions_and_templates_alone() -> None:
    source = """/** Gone. */
const a = "x  =  { y }";
// gone
const b = /[ {]  "/g;
const c = `one ${a}  two`;
const d = call(/ , /, { e : 1 });
"""
    expected = """const a="x  =  { y }";const b=/[ {]  "/g;const c=`one ${a}  two`;const d=call(/ , /,{e:1});"""
    assert compact(source) == expected


@pytest.mark.parametrize("language", ["de", "es", "fr", "ar"])
def test_translations_have_every_text_with_its_placeholders(language: str) -> None:
    def words(name: str) -> dict[str, set[str]]:
        pairs = re.findall(r'^  (\w+): "(.+)",$', (_FOLDER / "i18n" / f"{name}.js").read_text("utf-8"), re.MULTILINE)
        return {key: set(re.findall(r"\{\w+\}", text)) for key, text in pairs}

    assert words(language) == words("en")


def test_every_text_that_is_shown_exists() -> None:
    known = set(re.findall(r"^  (\w+):", (_FOLDER / "i18n" / "en.js").read_text("utf-8"), re.MULTILINE))
    used: set[str] = set()
    for path in (_FOLDER / "view").glob("*.js"):
        used |= set(re.findall(r'texts\.get\("(\w+)"', path.read_text("utf-8")))
    assert used <= known


def test_only_names_that_mean_one_thing_are_shortened(tmp_path: Path) -> None:
    (tmp_path / "main.js").write_text(
        "const counter = 1;\nconst shown = 2;\nconst asked = 3;\nconst inText = 4;\n"
        "export const result = { shown, value: counter ? counter : asked, o: x.asked, t: `${inText}` };\n"
    )
    assert bundle(tmp_path / "main.js") == (
        "let _a=1;let shown=2;let asked=3;let inText=4;"
        "export let result={shown,value:_a?_a:asked,o:x.asked,t:`${inText}`};"
    )
