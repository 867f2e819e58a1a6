"""The rules of MeshConfig's extension providers. A broken provider is a warning; requests that a policy sends
to it are denied.

Source: Istio's pilot/pkg/security/authz/builder/extauthz.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from mizzen.config.extension_providers import EnvoyExternalAuthorizationHttpProvider, ExtensionProvider
from mizzen.config.validation.durations import duration_problem
from mizzen.config.validation.header_forms import line_break_problem
from mizzen.config.validation.ports import port_number_problem

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_STATUSES: Final = frozenset(
    {
        100,
        *range(200, 209),
        226,
        *range(300, 306),
        307,
        308,
        *range(400, 418),
        *range(421, 425),
        426,
        428,
        429,
    }
    | {431, *range(500, 509), 510, 511}
)
"""The HTTP statuses that Envoy can send (envoy.type.v3.StatusCode)."""
_HEADER_LISTS: Final = (
    ("includeRequestHeadersInCheck", "include_request_headers_in_check"),
    ("includeHeadersInCheck", "include_headers_in_check"),
    ("headersToUpstreamOnAllow", "headers_to_upstream_on_allow"),
    ("headersToDownstreamOnDeny", "headers_to_downstream_on_deny"),
    ("headersToDownstreamOnAllow", "headers_to_downstream_on_allow"),
)


def provider_problems(provider: ExtensionProvider) -> Mapping[str, str]:
    """Return what is wrong with a provider of external authorization, by field; empty for other providers."""
    return dict(_problems(provider)) if provider.authorizer is not None else {}


def _problems(provider: ExtensionProvider) -> Iterator[tuple[str, str]]:
    authorizer = provider.authorizer
    assert authorizer is not None
    if not _NAME.fullmatch(provider.name):
        yield "name", f'"{provider.name}" is not a name; write at most 63 small letters, digits and inner -'
    if not authorizer.service.rpartition("/")[2]:
        yield "service", "the service is missing; write <hostname> or <namespace>/<hostname>"
    if problem := port_number_problem(authorizer.port):
        yield "port", problem
    if problem := duration_problem(authorizer.timeout):
        yield "timeout", problem
    status = authorizer.status_on_error
    if status and not (status.isascii() and status.isdigit() and int(status) in _STATUSES):
        yield "statusOnError", f'"{status}" is not a status that Envoy can send; write one such as "403"'
    body = authorizer.include_request_body_in_check
    if body is not None and not body.max_request_bytes:
        yield "includeRequestBodyInCheck", "maxRequestBytes is missing; write a number from 1 on"
    if isinstance(authorizer, EnvoyExternalAuthorizationHttpProvider):
        yield from _problems_with_http(authorizer)


def _problems_with_http(authorizer: EnvoyExternalAuthorizationHttpProvider) -> Iterator[tuple[str, str]]:
    if authorizer.path_prefix and not authorizer.path_prefix.startswith("/"):
        yield "pathPrefix", f'"{authorizer.path_prefix}" does not begin with a slash; write one'
    for header, value in authorizer.include_additional_headers_in_check.items():
        problem = line_break_problem(header + value) if header else "a header's name is empty; write one"
        if problem:
            yield "includeAdditionalHeadersInCheck", problem
    for name, attribute in _HEADER_LISTS:
        if "*" in getattr(authorizer, attribute) or "" in getattr(authorizer, attribute):
            yield name, '"*" alone is not possible for headers; write their names, such as x-user or x-*'
