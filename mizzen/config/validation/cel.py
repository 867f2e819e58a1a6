"""Whether Envoy accepts an expression of the Common Expression Language, as in `%CEL(request.path)%`.

Envoy rejects all routes for an expression that it cannot read, or that calls an unknown function. This module
reads the grammar and the standard functions that Envoy offers. Syntax that it does not know, such as maps and
escapes in strings, passes, as it may be right. https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<number>\d+\.\d+(?:[eE][-+]?\d{1,2})?|\d{1,18}u?)
    |(?P<text>"[^"\\\n\r]*"|'[^'\\\n\r]*')
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]]))""",
    re.VERBOSE | re.ASCII,
)
_COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=", "in")
_LEVELS: Final = (("||",), ("&&",), _COMPARISONS, ("+", "-"), ("*", "/", "%"))
_RESERVED: Final = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let", "loop"}
    | {"package", "namespace", "return", "var", "void", "while"}
)
_UNREAD: Final = re.compile(r"""[{}\\]|\"{3}|'{3}|\b[rRbB]{1,2}["']|\b0[xX]|[0-9][eE]|(?<![0-9])\.[0-9]""")
_FUNCTIONS: Final = {"size": 1}
_METHODS: Final = {"size": 0, "contains": 1, "startsWith": 1, "endsWith": 1}
_OF_ANY_COUNT: Final = frozenset(
    {"has", "int", "uint", "double", "bytes", "bool", "type", "dyn", "timestamp", "duration", "matches"}
    | {"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"}
    | {"getHours", "getMinutes", "getSeconds", "getMilliseconds"}
)
"""Functions whose arguments are not checked."""
_DEEPEST: Final = 20


class _WrongError(Exception):
    pass


def cel_problem(expression: str) -> str | None:
    """Return what is wrong with an expression, beginning with a verb; None if Envoy accepts it."""
    if _UNREAD.search(expression):
        return None
    try:
        _Reader(_tokens(expression)).whole()
    except _WrongError as wrong:
        return str(wrong)
    return None


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position = 0
    text = expression.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _WrongError(f"has an expression that cannot be read at character {position + 1}")
        tokens.append((found.lastgroup or "", found[found.lastgroup or 0]))
        position = found.end()
    return tokens


class _Reader:
    """Reads tokens by recursive descent; raises _WrongError at the first that is not
    allowed where it stands."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> None:
        self._expression()
        if self._at < len(self._tokens):
            raise self._unexpected()

    def _unexpected(self) -> _WrongError:
        if self._at >= len(self._tokens):
            return _WrongError("has an expression that is not finished")
        return _WrongError(
            f'has an expression in which "{self._tokens[self._at][1]}" cannot stand where it does'
        )

    def _take(self, *signs: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] in [
            ("name" if each.isalpha() else "sign", each) for each in signs
        ]:
            self._at += 1
            return True
        return False

    def _demand(self, sign: str) -> None:
        if not self._take(sign):
            raise self._unexpected()

    def _expression(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _WrongError("has an expression that nests too deep")
        self._level(0)
        if self._take("?"):
            self._level(0)
            self._demand(":")
            self._expression()
        self._depth -= 1

    def _level(self, number: int) -> None:
        if number == len(_LEVELS):
            self._unary()
            return
        self._level(number + 1)
        while self._take(*_LEVELS[number]):
            self._level(number + 1)

    def _unary(self) -> None:
        while self._take("!", "-"):
            pass
        self._primary()
        while True:
            if self._take("["):
                self._expression()
                self._demand("]")
            elif self._take("."):
                name = self._name()
                if self._take("("):
                    self._arguments(name, _METHODS)
            else:
                return

    def _primary(self) -> None:
        kind = self._tokens[self._at][0] if self._at < len(self._tokens) else ""
        if kind in ("number", "text"):
            self._at += 1
        elif kind == "name":
            name = self._name()
            if self._take("("):
                self._arguments(name, _FUNCTIONS)
        elif self._take("["):
            self._list()
        elif self._take("."):
            self._primary()
        else:
            self._demand("(")
            self._expression()
            self._demand(")")

    def _list(self) -> None:
        while not self._take("]"):
            self._expression()
            if not self._take(","):
                self._demand("]")
                return

    def _name(self) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != "name":
            raise self._unexpected()
        name = self._tokens[self._at][1]
        if name in _RESERVED:
            raise self._unexpected()
        self._at += 1
        return name

    def _arguments(self, name: str, known: dict[str, int]) -> None:
        count = 0
        if not self._take(")"):
            self._expression()
            count = 1
            while self._take(","):
                self._expression()
                count += 1
            self._demand(")")
        if name not in _OF_ANY_COUNT and known.get(name) != count:
            raise _WrongError(f"calls {name} with {count} arguments, which Envoy does not offer")
