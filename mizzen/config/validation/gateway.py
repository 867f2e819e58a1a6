"""The rules of Gateway.

https://istio.io/latest/docs/reference/config/networking/gateway/
"""

from __future__ import annotations

from mizzen.config.document import Config
from mizzen.config.models import Gateway, Port, Server
from mizzen.config.models.gateway import ServerTLSMode
from mizzen.config.models.protocol import Protocol
from mizzen.config.validation.addresses import UNIX_PREFIX, ip_address_problem, unix_address_problem
from mizzen.config.validation.hosts import dns_label_problem
from mizzen.config.validation.namespaced_hosts import check_gateway_host
from mizzen.config.validation.place import Place
from mizzen.config.validation.ports import port_number_problem, required_protocol_problem
from mizzen.config.validation.server_tls import check_server_tls


def check_gateway(config: Config[Gateway], place: Place) -> None:
    """Report at `place`, the spec, all that is wrong with a Gateway."""
    gateway = config.spec
    Place(config, ("metadata", "name"), place.diagnostics).check(
        dns_label_problem(config.name, "Gateway's name")
    )
    if not gateway.servers:
        (place / "servers").error("the Gateway has no servers; write at least one")
    port_names: set[str] = set()
    for index, server in enumerate(gateway.servers):
        here = place / "servers" / index
        _check_server(server, here)
        if server.port is not None:
            if server.port.name in port_names:
                (here / "port" / "name").error(
                    f'"{server.port.name}" names another port of this Gateway too; write a name of its own'
                )
            port_names.add(server.port.name)


def _check_server(server: Server, place: Place) -> None:
    if not server.hosts:
        (place / "hosts").error('the server has no hosts; write at least one, or "*"')
    for index, host in enumerate(server.hosts):
        check_gateway_host(host, place / "hosts" / index)
    _check_bind(server, place)
    if server.tls is not None:
        check_server_tls(server.tls, place / "tls")
    if server.port is None:
        (place / "port").error("the port is missing; write its number, name and protocol")
    else:
        has_socket = server.bind.startswith(UNIX_PREFIX) or place.lost("bind")
        _check_port(server.port, place / "port", has_socket=has_socket)
        _check_protocol_and_tls(server, Protocol.parse(server.port.protocol), place)


def _check_port(port: Port, place: Place, *, has_socket: bool) -> None:
    (place / "protocol").check(required_protocol_problem(port.protocol))
    if port.number or not has_socket:
        (place / "number").check(port_number_problem(port.number))
    if port.target_port:
        (place / "targetPort").error("targetPort has no effect on a Gateway; leave it out")
    if not port.name:
        (place / "name").error("the port has no name; write one, such as http")


def _check_bind(server: Server, place: Place) -> None:
    if server.bind.startswith(UNIX_PREFIX):
        (place / "bind").check(unix_address_problem(server.bind))
        if server.port is not None and server.port.number:
            (place / "port" / "number").error(
                "a server bound to a unix:// socket has no port; write number 0"
            )
    elif server.bind:
        (place / "bind").check(ip_address_problem(server.bind))


def _check_protocol_and_tls(server: Server, protocol: Protocol, place: Place) -> None:
    here = place / "tls"
    if protocol.is_auto:
        return
    if protocol.is_tls:
        if server.tls is None:
            here.error(f"the server is {protocol} but has no tls; write its mode and certificate")
    elif server.tls is not None:
        passes_through = server.tls.mode in (ServerTLSMode.PASSTHROUGH, ServerTLSMode.AUTO_PASSTHROUGH)
        files = server.tls.ca_certificates or server.tls.private_key or server.tls.server_certificate
        if not protocol.is_http:
            here.error(f"the server is {protocol} and cannot have tls; write protocol TLS, or leave tls out")
        elif not passes_through or files:
            here.error(
                f"the server is {protocol}, where tls may hold just httpsRedirect; write protocol HTTPS, "
                "or leave mode and certificates out"
            )
    if server.tls is not None and server.tls.https_redirect and not protocol.is_http:
        (here / "httpsRedirect").warning(
            f"httpsRedirect has no effect on a server of {protocol}; write it on the server of protocol HTTP"
        )
