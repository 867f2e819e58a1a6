"""Conditions on requests."""

from __future__ import annotations

from mizzen.config.models import HTTPMatchRequest
from mizzen.config.validation.gateway_names import check_gateway_names
from mizzen.config.validation.header_forms import match_name_problem, parameter_name_problem
from mizzen.config.validation.hosts import dns_label_problem
from mizzen.config.validation.labels import check_labels
from mizzen.config.validation.place import Place
from mizzen.config.validation.ports import port_number_problem
from mizzen.config.validation.regexes import check_string_match


def check_http_match(match: HTTPMatchRequest, place: Place) -> None:
    """Check all conditions of one match."""
    for name, header in match.headers.items():
        here = place / "headers" / name
        here.check(match_name_problem(name))
        check_string_match(header, here)
    for name, header in match.without_headers.items():
        here = place / "withoutHeaders" / name
        here.check(match_name_problem(name))
        if header.regex != "*":
            # `*` is not an expression here: it means that the header is present, with any value.
            check_string_match(header, here)
    if match.uri is not None:
        check_string_match(match.uri, place / "uri", empty_prefix=True)
        if match.uri.prefix is not None and match.uri.prefix.endswith("*"):
            right = match.uri.prefix.rstrip("*")
            (place / "uri" / "prefix").warning(f'the * is a letter of the path here; write "{right}"')
    for field, text in (("scheme", match.scheme), ("method", match.method), ("authority", match.authority)):
        if text is not None:
            check_string_match(text, place / field)
    for name, parameter in match.query_params.items():
        here = place / "queryParams" / name
        here.check(parameter_name_problem(name))
        check_string_match(parameter, here)
    if match.port:
        (place / "port").check(port_number_problem(match.port))
    check_labels(match.source_labels, place / "sourceLabels")
    check_gateway_names(match.gateways, place / "gateways")
    if match.source_namespace:
        (place / "sourceNamespace").check(dns_label_problem(match.source_namespace, "namespace"))
