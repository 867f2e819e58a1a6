"""Gateways: the servers of all Gateways that select one proxy, merged into listeners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from mizzen.config import models
from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.document import Config, ConfigKey
from mizzen.mesh.service import Protocol
from mizzen.mesh.services.registry import ServiceInstance
from mizzen.mesh.settings import creation_order
from mizzen.persistent import Multimap

GatewayConfig = Config[models.Gateway]
ProtocolClass = Literal["HTTP", "TLS", "TCP"]

_PASSTHROUGH: Final = frozenset({models.ServerTLSMode.PASSTHROUGH, models.ServerTLSMode.AUTO_PASSTHROUGH})

NO_PORT_TRANSLATION_LABEL: Final = "experimental.istio.io/disable-gateway-port-translation"


@dataclass(frozen=True, slots=True, eq=False)
class GatewayServer:
    """One server of a Gateway, on the port that it really listens on.

    `hosts` are pairs (namespace of the VirtualServices, empty for any; host). `route_name` is empty if the
    server routes no HTTP requests. `sni_hosts` are the sorted bare hosts of a server with a tls block.
    """

    server: models.Server
    gateway: GatewayConfig
    gateway_name: str
    index: int
    route_name: str
    hosts: tuple[tuple[str, str], ...]
    sni_hosts: tuple[str, ...]
    origin: Origin

    @property
    def protocol(self) -> Protocol:
        """The protocol of the server's port."""
        return Protocol.parse(self.server.port.protocol if self.server.port is not None else "")

    @property
    def is_passthrough(self) -> bool:
        """True if TLS is forwarded without being terminated."""
        return self.server.tls is not None and not self.terminates_tls and not self.protocol.is_http

    @property
    def terminates_tls(self) -> bool:
        """True if the server terminates TLS; an HTTP server that only redirects to HTTPS does not."""
        tls = self.server.tls
        return tls is not None and tls.mode not in _PASSTHROUGH

    @property
    def redirects_to_https(self) -> bool:
        """True if requests are redirected to HTTPS. On a server that terminates TLS, httpsRedirect has no
        effect: its requests came over TLS."""
        return self.protocol.is_http and self.server.tls is not None and self.server.tls.https_redirect

    @property
    def is_http(self) -> bool:
        """True if requests are routed: plain HTTP, or HTTPS that is terminated."""
        return self.protocol.is_http or (self.protocol is Protocol.HTTPS and self.terminates_tls)


@dataclass(frozen=True, slots=True, eq=False)
class GatewayListener:
    """One listener of a gateway. `bind` empty: all addresses. The servers of an HTTP listener share its
    routes. The servers of a TLS listener are selected by SNI; plain servers after them take connections that
    are not TLS. A TCP listener has one server."""

    port: int
    bind: str
    protocol_class: ProtocolClass
    servers: tuple[GatewayServer, ...]

    @property
    def tls(self) -> bool:
        """True if SNI selects the server of a connection."""
        return self.protocol_class == "TLS"


@dataclass(frozen=True, slots=True, eq=False)
class MergedGateway:
    """All Gateways that select a proxy, merged; `rejected` says which servers were left out."""

    listeners: tuple[GatewayListener, ...] = ()
    rejected: tuple[Diagnostic, ...] = ()

    @property
    def servers(self) -> tuple[GatewayServer, ...]:
        """All servers, listener by listener."""
        return tuple(server for listener in self.listeners for server in listener.servers)


@dataclass(frozen=True, slots=True, eq=False)
class GatewayIndex:
    """All Gateways, indexed by one label of their selector; immutable."""

    by_label: Multimap[tuple[str, str], ConfigKey, GatewayConfig] = field(default_factory=Multimap)

    def updated(self, changes: Iterable[tuple[GatewayConfig | None, GatewayConfig | None]]) -> GatewayIndex:
        """Return the index after documents changed (old, new)."""
        edit = self.by_label.edit()
        for old, new in changes:
            if old is not None:
                edit.discard(_index_label(old), old.key)
            if new is not None:
                edit.put(_index_label(new), new.key, new)
        by_label = edit.finish()
        return self if by_label is self.by_label else GatewayIndex(by_label)

    def selecting(self, labels: Mapping[str, str]) -> tuple[GatewayConfig, ...]:
        """Return the Gateways, in any namespace, whose selector is a subset of `labels`, oldest first."""
        found = [
            config
            for label in (_NO_LABEL, *labels.items())
            for config in self.by_label.get(label).values()
            if all(labels.get(key) == value for key, value in config.spec.selector.items())
        ]
        return tuple(sorted(found, key=creation_order))


_NO_LABEL: Final = ("", "")


def _index_label(config: GatewayConfig) -> tuple[str, str]:
    return min(config.spec.selector.items(), default=_NO_LABEL)


def server_hosts(server: models.Server, namespace: str) -> tuple[tuple[str, str], ...]:
    """Return (namespace or empty for any, host) for each host of the server: `./h` is in `namespace`."""
    hosts: list[tuple[str, str]] = []
    for entry in server.hosts:
        prefix, slash, host = entry.partition("/")
        if not slash:
            hosts.append(("", entry))
        else:
            hosts.append(({".": namespace, "*": ""}.get(prefix, prefix), host))
    return tuple(hosts)


