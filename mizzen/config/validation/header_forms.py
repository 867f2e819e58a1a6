"""Forms of HTTP headers: names in matches, names of changed headers, values with Envoy's commands."""

from __future__ import annotations

import re
from typing import Final

from mizzen.config.validation.command_operators import header_command_problem

_TOKEN: Final = re.compile(r"[-!#$%&'*+.^_`|~A-Za-z0-9]+")
_STRICT_NAME: Final = re.compile(r"[-_A-Za-z0-9]+")
_PROBE_NAME: Final = re.compile(r"[-A-Za-z0-9]+")
_PSEUDO_HEADERS: Final = frozenset({":method", ":scheme", ":authority", ":path", ":status"})
_BREAK: Final = re.compile(r"[\x00\r\n]")
_LONGEST: Final = 16384
_LONGEST_PARAMETER: Final = 1024
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CLAIM: Final = re.compile(r"@request\.auth\.claims(\..+|\[.+\])", re.IGNORECASE | re.DOTALL)


def is_claim(name: str) -> bool:
    """Tell whether the `name` of a header match is a claim of a JWT:
    `@request.auth.claims.sub`, or `...[sub]`."""
    return _CLAIM.fullmatch(name) is not None


def is_authority(name: str) -> bool:
    """Tell whether `name` is the request's authority."""
    return name.lower() in (":authority", "host")


def match_name_problem(name: str) -> str | None:
    """`name` must be the name of a header, a pseudo-header or a claim."""
    if not name:
        return "the header's name is empty; write one"
    if is_claim(name) or name in _PSEUDO_HEADERS or _TOKEN.fullmatch(name):
        return None
    return f'"{name}" is not a header\'s name; write letters, digits and hyphens, such as x-user'


def parameter_name_problem(name: str) -> str | None:
    """`name` must be that of a query parameter: Envoy rejects all routes for an empty or a very long one."""
    if not name:
        return "the parameter's name is empty; write one"
    if len(name.encode()) > _LONGEST_PARAMETER:
        return f"the parameter's name is too long; at most {_LONGEST_PARAMETER} bytes are possible"
    return None


def hashed_name_problem(name: str) -> str | None:
    """`name` must be that of a header or query parameter to hash: Envoy rejects all
    routes for an empty one."""
    if not name:
        return "the name is empty; write one"
    return header_text_problem(name)


def cors_name_problem(name: str) -> str | None:
    """`name` must be the name of a header, or `*`."""
    if name and _TOKEN.fullmatch(name):
        return None
    return f'"{name}" is not a header\'s name; write one such as x-user, or "*"'


def strict_name_problem(name: str) -> str | None:
    """`name` must be the name of a header, made only of letters, digits, `-` and `_`."""
    if not name:
        return "the header's name is empty; write one"
    if _STRICT_NAME.fullmatch(name):
        return None
    return f'"{name}" is not a header\'s name here; write letters, digits, - and _, such as x-user'


def probe_name_problem(name: str) -> str | None:
    """`name` must be the name of a header that a health probe may send."""
    if _PROBE_NAME.fullmatch(name):
        return None
    return f'"{name}" is not a header\'s name; write letters, digits and hyphens'


def line_break_problem(text: str) -> str | None:
    """`text` becomes part of a header: Envoy rejects all routes for a line break or NUL in it."""
    if _BREAK.search(text):
        return "the text has a line break or a NUL character; write it on one line (in YAML without | or >)"
    return None


def header_text_problem(text: str) -> str | None:
    """`text` becomes part of a header that Envoy makes: it must be one line, and not too long."""
    if len(text.encode()) > _LONGEST:
        return f"the text is too long; at most {_LONGEST} bytes are possible"
    return line_break_problem(text)


def operation_name_problem(name: str, *, authority_allowed: bool) -> str | None:
    """`name` must be a header that may be changed: not a pseudo-header; the authority only if allowed."""
    if not name:
        return "the header's name is empty; write one"
    if len(name.encode()) > _LONGEST:
        return f"the header's name is too long; at most {_LONGEST} bytes are possible"
    if problem := line_break_problem(name):
        return problem
    if is_authority(name):
        if authority_allowed:
            return None
        return f'"{name}" cannot be changed here; write rewrite.authority, or set it in headers.request.set'
    if name.startswith(":"):
        return f'"{name}" cannot be changed: it is a pseudo-header; for the path there is rewrite'
    return None


def header_value_problem(value: str) -> str | None:
    """`value` must be text without control characters, and its commands must be known to Envoy.

    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#custom-request-response-headers
    """
    if _CONTROL.search(value):
        return "the value has a control character; write printable text"
    if len(value.encode()) > _LONGEST:
        return f"the value is too long; at most {_LONGEST} bytes are possible"
    problem = header_command_problem(value)
    return f'"{value}" is not well-formed: {problem}' if problem else None
