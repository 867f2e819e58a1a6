"""The rules of Sidecar.

https://istio.io/latest/docs/reference/config/networking/sidecar/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mizzen.config.document import Config
from mizzen.config.models import (
    CaptureMode,
    IstioEgressListener,
    IstioIngressListener,
    OutboundTrafficPolicy,
    OutboundTrafficPolicyMode,
    ServerTLSMode,
    ServerTLSSettings,
    Sidecar,
    SidecarPort,
)
from mizzen.config.models.base import camel_case
from mizzen.config.models.protocol import Protocol
from mizzen.config.validation.addresses import UNIX_PREFIX, is_ip_address, unix_address_problem
from mizzen.config.validation.connection_pool import check_connection_pool
from mizzen.config.validation.destinations import check_destination
from mizzen.config.validation.hosts import fqdn_problem
from mizzen.config.validation.labels import check_selector
from mizzen.config.validation.namespaced_hosts import check_egress_host
from mizzen.config.validation.place import Place
from mizzen.config.validation.ports import port_name_problem, port_number_problem, protocol_problem
from mizzen.config.validation.server_tls import check_server_tls

_DEFAULT_ENDPOINT_HOSTS: Final = ("", "127.0.0.1", "0.0.0.0", "[::1]", "[::]")  # noqa: S104 - compared, not bound
_NO_INGRESS_TLS_FIELDS: Final = (
    "subject_alt_names",
    "https_redirect",
    "credential_name",
    "credential_names",
    "tls_certificates",
)


def check_sidecar(config: Config[Sidecar], place: Place) -> None:
    """Report at `place`, the spec, all that is wrong with a Sidecar."""
    sidecar = config.spec
    if sidecar.workload_selector is not None:
        check_selector(
            sidecar.workload_selector.labels,
            place / "workloadSelector",
            "labels",
            "every workload of the namespace",
        )
    if not (
        sidecar.egress
        or sidecar.ingress
        or sidecar.outbound_traffic_policy is not None
        or sidecar.inbound_connection_pool is not None
    ):
        place.error("the Sidecar says nothing; write egress, ingress or outboundTrafficPolicy")
    for index, listener in enumerate(sidecar.ingress):
        _check_ingress(listener, sidecar.ingress[:index], place / "ingress" / index)
    check_connection_pool(sidecar.inbound_connection_pool, place / "inboundConnectionPool")
    _check_egress(sidecar.egress, place / "egress")
    if sidecar.outbound_traffic_policy is not None:
        _check_outbound(sidecar.outbound_traffic_policy, place / "outboundTrafficPolicy")


def _check_ingress(
    listener: IstioIngressListener, earlier: Sequence[IstioIngressListener], place: Place
) -> None:
    check_connection_pool(listener.connection_pool, place / "connectionPool")
    _check_default_endpoint(listener.default_endpoint, place / "defaultEndpoint")
    port = listener.port
    protocol = Protocol.parse(port.protocol) if port is not None else Protocol.UNSUPPORTED
    if listener.tls is not None:
        _check_ingress_tls(listener.tls, place / "tls", possible=protocol.is_tls or place.lost("port"))
    if listener.bind and not is_ip_address(listener.bind):
        (place / "bind").error(
            f'"{listener.bind}" is not an IP address; write one such as 127.0.0.1, or 0.0.0.0 for all, '
            "or leave bind out for the proxy's own"
        )
    if port is None:
        (place / "port").error("the port is missing; write its number and protocol")
        return
    _check_port(port, place / "port")
    if (place / "port" / "number").check(port_number_problem(port.number)) and any(
        other.port is not None and other.port.number == port.number for other in earlier
    ):
        (place / "port" / "number").error(f"port {port.number} has an earlier listener; leave one out")
    pool = listener.connection_pool
    if pool is not None and pool.http is not None and not (protocol.is_http or place.lost("port")):
        (place / "connectionPool" / "http").warning(
            f"http has no effect on a port of {port.protocol or 'no protocol'}; write protocol HTTP, or tcp"
        )


def _check_port(port: SidecarPort, place: Place) -> None:
    if port.name:
        (place / "name").check(port_name_problem(port.name))
    (place / "protocol").check(protocol_problem(port.protocol))
    if port.target_port:
        (place / "targetPort").error("targetPort has no effect on a Sidecar; write defaultEndpoint")


def _check_default_endpoint(endpoint: str, place: Place) -> None:
    if not endpoint:
        return
    if endpoint.startswith(UNIX_PREFIX):
        place.check(unix_address_problem(endpoint))
        return
    host, colon, port = endpoint.rpartition(":")
    if not colon or host not in _DEFAULT_ENDPOINT_HOSTS:
        place.error(
            f'"{endpoint}" is not an endpoint of this workload; write 127.0.0.1:<port> or unix://<path>'
        )
    elif not (port.isascii() and port.isdigit()):
        place.error(f'"{port}" is not a port number; write 1 to 65535')
    else:
        place.check(port_number_problem(int(port)))


def _check_ingress_tls(tls: ServerTLSSettings, place: Place, *, possible: bool) -> None:
    for field in _NO_INGRESS_TLS_FIELDS:
        if getattr(tls, field):
            name = camel_case(field)
            (place / name).error(f"{name} is not possible on a Sidecar; leave it out")
    if tls.mode in (ServerTLSMode.ISTIO_MUTUAL, ServerTLSMode.AUTO_PASSTHROUGH):
        (place / "mode").error(f"mode {tls.mode} is not possible on a Sidecar; write SIMPLE or MUTUAL")
    if not possible:
        place.error("tls is not possible on a port of this protocol; write protocol HTTPS or TLS")
    check_server_tls(tls, place)


def _check_egress(egress: Sequence[IstioEgressListener], place: Place) -> None:
    ports: set[int] = set()
    sockets: set[str] = set()
    for index, listener in enumerate(egress):
        here = place / index
        _check_egress_hosts(listener.hosts, here / "hosts")
        if listener.port is None:
            if index != len(egress) - 1:
                here.error("a listener without port must be the last, and the only one; move it to the end")
            continue
        number = listener.port.number
        _check_egress_port(listener, listener.port, here)
        if here.lost("port", "bind"):
            continue
        if number and number in ports:
            (here / "port" / "number").error(f"port {number} has an earlier listener; leave one out")
        if not number and listener.bind in sockets:
            (here / "bind").error(f'"{listener.bind}" has an earlier listener; leave one out')
        ports.add(number)
        if not number:
            sockets.add(listener.bind)


def _check_egress_port(listener: IstioEgressListener, port: SidecarPort, place: Place) -> None:
    _check_port(port, place / "port")
    if port.number:
        (place / "port" / "number").check(port_number_problem(port.number))
        if listener.bind and not is_ip_address(listener.bind):
            (place / "bind").error(
                f'"{listener.bind}" is not an IP address; write one such as 127.0.0.1, or unix://<path> and '
                "port number 0"
            )
        return
    if listener.bind.startswith(UNIX_PREFIX):
        (place / "bind").check(unix_address_problem(listener.bind))
    elif not place.lost("bind"):
        (place / "port" / "number").error("port 0 is for a unix:// bind only; write 1 to 65535")
    if listener.capture_mode is CaptureMode.IPTABLES and not place.lost("port"):
        (place / "captureMode").error(
            "a unix:// socket cannot be captured; write NONE, or leave captureMode out"
        )


def _check_egress_hosts(hosts: Sequence[str], place: Place) -> None:
    if not hosts:
        place.error("the listener has no hosts; write at least one, such as ./* or */*")
    seen: dict[str, set[str]] = {}
    for index, text in enumerate(hosts):
        here = place / index
        check_egress_host(text, here)
        namespace, slash, name = text.partition("/")
        if not slash or namespace.startswith("~"):
            continue
        names = seen.setdefault(place.config.namespace if namespace == "." else namespace, set())
        if name in names or "*" in names or (name == "*" and names):
            here.warning(f'"{text}" and another entry cover the same hosts; leave one out')
        names.add(name)
    if "*" in seen.get("*", ()) and len(seen) > 1:
        place.warning('"*/*" covers all hosts already; leave the others out, or leave it out')


def _check_outbound(policy: OutboundTrafficPolicy, place: Place) -> None:
    proxy = policy.egress_proxy
    if proxy is None:
        return
    here = place / "egressProxy"
    if policy.mode is not OutboundTrafficPolicyMode.ALLOW_ANY and not place.lost("mode"):
        here.error(f"egressProxy is not possible with mode {policy.mode}; write mode ALLOW_ANY")
    if proxy.port is None:
        (here / "port").error("the port of the egress proxy is missing; write its number")
    if (here / "host").check(fqdn_problem(proxy.host)):
        check_destination(proxy, here)
