"""Regular expressions and string matches in the form that Envoy accepts: the syntax of RE2."""

from __future__ import annotations

from typing import Final

import re2

from mizzen.config.models import StringMatch
from mizzen.config.validation.place import Place

_LONGEST: Final = 1024


def regex_problem(regex: str) -> str | None:
    """`regex` must be an expression that RE2 compiles, of at most 1024 bytes."""
    if not regex:
        return "the regular expression is empty; write one, such as .*"
    if len(regex.encode()) > _LONGEST:
        return f"the regular expression has {len(regex.encode())} bytes; at most {_LONGEST} are possible"
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(regex, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "invalid"
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        return (
            f'"{regex}" is not a regular expression of RE2: {reason}; '
            "see https://github.com/google/re2/wiki/Syntax"
        )
    return None


def check_string_match(match: StringMatch, place: Place, *, empty_prefix: bool = False) -> None:
    """Check a match; a prefix must not be empty, except with `empty_prefix` (paths)."""
    if match.prefix == "" and not empty_prefix:
        (place / "prefix").error("the prefix is empty; write one, or {} if any value will do")
    if match.regex is not None:
        (place / "regex").check(regex_problem(match.regex))
