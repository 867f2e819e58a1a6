"""Cross-origin resource sharing."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from mizzen.config.models import CorsPolicy
from mizzen.config.validation.durations import duration_problem
from mizzen.config.validation.header_forms import cors_name_problem
from mizzen.config.validation.place import Place
from mizzen.config.validation.regexes import regex_problem

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*")


def check_cors(policy: CorsPolicy, place: Place) -> None:
    """Check a policy."""
    for index, origin in enumerate(policy.allow_origins):
        here = place / "allowOrigins" / index
        if not (origin.exact or origin.prefix or origin.regex):
            here.error('the origin is empty; write exact, prefix or regex, such as exact: "*"')
        elif origin.regex is not None:
            (here / "regex").check(regex_problem(origin.regex))
    for index, method in enumerate(policy.allow_methods):
        if method not in _METHODS:
            (place / "allowMethods" / index).error(
                f'"{method}" is not a method of HTTP; write one of {", ".join(_METHODS)}'
            )
    for field, names in (("allowHeaders", policy.allow_headers), ("exposeHeaders", policy.expose_headers)):
        for index, name in enumerate(names):
            (place / field / index).check(cors_name_problem(name))
    if policy.max_age is not None:
        here = place / "maxAge"
        if here.check(duration_problem(policy.max_age)) and policy.max_age % timedelta(seconds=1):
            here.error("browsers take whole seconds; write a whole number of them, such as 10s")
