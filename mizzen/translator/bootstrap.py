"""The bootstrap of an Envoy: its node, the address of its control plane, and its statistics.

Sources: envoy.config.bootstrap.v3; the bootstrap template of Istio's agent (tools/packaging/common).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, config_source_pb2, grpc_service_pb2
from envoy.config.overload.v3 import overload_pb2
from envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import json_format

from mizzen.mesh.proxy.node import Proxy
from mizzen.translator.base.config_sources import AGENT_CLUSTER
from mizzen.translator.base.stats import StatsPreset, apply_stats_preset
from mizzen.translator.base.typed_config import pack, typed
from mizzen.translator.clusters.upstream_protocol import HTTP_PROTOCOL_OPTIONS

XDS_CLUSTER = "xds-grpc"
"""The static cluster of the control plane; Istio's name."""

UNLIMITED_CONNECTIONS = 2**31 - 1

_RE2_MAX_PROGRAM_SIZE = 32768


class BootstrapError(ValueError):
    """A wrong argument; the message says which one, and what would be right."""


@dataclass(frozen=True, slots=True)
class XdsTls:
    """TLS towards the control plane, by files on the proxy's machine.

    `ca_file` holds the roots. `certificate_file` and `key_file` hold the proxy's own certificate, if the
    control plane requires one. `server_name` is the name in the control plane's certificate; empty means the
    host of its address.
    """

    ca_file: str
    certificate_file: str = ""
    key_file: str = ""
    server_name: str = ""


def bootstrap(
    *,
    node: Mapping[str, Any],
    xds_address: str = "127.0.0.1:15010",
    admin_address: str = "127.0.0.1:15000",
    delta: bool = True,
    stats: StatsPreset = "lean",
    xds_tls: XdsTls | None = None,
    max_connections: int = UNLIMITED_CONNECTIONS,
    agent_socket: str = "",
) -> dict[str, Any]:
    """Return a bootstrap as plain data (field names of the .proto files), ready for JSON or YAML.

    `node` is the JSON form of Envoy's Node: id, cluster, metadata, locality. Addresses are `host:port` or
    `unix:///path`; Envoy resolves host names again and again. `delta` chooses the incremental variant of the
    protocol. The number of worker threads is set by `envoy --concurrency` instead.

    `agent_socket` is the Unix socket of an agent, which serves the proxy's own certificate and forwards the
    stream to the control plane. It replaces `xds_address`.

    Raises NodeError for a node that the control plane would refuse, and BootstrapError for all other wrong
    arguments.
    """
    proxy = Proxy.from_node(node)
    message = bootstrap_pb2.Bootstrap()
    try:
        json_format.ParseDict(dict(node), message.node)
    except json_format.ParseError as error:
        raise BootstrapError(f"node: {error}") from None
    message.node.cluster = message.node.cluster or proxy.id
    _set_admin(message.admin, admin_address)
    if agent_socket:
        xds_address = f"unix://{agent_socket}"
        message.node.metadata["SDS_AGENT"] = "true"
        agent = _xds_cluster(xds_address, None)
        agent.name = agent.load_assignment.cluster_name = AGENT_CLUSTER
        message.static_resources.clusters.append(agent)
    message.static_resources.clusters.append(_xds_cluster(xds_address, xds_tls))
    _set_dynamic_resources(message.dynamic_resources, delta=delta)
    _set_runtime(message)
    message.overload_manager.CopyFrom(_overload_manager(max_connections))
    apply_stats_preset(message, stats)
    fields: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return fields


def bootstrap_json(**arguments: Any) -> str:
    """Return what `bootstrap` returns, as JSON text."""
    return json.dumps(bootstrap(**arguments), indent=2)


def _address(text: str, what: str) -> address_pb2.Address:
    if text.startswith("unix://"):
        return address_pb2.Address(pipe=address_pb2.Pipe(path=text.removeprefix("unix://")))
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise BootstrapError(f'{what} "{text}" is not an address; write host:port or unix:///path')
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=host, port_value=int(port)))


def _set_admin(admin: Any, text: str) -> None:
    """Set the admin server: without access log, and reachable even when the limit of connections is used
    up."""
    address = _address(text, "the admin address")
    if address.HasField("socket_address") and not _is_ip(address.socket_address.address):
        raise BootstrapError(f'the admin address "{text}" must begin with an IP address, such as 127.0.0.1')
    admin.address.CopyFrom(address)
    admin.ignore_global_conn_limit = True


