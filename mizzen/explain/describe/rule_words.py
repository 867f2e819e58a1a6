"""Describes rules in short."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from mizzen.config.models import Destination, HTTPRoute, Server, StringMatch
from mizzen.config.models.base import camel_case
from mizzen.explain.route_words import EVERYTHING, short_host
from mizzen.mesh.rules.virtual_services import HttpRule, TcpRule, TlsRule
from mizzen.mesh.service import Protocol

_NO_CONDITIONS: Final = ("name", "stat_prefix", "ignore_uri_case")
_SINGULAR: Final = {
    "headers": "header",
    "without_headers": "no header",
    "query_params": "query parameter",
    "source_labels": "label of the client",
    "sni_hosts": "SNI",
    "gateways": "gateway",
    "source_namespace": "client of namespace",
    "destination_subnets": "destination",
    "source_subnet": "client in",
}


def rule_words(rule: HttpRule | TlsRule | TcpRule) -> str:
    """Return what a rule of a VirtualService does: `header user = jason goes to reviews.default v2`."""
    route = rule.route
    name = f"{route.name}: " if isinstance(route, HTTPRoute) and route.name else ""
    return f"{name}{_matches(route.match)} {_action(route)}"


def _matches(matches: Iterable[Any]) -> str:
    return " or ".join(_conditions(match) for match in matches) or EVERYTHING


def _conditions(match: Any) -> str:
    given = [name for name in type(match).model_fields if name in match.model_fields_set]
    words = [word for name in given if name not in _NO_CONDITIONS for word in _condition(name, match)]
    return ", ".join(words) or EVERYTHING


def _condition(field: str, match: Any) -> Iterator[str]:
    value, name = getattr(match, field), _SINGULAR.get(field, camel_case(field))
    if isinstance(value, StringMatch):
        yield f"{name} {_text(value)}"
    elif isinstance(value, Mapping):
        for key, one in value.items():
            wanted = _text(one) if isinstance(one, StringMatch) else f"= {one}"
            yield f"{name} {key} {wanted}".rstrip()
    elif isinstance(value, tuple):
        if value:
            yield f"{name} {' or '.join(map(str, value))}"
    elif value:
        yield f"{name} {value}"


def _text(match: StringMatch) -> str:
    if match.exact is not None:
        return f"= {match.exact}"
    if match.prefix is not None:
        return f"prefix {match.prefix}"
    return f"regex {match.regex}" if match.regex is not None else ""


def _action(route: Any) -> str:
    if isinstance(route, HTTPRoute):
        if route.redirect is not None:
            return "is redirected"
        if route.direct_response is not None:
            return f"is answered {route.direct_response.status}"
    members = [each for each in route.route if each.destination is not None]
    shares = (f" (weight {each.weight})" if len(members) > 1 else "" for each in members)
    led = ", ".join(
        f"{_destination(each.destination)}{share}" for each, share in zip(members, shares, strict=True)
    )
    if not isinstance(route, HTTPRoute):
        return f"goes to {led}"
    mirrored = "".join(f", mirrored to {_destination(each)}" for each in _mirrors(route))
    fault = given_words(route.fault)
    return f"goes to {led}{mirrored}" + (f", with a fault ({fault})" if fault else "")


def _mirrors(route: HTTPRoute) -> Iterator[Destination]:
    if route.mirror is not None:
        yield route.mirror
    for each in route.mirrors:
        if each.destination is not None:
            yield each.destination


def _destination(destination: Destination) -> str:
    """Return a Destination: `reviews.default:9080 v2`."""
    port = f":{destination.port.number}" if destination.port is not None else ""
    return f"{short_host(destination.host)}{port}{f' {destination.subset}' if destination.subset else ''}"


def server_words(server: Server) -> str:
    """Return what a server of a Gateway accepts: `SIMPLE TLS`; empty if it serves plain text."""
    if server.tls is None:
        return ""
    if server.port is not None and Protocol.parse(server.port.protocol).is_http:
        return "plain text redirected to HTTPS (301)" if server.tls.https_redirect else ""
    return f"{server.tls.mode} TLS"


def given_words(message: Any | None) -> str:
    """Return the names of the fields that are set in a message: `connectionPool, outlierDetection`."""
    if message is None:
        return ""
    given = (name for name in type(message).model_fields if name in message.model_fields_set)
    return ", ".join(camel_case(name) for name in given)