def resolve_port(number: int, instances: Sequence[ServiceInstance]) -> int:
    """Return the port to listen on: the target port if a service of the gateway has a port of that number,
    else the number itself (Istio's resolvePorts)."""
    for instance in instances:
        if instance.port.number == number and NO_PORT_TRANSLATION_LABEL not in instance.service.labels:
            return instance.target_port
    return number


def merge_gateways(gateways: Iterable[GatewayConfig], instances: Sequence[ServiceInstance]) -> MergedGateway:
    """Merge the servers of `gateways`, oldest first, for a proxy that serves `instances`.

    A server that cannot share its port and bind address with an earlier one is left out with a warning
    (Istio's mergeGateways): any server after a plain one, unless both are HTTP; a TLS server with a host that
    an earlier TLS server has. A plain server after TLS servers takes connections that are not TLS.
    """
    merging = _Merging()
    for config in gateways:
        for index, server in enumerate(config.spec.servers):
            if server.port is not None:
                merging.add(config, index, server, resolve_port(server.port.number, instances))
    listeners = tuple(
        GatewayListener(port, bind, protocol_class, tuple(servers))
        for (port, bind), (protocol_class, servers) in merging.listeners.items()
    )
    return MergedGateway(listeners, tuple(merging.rejected))


class _Merging:
    def __init__(self) -> None:
        self.listeners: dict[tuple[int, str], tuple[ProtocolClass, list[GatewayServer]]] = {}
        self.rejected: list[Diagnostic] = []
        self._plain: dict[tuple[int, str], GatewayServer] = {}
        self._tls_hosts: dict[tuple[int, str, str], GatewayServer] = {}
        self._route_names: dict[str, GatewayServer] = {}

    def add(self, config: GatewayConfig, index: int, spec: models.Server, port: int) -> None:
        server = _server(config, index, spec, port)
        address = (port, spec.bind)
        if spec.tls is not None and not self._take_hosts(server, address):
            return
        protocol_class = _protocol_class(server)
        existing = self.listeners.get(address)
        plain = self._plain.get(address)
        if plain is not None and not (plain.protocol.is_http and server.protocol.is_http):
            self._reject(
                server,
                f"port {port} is already a {_protocol_class(plain)} listener because of {plain.origin}, and "
                f"a {protocol_class} server cannot share it; give one of them another port or bind address",
                "port",
                plain.origin,
            )
            return
        if protocol_class != "TLS":
            self._plain.setdefault(address, server)
        if existing is None:
            self.listeners[address] = (protocol_class, [server])
        elif protocol_class == "TLS" and server.route_name in self._route_names:
            self._reject(
                server,
                f"port name {spec.port.name if spec.port else ''} is used by another HTTPS server of this "
                f"Gateway ({self._route_names[server.route_name].origin}); give each its own name",
                "port",
                self._route_names[server.route_name].origin,
            )
            return
        else:
            existing[1].append(server)
        if server.is_http:
            self._route_names.setdefault(server.route_name, server)

    def _take_hosts(self, server: GatewayServer, address: tuple[int, str]) -> bool:
        keys = [(*address, f"{namespace}/{host}") for namespace, host in server.hosts]
        for key, (_, host) in zip(keys, server.hosts, strict=True):
            owner = self._tls_hosts.get(key)
            if owner is not None:
                self._reject(
                    server,
                    f"host {host} on port {address[0]} is already served with TLS by {owner.gateway_name} "
                    f"({owner.origin}), so this whole server is left out; name each host in one server only",
                    "hosts",
                    owner.origin,
                )
                return False
        self._tls_hosts.update(dict.fromkeys(keys, server))
        return True

    def _reject(self, server: GatewayServer, message: str, attribute: str, mention: Origin) -> None:
        self.rejected.append(
            Diagnostic(
                Severity.WARNING,
                "MZ0206",
                message,
                server.gateway.origin_of("spec", "servers", server.index, attribute),
                f"spec.servers[{server.index}].{attribute}",
                (mention,),
            )
        )


def _server(config: GatewayConfig, index: int, spec: models.Server, port: int) -> GatewayServer:
    hosts = server_hosts(spec, config.namespace)
    return GatewayServer(
        server=spec,
        gateway=config,
        gateway_name=f"{config.namespace}/{config.name}",
        index=index,
        route_name=route_name(config, spec, port),
        hosts=hosts,
        sni_hosts=tuple(sorted({host for _, host in hosts})) if spec.tls is not None else (),
        origin=config.origin_of("spec", "servers", index),
    )


def _protocol_class(server: GatewayServer) -> ProtocolClass:
    if server.protocol.is_http:
        return "HTTP"
    return "TLS" if server.server.tls is not None else "TCP"


def route_name(config: GatewayConfig, server: models.Server, port: int) -> str:
    """Return the name of the server's route configuration; empty if it routes no requests.

    `http.PORT[.BIND]` with the port listened on; `https.PORT.PORTNAME.GATEWAY.NAMESPACE[.BIND]` with the
    declared port (Istio's gatewayRDSRouteName).
    """
    assert server.port is not None
    protocol = Protocol.parse(server.port.protocol)
    bind = f".{server.bind}" if server.bind else ""
    if protocol.is_http:
        return f"http.{port}{bind}"
    if protocol is Protocol.HTTPS and not (server.tls is not None and server.tls.mode in _PASSTHROUGH):
        return f"https.{server.port.number}.{server.port.name}.{config.name}.{config.namespace}{bind}"
    return ""