def _set_dynamic_resources(resources: Any, *, delta: bool) -> None:
    api = config_source_pb2.ApiConfigSource
    ads = resources.ads_config
    ads.api_type = api.DELTA_GRPC if delta else api.GRPC
    ads.transport_api_version = config_source_pb2.ApiVersion.V3
    ads.set_node_on_first_message_only = True
    service = grpc_service_pb2.GrpcService(
        envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=XDS_CLUSTER)
    )
    backoff = service.envoy_grpc.retry_policy.retry_back_off
    backoff.base_interval.nanos = 250_000_000
    backoff.max_interval.seconds = 5
    ads.grpc_services.append(service)
    for source in (resources.cds_config, resources.lds_config):
        source.ads.SetInParent()
        source.resource_api_version = config_source_pb2.ApiVersion.V3
        # No timeout: a proxy without any configuration must not become ready.
        source.initial_fetch_timeout.seconds = 0


def _xds_cluster(xds_address: str, tls: XdsTls | None) -> cluster_pb2.Cluster:
    address = _address(xds_address, "the control plane's address")
    named = address.HasField("socket_address") and not _is_ip(address.socket_address.address)
    cluster = cluster_pb2.Cluster(
        name=XDS_CLUSTER, type=cluster_pb2.Cluster.STRICT_DNS if named else cluster_pb2.Cluster.STATIC
    )
    if named:
        # By default, Envoy uses only the IPv6 addresses of a name that has both families, such as localhost.
        # But a control plane often listens on IPv4 only. With ALL, Envoy tries both in turn.
        cluster.dns_lookup_family = cluster_pb2.Cluster.ALL
    cluster.connect_timeout.seconds = 2
    assignment = cluster.load_assignment
    assignment.cluster_name = XDS_CLUSTER
    assignment.endpoints.add().lb_endpoints.add().endpoint.address.CopyFrom(address)
    options = http_protocol_options_pb2.HttpProtocolOptions()
    # Envoy notices within 35 seconds if the control plane disappears without closing the connection.
    keepalive = options.explicit_http_config.http2_protocol_options.connection_keepalive
    keepalive.interval.seconds = 30
    keepalive.timeout.seconds = 5
    cluster.typed_extension_protocol_options[HTTP_PROTOCOL_OPTIONS].CopyFrom(pack(options))
    cluster.upstream_connection_options.tcp_keepalive.keepalive_time.value = 300
    if tls is not None:
        host = address.socket_address.address if named else ""
        cluster.transport_socket.name = "envoy.transport_sockets.tls"
        cluster.transport_socket.typed_config.CopyFrom(pack(_xds_tls_context(tls, host)))
    return cluster


def _xds_tls_context(tls: XdsTls, host: str) -> tls_pb2.UpstreamTlsContext:
    if not tls.ca_file:
        raise BootstrapError("TLS to the control plane needs the file of the roots that it is verified by")
    if bool(tls.certificate_file) != bool(tls.key_file):
        raise BootstrapError("the proxy's certificate needs both its files, the certificate's and the key's")
    name = tls.server_name or host
    context = tls_pb2.UpstreamTlsContext(sni=name)
    shared = context.common_tls_context
    shared.alpn_protocols.append("h2")
    validation = shared.validation_context
    validation.trusted_ca.filename = tls.ca_file
    if name:
        matcher = validation.match_typed_subject_alt_names.add()
        matcher.san_type = matcher.DNS
        matcher.matcher.exact = name
    if tls.certificate_file:
        certificate = shared.tls_certificates.add()
        certificate.certificate_chain.filename = tls.certificate_file
        certificate.private_key.filename = tls.key_file
    return context


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _set_runtime(message: bootstrap_pb2.Bootstrap) -> None:
    layer = message.layered_runtime.layers.add(name="static")
    # By default, Envoy rejects regular expressions of more than 100 instructions.
    layer.static_layer.fields["re2.max_program_size.error_level"].number_value = _RE2_MAX_PROGRAM_SIZE
    message.layered_runtime.layers.add(name="admin").admin_layer.SetInParent()


def _overload_manager(max_connections: int) -> overload_pb2.OverloadManager:
    """Return the limit of client connections. Without an explicit limit, Envoy warns at every start."""
    monitor = downstream_connections_pb2.DownstreamConnectionsConfig(
        max_active_downstream_connections=max_connections
    )
    return overload_pb2.OverloadManager(
        resource_monitors=[
            typed(
                overload_pb2.ResourceMonitor,
                "envoy.resource_monitors.global_downstream_max_connections",
                monitor,
            )
        ]
    )
