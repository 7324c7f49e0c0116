"""Joins the widget's modules into the one file that browsers load: one request, and a third of the bytes.

No tool and no step before serving: the modules stay what is written, tested and debugged. It understands just the
module syntax used here: named static imports, `export` before a declaration, one default export per words file.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from string import ascii_letters

_IMPORT = re.compile(r'^import (?:(\w+)|\{[^}]*\}) from "([^"]+)";\n', re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*(?:/\*\*.*?\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)
_LITERAL = re.compile(
    r"""("(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|(?<=[=(])/(?:[^/\\\n]|\\.)+/\w*|(?<== )/(?:[^/\\\n]|\\.)+/\w*)"""
)
_LOOSE = re.compile(r"\s*([{}()\[\];,<>=?:&|+*-])\s*")
_LOOSE_STYLE = re.compile(r"\s*([{};,])\s*|(?<=:)\s+(?=\S)")
_NEEDLESS = re.compile(r";(?=\})|,(?=[\]})])")
_CONST = re.compile(r"\bconst\b")
_PRIVATE = re.compile(r"#([A-Za-z]\w*)")
_PRIVATE_OF = re.compile(r"\.#([A-Za-z]\w*)")
_WORD = re.compile(r"[A-Za-z_$][\w$]*")
_EXPORTED = re.compile(r"^export (?:async )?(?:const|let|class|function) (\w+)", re.MULTILINE)
_DECLARATION = re.compile(r"^(?:export )?(?:async )?(?:const|let|class|function) (\w+)", re.MULTILINE)


def compact(source: str) -> str:
    """`source` without comments on lines of their own and without what only people need: white space, last marks.

    Relies on how the widget is written: semicolons everywhere, no loop without a body, no `+ +` or `- -`, line
    comments on lines of their own, no template in a template, a regular expression only after `= ` or `(`, and style
    sheets as the only templates of several lines.
    """
    parts = _LITERAL.split(_COMMENT.sub("", source))
    parts[::2] = [_NEEDLESS.sub("", _LOOSE.sub(r"\1", code)) for code in parts[::2]]
    parts[1::2] = [_NEEDLESS.sub("", _LOOSE_STYLE.sub(r"\1", text)) if "\n" in text else text for text in parts[1::2]]
    return "".join(parts)


def bundle(entry: Path) -> str:
    """The module `entry` and all it imports as one module that exports what `entry` exports.

    Raises `ValueError` when two modules declare the same name at top level.
    """
    source, names = joined(entry)
    return with_let(_short_names(_short_members(source), names))


def joined(entry: Path) -> tuple[str, frozenset[str]]:
    """The modules one after the other, compacted, and the names that they declare at top level for themselves.

    Raises `ValueError` when two modules declare the same name at top level.
    """
    owners: dict[str, Path] = {}
    parts = []
    for path, default in _in_order(entry, "", set()):
        source = path.read_text("utf-8")
        for name in _DECLARATION.findall(source):
            if owners.setdefault(name, path) != path:
                raise ValueError(f"{path}: {name!r} is also declared in {owners[name]}")
        body = _IMPORT.sub("", source)
        if path != entry:
            body = re.sub(r"^export default ", f"const {default} = ", body, flags=re.MULTILINE)
            body = re.sub(r"^export ", "", body, flags=re.MULTILINE)
        parts.append(compact(body))
    return "".join(parts), frozenset(owners) - frozenset(_EXPORTED.findall(entry.read_text("utf-8")))


def _short_names(source: str, names: Iterable[str]) -> str:
    """`source` with short names for those of `names` that cannot be meant in any other way.

    Left alone is what also stands in a literal, after a dot, or between braces, commas and colons, where it may be
    the name of a property.
    """
    parts = _LITERAL.split(source)
    left_alone = set(_WORD.findall("\n".join(parts[1::2])))
    length: Counter[str] = Counter()
    for part in parts[::2]:
        for found in _WORD.finditer(part):
            name, before, after = found[0], part[found.start() - 1 : found.start()], part[found.end() : found.end() + 1]
            length[name] += len(name)
            if before in (".", "#") or (before in ("{", ",") and after in (",", ":", "}")):
                left_alone.add(name)
    chosen = sorted((n for n in names if len(n) > 3 and n not in left_alone), key=lambda name: (-length[name], name))
    free = (f"_{short}" for short in _names() if f"_{short}" not in length)
    shorter = dict(zip(chosen, free, strict=False))
    parts[::2] = [_WORD.sub(lambda found: shorter.get(found[0], found[0]), part) for part in parts[::2]]
    return "".join(parts)


def with_let(source: str) -> str:
    """`source` with `let` for `const`."""
    parts = _LITERAL.split(source)
    parts[::2] = [_CONST.sub("let", code) for code in parts[::2]]
    return "".join(parts)


def _short_members(source: str) -> str:
    """`source` with short names for the private members of classes."""
    names = Counter(_PRIVATE.findall("".join(_LITERAL.split(source)[::2])))
    shorter = {name: short for (name, _), short in zip(names.most_common(), _names(), strict=False)}
    parts = _LITERAL.split(source)
    parts[::2] = [_PRIVATE.sub(lambda found: f"#{shorter[found[1]]}", code) for code in parts[::2]]
    # In a template there may be a color that looks like a private name, but not after a dot.
    parts[1::2] = [_PRIVATE_OF.sub(lambda found: f".#{shorter.get(found[1], found[1])}", text) for text in parts[1::2]]
    return "".join(parts)


def _names() -> Iterator[str]:
    yield from ascii_letters
    for first in ascii_letters:
        yield from (first + second for second in ascii_letters)


def _in_order(path: Path, default: str, seen: set[Path]) -> Iterator[tuple[Path, str]]:
    """Every module after the ones it imports, with the name its default export is imported under."""
    seen.add(path)
    for name, target in _IMPORT.findall(path.read_text("utf-8")):
        imported = (path.parent / target).resolve()
        if imported not in seen:
            yield from _in_order(imported, name, seen)
    yield path, default
