"""Forms of the values in rules of an AuthorizationPolicy."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from mizzen.config.authorization_attributes import Attribute, AttributeKind, is_path_template
from mizzen.config.validation.addresses import ip_subnet_problem
from mizzen.config.validation.place import Place

_SCHEME: Final = "spiffe://"
_MOST_SERVICE_ACCOUNTS: Final = 16
_LONGEST_SERVICE_ACCOUNT: Final = 320
_LAST_PORT: Final = 65535
_TEMPLATE_ONE: Final = "{*}"
_TEMPLATE_ANY: Final = "{**}"
_METHODS: Final = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"))
_PATH_CHARACTERS: Final = re.compile(r"[a-zA-Z0-9\-._~%!$&'()+,;:@=]+")

Problem = Callable[[str], str | None]


def check_values(values: Sequence[str], place: Place, problem: Problem | None = None) -> None:
    """Check a list of values at `place`: none is empty, and `problem` finds nothing wrong."""
    for index, value in enumerate(values):
        here = place / index
        if not value:
            here.error("the value is empty; write one, or leave it out")
        elif problem is not None:
            here.check(problem(value))


def check_principals(
    values: Sequence[str], not_values: Sequence[str], place: Place, field: str, not_field: str
) -> None:
    """Check the values that are compared with the client's identity: its SPIFFE ID without the scheme. No
    client matches a value with the scheme, so a rule that wants it never holds, and one that excludes it
    always does."""
    for name, given, effect in (
        (field, values, "no client matches it"),
        (not_field, not_values, "it excludes no client"),
    ):
        for index, value in enumerate(given):
            scheme, found, identity = value.partition(_SCHEME)
            if found:
                right = f"{scheme}{identity}" if identity else "*"
                (place / name / index).warning(
                    f'principals are written without {_SCHEME}, so {effect}; write "{right}"'
                )


def check_methods(values: Sequence[str], place: Place, effect: str) -> None:
    """Warn of methods that are not in capitals; `effect` says what that leads to. A method that HTTP does not
    define may be written in any way."""
    for index, value in enumerate(values):
        right = value.upper()
        if value != right and right.strip("*") in _METHODS:
            (place / index).warning(f'requests have their method in capitals, so {effect}; write "{right}"')


def check_paths(values: Sequence[str], place: Place, effect: str) -> None:
    """Warn of paths that begin in a way in which no request's path does; `effect` says what that leads to. A
    template that does so is an error (`path_problem`)."""
    for index, value in enumerate(values):
        if value and value[0] not in "/*" and not is_path_template(value):
            (place / index).warning(f'paths of requests begin with a slash, so {effect}; write "/{value}"')


def check_service_accounts(values: Sequence[str], place: Place) -> None:
    """Check service accounts: each is `name` or `namespace/name`, and the list is not too long."""
    if len(values) > _MOST_SERVICE_ACCOUNTS:
        place.error(f"there are too many service accounts; at most {_MOST_SERVICE_ACCOUNTS} are possible")
    check_values(values, place, _service_account_problem)


def _service_account_problem(value: str) -> str | None:
    if "*" in value:
        return f'"{value}" has a wildcard, which service accounts may not have; write the whole name'
    if len(value) > _LONGEST_SERVICE_ACCOUNT:
        return f"the service account is too long; at most {_LONGEST_SERVICE_ACCOUNT} characters are possible"
    parts = value.split("/")
    if len(parts) > 2 or not all(parts):
        return f'"{value}" is not a service account; write <name> or <namespace>/<name>'
    return None


def wildcard_problem(value: str) -> str | None:
    """`value` may have one `*`, at its beginning or its end."""
    if value.count("*") > 1 or "*" in value[1:-1]:
        return f'"{value}" has a wildcard in a wrong place; write one * at the beginning or at the end'
    return None


def trust_domain_problem(value: str) -> str | None:
    """`value` must be a trust domain; one `*` may stand at its beginning or its end."""
    if "/" in value:
        return f'"{value}" is not a trust domain; write its name alone, such as cluster.local'
    return wildcard_problem(value)


def port_text_problem(value: str) -> str | None:
    """`value` must be a port's number, written as text."""
    if value.isascii() and value.isdigit() and int(value) <= _LAST_PORT:
        return None
    return f'"{value}" is not a port number; write "1" to "{_LAST_PORT}"'


def path_problem(path: str) -> str | None:
    """`path` may contain `{*}` for one segment and, after all of these, `{**}` for any number of segments."""
    segments = path.strip("/").split("/")
    template = is_path_template(path)
    for index, segment in enumerate(segments):
        if segment in (_TEMPLATE_ONE, _TEMPLATE_ANY):
            if _TEMPLATE_ANY in segments[:index]:
                return f'"{path}" has {segment} behind {{**}}; write {{**}} as the last of them'
        elif "{" in segment or "}" in segment:
            return f'"{path}" has braces that stand for nothing; write {{*}} or {{**}} as a whole segment'
        elif template and not _PATH_CHARACTERS.fullmatch(segment):
            return f'"{path}" has the segment "{segment}", which a template cannot have; write plain text'
    if template and not path.startswith("/"):
        return f'"{path}" does not begin with a slash; write "/{path}"'
    return None


def check_attribute_values(attribute: Attribute, values: Sequence[str], place: Place) -> None:
    """Check the values that a condition compares `attribute` with."""
    match attribute.kind:
        case AttributeKind.SOURCE_IP | AttributeKind.REMOTE_IP | AttributeKind.DESTINATION_IP:
            check_values(values, place, ip_subnet_problem)
        case AttributeKind.DESTINATION_PORT:
            check_values(values, place, port_text_problem)
        case AttributeKind.SOURCE_SERVICE_ACCOUNT:
            check_service_accounts(values, place)
        case AttributeKind.SOURCE_TRUST_DOMAIN:
            check_values(values, place, wildcard_problem)
        case _:
            check_values(values, place)
