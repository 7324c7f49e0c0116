"""A reader for the part of GraphQL that Search needs: one query of fields with arguments and sub-selections."""

import re
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"""[\s,]+ | \#[^\n]* | (?P<string>"(?:\\.|[^"\\])*") | (?P<number>-?\d+(?:\.\d+)?) | (?P<spread>\.\.\.)
    | (?P<name>[_A-Za-z]\w*) | (?P<mark>[{}()\[\]:$!=@|&])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class GraphqlError(Exception):
    """A query that cannot be read."""


@dataclass(slots=True)
class Selection:
    """One selected field. `name` is the schema's name, `alias` the key in the answer."""

    name: str
    alias: str
    arguments: dict[str, Any] = field(default_factory=dict)
    fields: list["Selection"] = field(default_factory=list)


def parse(query: str, variables: dict[str, Any]) -> list[Selection]:
    """Return the top-level selections of a query, variables filled in.

    Raises:
        GraphqlError: the query is not valid, or uses fragments, directives or operations other than `query`.
    """
    return _Parser(query, variables).document()


class _Parser:
    def __init__(self, query: str, variables: dict[str, Any]) -> None:
        self._tokens = list(_tokens(query))
        self._position = 0
        self._variables = variables

    def document(self) -> list[Selection]:
        if self._peek() == ("name", "query"):
            self._next()
            if self._peek()[0] == "name":
                self._next()
            if self._peek() == ("mark", "("):
                self._skip_variable_definitions()
        selections = self._selections()
        if self._peek()[0] != "end":
            raise GraphqlError(f"unexpected {self._peek()[1]!r} after the query")
        return selections

    def _skip_variable_definitions(self) -> None:
        self._expect("(")
        while self._peek() != ("mark", ")"):
            self._expect("$")
            name = self._name()
            self._expect(":")
            self._skip_type()
            if self._peek() == ("mark", "="):
                self._next()
                self._variables = {name: self._value(), **self._variables}
        self._expect(")")

    def _skip_type(self) -> None:
        if self._peek() == ("mark", "["):
            self._next()
            self._skip_type()
            self._expect("]")
        else:
            self._name()
        if self._peek() == ("mark", "!"):
            self._next()

    def _selections(self) -> list[Selection]:
        self._expect("{")
        found = []
        while self._peek() != ("mark", "}"):
            found.append(self._selection())
        self._expect("}")
        if not found:
            raise GraphqlError("a selection must name at least one field")
        return found

    def _selection(self) -> Selection:
        name = alias = self._name()
        if self._peek() == ("mark", ":"):
            self._next()
            name = self._name()
        selection = Selection(name, alias)
        if self._peek() == ("mark", "("):
            selection.arguments = self._arguments()
        if self._peek() == ("mark", "{"):
            selection.fields = self._selections()
        return selection

    def _arguments(self) -> dict[str, Any]:
        self._expect("(")
        arguments = self._pairs(")")
        self._expect(")")
        return arguments

    def _pairs(self, closing: str) -> dict[str, Any]:
        pairs = {}
        while self._peek() != ("mark", closing):
            name = self._name()
            self._expect(":")
            pairs[name] = self._value()
        return pairs

    def _value(self) -> Any:
        kind, text = self._next()
        if kind == "string":
            return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1])
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "name":
            return {"true": True, "false": False, "null": None}.get(text, text)
        if (kind, text) == ("mark", "$"):
            return self._variable(self._name())
        if (kind, text) == ("mark", "["):
            items = []
            while self._peek() != ("mark", "]"):
                items.append(self._value())
            self._expect("]")
            return items
        if (kind, text) == ("mark", "{"):
            pairs = self._pairs("}")
            self._expect("}")
            return pairs
        raise GraphqlError(f"unexpected {text!r}")

    def _variable(self, name: str) -> Any:
        if name not in self._variables:
            raise GraphqlError(f"variable ${name} is not given")
        return self._variables[name]

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._position] if self._position < len(self._tokens) else ("end", "the end")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._position += 1
        return token

    def _expect(self, mark: str) -> None:
        kind, text = self._next()
        if (kind, text) != ("mark", mark):
            raise GraphqlError(f"expected {mark!r}, found {text!r}")

    def _name(self) -> str:
        kind, text = self._next()
        if kind != "name":
            raise GraphqlError(f"expected a name, found {text!r}")
        return text


def _tokens(query: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while position < len(query):
        match = _TOKEN.match(query, position)
        if match is None:
            raise GraphqlError(f"unexpected {query[position]!r} at {position}")
        if match.lastgroup == "spread":
            raise GraphqlError("fragments are not supported")
        if match.lastgroup is not None:
            tokens.append((match.lastgroup, match[0]))
        position = match.end()
    return tokens
