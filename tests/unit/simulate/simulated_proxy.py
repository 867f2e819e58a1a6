"""Small Envoy configurations for the tests of the simulator, from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_authn_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.path.match.uri_template.v3 import uri_template_match_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from google.protobuf import json_format

from mizzen.simulate import Call, Simulator

_TYPES = {
    name: message.DESCRIPTOR.full_name
    for name, message in {
        "hcm": http_connection_manager_pb2.HttpConnectionManager,
        "tcp": tcp_proxy_pb2.TcpProxy,
        "router": router_pb2.Router,
        "fault": fault_pb2.HTTPFault,
        "cors": cors_pb2.Cors,
        "cors_policy": cors_pb2.CorsPolicy,
        "rbac": rbac_pb2.RBAC,
        "jwt_authn": jwt_authn_pb2.JwtAuthentication,
        "lua": lua_pb2.Lua,
        "upstream_tls": tls_pb2.UpstreamTlsContext,
        "downstream_tls": tls_pb2.DownstreamTlsContext,
        "ext_authz": ext_authz_pb2.ExtAuthz,
        "network_rbac": network_rbac_pb2.RBAC,
        "uri_template": uri_template_match_pb2.UriTemplateMatchConfig,
        "tls_inspector": tls_inspector_pb2.TlsInspector,
        "http_inspector": http_inspector_pb2.HttpInspector,
        "original_dst": original_dst_pb2.OriginalDst,
    }.items()
}


@dataclass
class Configuration:
    """What a proxy is sent."""

    listeners: list[Any] = field(default_factory=list)
    routes: list[Any] = field(default_factory=list)
    clusters: list[Any] = field(default_factory=list)
    endpoints: list[Any] = field(default_factory=list)


def configuration(**texts: str) -> Configuration:
    """Return the messages that lists of YAML describe; `type: hcm` and the like stand for type URLs."""
    messages = {
        "listeners": listener_pb2.Listener,
        "routes": route_pb2.RouteConfiguration,
        "clusters": cluster_pb2.Cluster,
        "endpoints": endpoint_pb2.ClusterLoadAssignment,
    }
    return Configuration(
        **{
            kind: [
                json_format.ParseDict(_with_types(each), messages[kind]()) for each in yaml.safe_load(text)
            ]
            for kind, text in texts.items()
        }
    )


def typed(name: str, kind: str, **config: Any) -> dict[str, Any]:
    """Return a filter as plain data."""
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{_TYPES[kind]}", **config}}


def http(
    routes: str,
    *,
    filters: tuple[str | dict[str, Any], ...] = ("fault", "cors"),
    manager: str = "{}",
    tls: str = "",
) -> Simulator:
    """Return a proxy with one listener on port 80 that reads HTTP; `routes` are the fields of its route
    configuration in YAML, `manager` those of the connection manager, `tls` those of the TLS that it ends.
    `filters` are names, or what `typed` returns."""
    chain: dict[str, Any] = {
        "filters": [
            typed(
                "manager",
                "hcm",
                stat_prefix="test",
                rds={"route_config_name": "80"},
                http_filters=[
                    typed(each, each) if isinstance(each, str) else each for each in (*filters, "router")
                ],
                **yaml.safe_load(manager),
            )
        ]
    }
    if tls:
        chain["transport_socket"] = typed("tls", "downstream_tls", **yaml.safe_load(tls))
    listener = {"name": "http", "address": _address(80), "filter_chains": [chain]}
    found = configuration(
        listeners=yaml.safe_dump([listener]),
        routes=yaml.safe_dump([{"name": "80", **yaml.safe_load(routes)}]),
    )
    return Simulator(found)


def get(path: str = "/", authority: str = "shop.example", **fields: Any) -> Call:
    """Return a request to port 80."""
    headers = tuple(fields.pop("headers", {}).items())
    return Call(port=80, authority=authority, path=path, headers=headers, **fields)


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "0.0.0.0", "port_value": port}}


def _with_types(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: f"type.googleapis.com/{_TYPES[each]}"
            if key == "@type" and each in _TYPES
            else _with_types(each)
            for key, each in value.items()
        }
    return [_with_types(each) for each in value] if isinstance(value, list) else value
