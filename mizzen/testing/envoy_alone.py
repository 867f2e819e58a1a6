"""One real Envoy with the resources of a proxy and nothing else, for calls that are also simulated.

Nothing is captured here: the PROXY protocol carries the original destination instead of iptables, and every
cluster with endpoints leads to one server in the test. Envoy's access logs show what it chose.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import httpx
from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2 as core_address_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from google.protobuf import json_format

import mizzen
from mizzen.demo.envoy_process import EnvoyProcess
from mizzen.simulate import Call, Capture
from mizzen.simulate.secrets import missing_secrets
from mizzen.simulate.upstream_tls import upstream_context
from mizzen.testing import ports
from mizzen.testing.raw_requests import Answer, read, request

_Manager = http_connection_manager_pb2.HttpConnectionManager
_SECONDS = 30.0
_PROXY_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIELDS = {
    "call": "%REQ(X-CALL)%",
    "source_port": "%DOWNSTREAM_REMOTE_PORT%",
    "source": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "chain": "%FILTER_CHAIN_NAME%",
    "route": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "termination": "%CONNECTION_TERMINATION_DETAILS%",
    "location": "%RESP(LOCATION)%",
    "authority": "%REQ(:AUTHORITY)%",
    "target": "%REQ(:PATH)%",
    "upstream": "%UPSTREAM_HOST%",
    "handshake": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
}


class EnvoyAlone:
    """A running Envoy. Captured calls enter at the listeners that iptables would redirect to."""

    def __init__(
        self,
        process: EnvoyProcess,
        places: dict[tuple[str, int], int],
        unbound: Set[tuple[str, int]],
        log: Path,
        certificates: Mapping[str, Path],
    ) -> None:
        self._process = process
        self._places = places
        self._unbound = unbound
        self._log = log
        self._certificates = certificates

    @classmethod
    async def start(
        cls,
        resources: mizzen.Resources,
        upstream: int,
        directory: Path,
        certificates: Mapping[str, Path] | None = None,
    ) -> Self:
        """Start an Envoy with these resources; it forwards everything to 127.0.0.1 at port `upstream`.
        `certificates` are PEM files for clients, by the name in them."""
        admin = ports.free_port()
        log = directory / "calls.log"
        message = bootstrap_pb2.Bootstrap()
        message.node.id = message.node.cluster = "alone"
        message.admin.address.socket_address.address = "127.0.0.1"
        message.admin.address.socket_address.port_value = admin
        routes = {route.name: route for route in resources.routes}
        assigned = {each.cluster_name for each in resources.endpoints if _has_endpoints(each)}
        places: dict[tuple[str, int], int] = {}
        unbound: set[tuple[str, int]] = set()
        message.static_resources.secrets.extend(resources.secrets)
        known = frozenset(each.name for each in message.static_resources.secrets)
        for listener in resources.listeners:
            made_listener = _alone(listener, routes, log, known)
            if made_listener is not None:
                if not _rebind(made_listener, places):
                    socket_address = made_listener.address.socket_address
                    unbound.add((socket_address.address, socket_address.port_value))
                message.static_resources.listeners.append(made_listener)
        restores = ("outbound", 0) in places or ("inbound", 0) in places
        for cluster in resources.clusters:
            made = _cluster(cluster, assigned, upstream, restores=restores)
            if missing_secrets(upstream_context(cluster, None), lambda name, _: name in known):
                # Envoy connects to no endpoint of such a cluster, and the request gets 503 too.
                made.load_assignment.ClearField("endpoints")
            message.static_resources.clusters.append(made)
        text = json_format.MessageToJson(message, preserving_proto_field_name=True)
        address = f"127.0.0.1:{admin}"
        process = await EnvoyProcess.start("alone", text, admin=address, directory=directory)
        async with httpx.AsyncClient(trust_env=False) as client:
            await process.wait_ready(client)
        return cls(process, places, unbound, log, certificates or {})

    async def stop(self) -> None:
        """Stop the Envoy."""
        await self._process.stop()

    async def logged(self) -> list[dict[str, Any]]:
        """Return everything that Envoy has logged, one entry for each request and for each connection."""
        async with httpx.AsyncClient(trust_env=False) as client:
            # Envoy writes its buffered entries before it reopens the file.
            (await client.post(f"http://{self._process.admin}/reopen_logs")).raise_for_status()
        text = self._log.read_text(encoding="utf-8") if self._log.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    def listens(self, call: Call) -> bool:
        """True if there is a socket for the call."""
        return self._port(call) != 0

    def as_it_can_be_made(self, call: Call) -> Call:
        """Return the call as the accepting listener gets it. A captured call is handed over by its address;
        a listener that is bound to an address has a different one here, and is called there."""
        if call.capture is not Capture.OUTBOUND or (call.address, call.port) in self._unbound:
            return call
        straight = replace(call, capture=Capture.NONE)
        return straight if self.listens(straight) else call

    def _port(self, call: Call) -> int:
        if call.capture is not Capture.NONE:
            return self._places[(call.capture.value, 0)]
        everywhere = ("0.0.0.0", call.port)  # noqa: S104 (what a listener is looked up by)
        return self._places.get((call.address, call.port)) or self._places.get(everywhere, 0)

    def call(self, call: Call, number: int) -> Answer:
        """Make the call. A request has the number in `x-call`; a captured connection has it as its source
        port, every other comes from `source_of(number)`."""
        port = self._port(call)
        answer = Answer()
        with socket.create_connection(
            ("127.0.0.1", port), timeout=_SECONDS, source_address=(source_of(number), 0)
        ) as plain:
            if call.capture is not Capture.NONE:
                plain.sendall(_proxy_header(call, number))
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                connection = self._over_tls(plain, call) if call.tls is not None else plain
                with connection:
                    connection.settimeout(_SECONDS)
                    connection.sendall(request(call, number))
                    read(connection, call, answer)
            return answer

    def _over_tls(self, plain: socket.socket, call: Call) -> ssl.SSLSocket:
        assert call.tls is not None
        # The default context would read the machine's authorities for each call.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        for name in call.tls.names[:1]:
            context.load_cert_chain(self._certificates[name])
        if call.tls.application_protocols:
            context.set_alpn_protocols(list(call.tls.application_protocols))
        return context.wrap_socket(plain, server_hostname=call.tls.server_name or None)


def source_of(number: int) -> str:
    """Return the source address of a call that is not captured."""
    return f"127.1.{number >> 8}.{number & 255}"


def _proxy_header(call: Call, number: int) -> bytes:
    """Return the header of the PROXY protocol, version 2, for TCP."""
    destination = ip_address(call.address)
    source = ip_address(call.source_address)
    if source.version != destination.version:
        source = ip_address("fd00::9" if destination.version == 6 else "192.0.2.1")
    family = 0x11 if destination.version == 4 else 0x21
    body = source.packed + destination.packed + struct.pack("!HH", number, call.port)
    return _PROXY_SIGNATURE + struct.pack("!BBH", 0x21, family, len(body)) + body


def _has_endpoints(assignment: Any) -> bool:
    return any(locality.lb_endpoints for locality in assignment.endpoints)


def _cluster(cluster: Any, assigned: set[str], upstream: int, *, restores: bool) -> cluster_pb2.Cluster:
    """Return a cluster that leads to the test, unless it leads nowhere: the original destination is known
    only if a listener `restores` it."""
    made = cluster_pb2.Cluster(name=cluster.name, type=cluster_pb2.Cluster.STATIC)
    made.connect_timeout.seconds = 5
    made.load_assignment.cluster_name = cluster.name
    original = cluster.type == cluster_pb2.Cluster.ORIGINAL_DST and not cluster.HasField("cluster_type")
    generated = restores if original else cluster.HasField("cluster_type")
    name = cluster.eds_cluster_config.service_name or cluster.name
    if generated or name in assigned or _has_endpoints(cluster.load_assignment):
        endpoint = made.load_assignment.endpoints.add().lb_endpoints.add().endpoint
        endpoint.address.socket_address.address = "127.0.0.1"
        endpoint.address.socket_address.port_value = upstream
    return made


def _alone(
    listener: Any, routes: dict[str, Any], log: Path, secrets: frozenset[str]
) -> listener_pb2.Listener | None:
    """Return a listener that needs no control plane, None if it accepts no TCP."""
    if listener.address.socket_address.protocol == core_address_pb2.SocketAddress.UDP:
        return None
    made = listener_pb2.Listener()
    made.CopyFrom(listener)
    del made.access_log[:]
    made.access_log.append(_access_log(log, made.name, "connection"))
    for chain in made.filter_chains:
        _without_control_plane(chain, routes, log, made.name, secrets)
    if made.HasField("default_filter_chain"):
        _without_control_plane(made.default_filter_chain, routes, log, made.name, secrets)
    return made


def _rebind(listener: Any, places: dict[tuple[str, int], int]) -> bool:
    """Move the listener to a free port, and return True, if it listens at all; if it restores destinations,
    let it take them from the PROXY protocol."""
    if listener.HasField("bind_to_port") and not listener.bind_to_port.value:
        return False
    socket_address = listener.address.socket_address
    port = ports.free_port()
    kinds = [each for each in listener.listener_filters if each.name == "envoy.filters.listener.original_dst"]
    if listener.use_original_dst.value or kinds:
        others = [each for each in listener.listener_filters if each not in kinds]
        del listener.listener_filters[:]
        first = listener_components_pb2.ListenerFilter(name="envoy.filters.listener.proxy_protocol")
        first.typed_config.Pack(proxy_protocol_pb2.ProxyProtocol())
        listener.listener_filters.extend([first, *others])
        places[("outbound" if listener.traffic_direction == 2 else "inbound", 0)] = port
    else:
        places[(socket_address.address, socket_address.port_value)] = port
        for chain in listener.filter_chains:
            if chain.filter_chain_match.destination_port.value == socket_address.port_value:
                chain.filter_chain_match.destination_port.value = port
    socket_address.address = "127.0.0.1"
    socket_address.port_value = port
    del listener.additional_addresses[:]
    return True


def _without_control_plane(
    chain: Any, routes: dict[str, Any], log: Path, listener: str, secrets: frozenset[str]
) -> None:
    """Replace what a filter chain would fetch by its content."""
    tls = tls_pb2.DownstreamTlsContext()
    if chain.transport_socket.typed_config.Unpack(tls):
        for secret in _secrets(tls.common_tls_context):
            if secret.name not in secrets:
                # Envoy would close each connection of the chain; so it does where there is no filter.
                del chain.filters[:]
                chain.ClearField("transport_socket")
                return
            secret.ClearField("sds_config")
        chain.transport_socket.typed_config.Pack(tls)
    for each in chain.filters:
        manager = _Manager()
        if each.typed_config.Unpack(manager):
            if manager.HasField("rds"):
                manager.route_config.CopyFrom(routes[manager.rds.route_config_name])
                manager.route_config.validate_clusters.value = False
            del manager.access_log[:]
            manager.access_log.append(_access_log(log, listener, "request"))
            each.typed_config.Pack(manager)


def _secrets(context: Any) -> Iterator[Any]:
    yield from context.tls_certificate_sds_secret_configs
    for each in (context, context.combined_validation_context):
        if each.HasField("validation_context_sds_secret_config"):
            yield each.validation_context_sds_secret_config


def _access_log(path: Path, listener: str, kind: str) -> accesslog_pb2.AccessLog:
    file = file_pb2.FileAccessLog(path=str(path))
    fields = file.log_format.json_format.fields
    for name, value in {**_FIELDS, "listener": listener, "kind": kind}.items():
        fields[name].string_value = value
    made = accesslog_pb2.AccessLog(name="envoy.access_loggers.file")
    made.typed_config.Pack(file)
    return made
