"""Permissions and principals of Envoy's RBAC as conditions.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/rbac/v3/rbac.proto, Permission and Principal
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from envoy.extensions.path.match.uri_template.v3 import uri_template_match_pb2

from mizzen.simulate.condition import (
    AllOf,
    Condition,
    Demand,
    UndecidedError,
    UnknownSettingError,
    inverted,
    joined,
)
from mizzen.simulate.header_match import header_condition
from mizzen.simulate.metadata_match import metadata_condition
from mizzen.simulate.prefixes import contains
from mizzen.simulate.request import Request
from mizzen.simulate.string_match import described, string_test
from mizzen.simulate.typed_config import unpacked
from mizzen.simulate.uri_template import template_test

_PSEUDO_HEADERS: Final = {"header :method": "method", "header :authority": "host", "header :path": "path"}
_DYNAMIC: Final = 0
_ADDRESSES: Final[dict[str, tuple[str, Callable[[Request], str]]]] = {
    "destination_ip": ("destination address", lambda request: request.connection.address),
    "direct_remote_ip": ("source address", lambda request: request.connection.call.source_address),
    "source_ip": ("source address", lambda request: request.connection.call.source_address),
    "remote_ip": ("remote address", lambda request: request.remote_address),
}


def any_of(rules: Iterable[Any]) -> Demand:
    """Return the demand of a list of permissions or of principals: one of them must match.

    Raises UnknownSettingError.
    """
    return joined(map(_demand, rules))


def _demand(rule: Any) -> Demand:
    kind = rule.WhichOneof("rule" if hasattr(rule, "not_rule") else "identifier")
    value: Any = getattr(rule, kind) if kind else None
    match kind:
        case "any":
            return AllOf()
        case "and_rules" | "and_ids":
            return _all_of(value.rules if kind == "and_rules" else value.ids)
        case "or_rules" | "or_ids":
            return any_of(value.rules if kind == "or_rules" else value.ids)
        case "not_rule" | "not_id":
            return inverted(_demand(value))
    condition = _condition(kind, value)
    if condition is None:
        raise UnknownSettingError(kind)
    return condition


def _all_of(rules: Iterable[Any]) -> Demand:
    parts: list[Demand] = []
    for demand in map(_demand, rules):
        parts.extend(demand.parts if isinstance(demand, AllOf) else (demand,))
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _condition(kind: str | None, value: Any) -> Condition | None:
    match kind:
        case "header":
            return _header(value)
        case "url_path":
            return _path(described(value.path), string_test(value.path))
        case "uri_template":
            config = unpacked(value.typed_config, uri_template_match_pb2.UriTemplateMatchConfig)
            if config is None:
                return None
            return _path(f"template {config.path_template}", template_test(config.path_template))
        case "destination_port":
            return _port(str(value), lambda port: port == value)
        case "destination_port_range":
            return _port(f"{value.start} to below {value.end}", lambda port: value.start <= port < value.end)
        case "requested_server_name":
            return _server_name(value)
        case "authenticated":
            return _principal(value)
        case "metadata":
            return metadata_condition(value)
        case "sourced_metadata" if value.metadata_source == _DYNAMIC:
            return metadata_condition(value.metadata_matcher)
    return _address(kind, value) if kind in _ADDRESSES else None


def _header(matcher: Any) -> Condition:
    made = header_condition(matcher)
    return Condition(_PSEUDO_HEADERS.get(made.name, made.name), made.wanted, made.found, made.holds)


def _path(wanted: str, test: Callable[[str], bool]) -> Condition:
    # A connection without a request has no path, so no pattern matches.
    return Condition(
        "path",
        wanted,
        lambda request: request.path or "none",
        lambda request: bool(request.path) and test(request.path),
    )


def _port(wanted: str, test: Callable[[int], bool]) -> Condition:
    return Condition(
        "destination port",
        wanted,
        lambda request: str(request.connection.port),
        lambda request: test(request.connection.port),
    )


def _address(kind: str, value: Any) -> Condition:
    name, find = _ADDRESSES[kind]
    ranges = [(str(value.address_prefix), int(value.prefix_len.value))]
    wanted = f"{value.address_prefix}/{value.prefix_len.value}"
    return Condition(name, wanted, find, lambda request: contains(ranges, find(request)))


def _server_name(matcher: Any) -> Condition:
    test = string_test(matcher)
    return Condition(
        "server name",
        described(matcher),
        lambda request: request.connection.server_name or "none",
        lambda request: test(request.connection.server_name),
    )


def _principal(authenticated: Any) -> Condition:
    """Return the condition on the name in the client's certificate; without a wanted
    name, any client with TLS fulfils it."""
    if not authenticated.HasField("principal_name"):
        return Condition("principal", "any client with TLS", _principal_found, _speaks_tls)
    matcher = authenticated.principal_name
    test = string_test(matcher)

    def holds(request: Request) -> bool:
        return request.connection.encrypted and any(map(test, _names(request)))

    return Condition("principal", described(matcher), _principal_found, holds)


def _speaks_tls(request: Request) -> bool:
    return request.connection.encrypted


def _names(request: Request) -> tuple[str, ...]:
    """Return the names of the client. Without a certificate there is one name, which
    is empty, as its subject."""
    tls = request.connection.call.tls
    if tls is None or not request.connection.shows_certificate:
        return ("",)
    if not tls.names:
        raise UndecidedError("the names in the client's certificate are not known")
    return tls.names


def _principal_found(request: Request) -> str:
    if not request.connection.encrypted:
        return "a connection in plain text"
    return ", ".join(_names(request)) or "no certificate"
