"""Plain YAML scalars, read as Kubernetes and istiod read them.

Both read YAML 1.1 through go-yaml 2 and turn it into JSON (sigs.k8s.io/yaml), which differs from PyYAML: `y`
and `n` are booleans, `1:30` is a string and not ninety, `1e3` is a number, and dates stay strings.
"""

from __future__ import annotations

import math
import re
from typing import Final

Scalar = str | int | float | bool | None

_WORDS: Final[dict[str, bool | float | None]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
"""What words mean that stand for no text where they are not quoted."""

_NUMBER_START: Final = frozenset("+-.0123456789")
_INTEGER: Final = re.compile(r"[-+]?(?:0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+|[0-9]+)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INT64_DIGITS: Final = 70
"""More digits than any 64-bit integer has, in any base; such a number is a float, as in Go."""


def resolve_plain(text: str) -> Scalar:
    """Return the value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    digits = text.replace("_", "")
    if len(digits) <= _INT64_DIGITS and _INTEGER.fullmatch(digits):
        number = _integer(digits)
        if number is not None and -(2**63) <= number < 2**64:
            return number
    if _FLOAT.fullmatch(digits):
        value = float(digits)
        return value if math.isfinite(value) else text
    return text


def _integer(digits: str) -> int | None:
    """Read an integer as Go's strconv.ParseInt does with base 0: a leading zero means octal."""
    sign = -1 if digits[0] == "-" else 1
    magnitude = digits.lstrip("+-")
    base = {"0b": 2, "0o": 8, "0x": 16}.get(magnitude[:2], 0)
    if not base:
        base = 8 if len(magnitude) > 1 and magnitude[0] == "0" else 10
    try:
        return sign * int(magnitude, base)
    except ValueError:  # 089: leading zero, but not an octal number
        return None


def as_key(value: Scalar) -> str | None:
    """Return the JSON key for a resolved scalar; None if it cannot be a key (null)."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def describe(value: object) -> str:
    """Name a value as a user would see it, for messages: `the integer 1`, `a list`."""
    match value:
        case None:
            return "null"
        case bool():
            return f"the boolean {'true' if value else 'false'}"
        case int():
            return f"the integer {value}"
        case float():
            return f"the number {value}"
        case str():
            return f'"{shortened(value)}"'
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def shortened(text: str, limit: int = 60) -> str:
    """Return `text`, cut so that a message stays readable."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
