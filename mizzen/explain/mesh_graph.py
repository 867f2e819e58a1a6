"""The mesh as a graph. Its nodes are gateways, services, their versions, and hosts outside.

Edges come from rules, not from traffic. A Gateway leads to the services to which its VirtualServices route. A
service leads to its versions (the subsets of its DestinationRule), or to the hosts that its VirtualService
names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mizzen.config.diagnostics import Origin
from mizzen.config.group_kinds import GATEWAY
from mizzen.config.models import ClientTLSMode, Destination
from mizzen.mesh.rules.destination_rules import (
    MergedDestinationRule,
    effective_traffic_policy,
    rule_for_client,
)
from mizzen.mesh.rules.virtual_services import MESH, TcpRule, TlsRule, VirtualServiceRule
from mizzen.mesh.service import Service, ServicePort
from mizzen.mesh.snapshot import Mesh


class NodeKind(StrEnum):
    """What a node stands for. UNKNOWN is a host that rules name but no document declares."""

    GATEWAY = "gateway"
    SERVICE = "service"
    VERSION = "version"
    EXTERNAL = "external"
    UNKNOWN = "unknown"


class Protection(StrEnum):
    """How calls to a service are encrypted."""

    PLAIN_TEXT = "plain text"
    TLS = "TLS"
    MUTUAL_TLS = "mutual TLS"
    SOME_MUTUAL_TLS = "mutual TLS in part"


@dataclass(frozen=True, slots=True)
class Node:
    """A part of the mesh. `endpoints` is their number, or None for a node that can have none."""

    key: str
    kind: NodeKind
    name: str
    namespace: str = ""
    endpoints: int | None = None
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """Calls go from `source` to `target`. `share` is the weight, in per cent, in the rule without conditions.
    It is None if only some calls go there (`conditional`), or if no rule says how many."""

    source: str
    target: str
    protocols: tuple[str, ...] = ()
    protection: Protection | None = None
    share: float | None = None
    conditional: bool = False
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True)
class MeshGraph:
    """Nodes and edges, each sorted by their keys."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def around(self, words: str, most: int) -> MeshGraph:
        """Return the part of the graph around at most `most` services whose name or namespace contains
        `words`.

        Gateways are found by their own name too. Without words, services that a rule names come first.
        """
        words = words.strip().lower()
        roots = [node for node in self.nodes if node.kind is not NodeKind.VERSION]
        found = [node for node in roots if words in f"{node.name}.{node.namespace}".lower()]
        linked = {key for edge in self.edges for key in (edge.source, edge.target)}
        found.sort(key=lambda node: (node.key not in linked, node.key))
        chosen = {node.key for node in found[:most]}
        for edge in self.edges:
            if edge.source in chosen and edge.target.startswith(NodeKind.VERSION):
                chosen.add(edge.target)
        if words:
            chosen |= {
                key
                for edge in self.edges
                if edge.source in chosen or edge.target in chosen
                for key in (edge.source, edge.target)
            }
        return MeshGraph(
            tuple(node for node in self.nodes if node.key in chosen),
            tuple(edge for edge in self.edges if edge.source in chosen and edge.target in chosen),
        )


def service_key(service: Service) -> str:
    """Return the key of a service's node."""
    kind = NodeKind.EXTERNAL if service.mesh_external else NodeKind.SERVICE
    return f"{kind}:{service.namespace}/{service.hostname}"


def mesh_graph(mesh: Mesh) -> MeshGraph:
    """Return the graph of the whole mesh."""
    return _Graph(mesh).finish()


def protection(
    mesh: Mesh, service: Service, rule: MergedDestinationRule | None, port: ServicePort | None = None
) -> Protection:
    """Return how clients call a service, or one port of it: as its DestinationRule says, else as its
    endpoints allow."""
    number = port.number if port is not None else 0
    tls = effective_traffic_policy(rule, number, "", mesh.mesh_config).tls
    if tls is not None:
        match tls.mode:
            case ClientTLSMode.DISABLE:
                return Protection.PLAIN_TEXT
            case ClientTLSMode.SIMPLE:
                return Protection.TLS
            case ClientTLSMode.MUTUAL | ClientTLSMode.ISTIO_MUTUAL:
                return Protection.MUTUAL_TLS
    if service.mesh_external or not mesh.mesh_config.enable_auto_mtls:
        return Protection.PLAIN_TEXT
    peers, name = mesh.service_peers(service), port.name if port is not None else ""
    able = [
        endpoint.tls_mode == "istio" and not peers.refuses_mutual_tls(endpoint, name)
        for endpoint in mesh.endpoints(service).endpoints
    ]
    if not any(able):
        return Protection.PLAIN_TEXT
    return Protection.MUTUAL_TLS if all(able) else Protection.SOME_MUTUAL_TLS


def destination_rule_of(mesh: Mesh, service: Service) -> MergedDestinationRule | None:
    """Return the DestinationRule for clients in the service's own namespace, or None."""
    rules = mesh.destination_rule_index.rules_for(service.namespace, service.hostname, service.namespace)
    return rule_for_client(rules, service.namespace, None)


class _Graph:
    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._nodes: dict[str, Node] = {}
        self._edges: dict[tuple[str, str], Edge] = {}
        self._by_host: dict[str, Service] = {}
        self._by_key: dict[str, Service] = {}
        self._rules: dict[str, MergedDestinationRule | None] = {}
        self._served: dict[str, tuple[str, ...]] = {}

    def finish(self) -> MeshGraph:
        for _, service in sorted(self._mesh.registry.services.items()):
            if not service.is_alias:
                self._add_service(service)
        for config in sorted(self._mesh.configs(GATEWAY), key=lambda each: each.key):
            key = f"{NodeKind.GATEWAY}:{config.namespace}/{config.name}"
            origins = (config.origin,)
            self._served[key] = tuple(sorted({str(each.port.protocol) for each in config.spec.servers}))
            self._nodes[key] = Node(key, NodeKind.GATEWAY, config.name, config.namespace, origins=origins)
        for rule in sorted(self._mesh.virtual_service_index.rules.values(), key=lambda each: each.order):
            self._add_rule(rule)
        return MeshGraph(
            tuple(node for _, node in sorted(self._nodes.items())),
            tuple(edge for _, edge in sorted(self._edges.items())),
        )

    def _add_service(self, service: Service) -> None:
        for host in (service.hostname, *service.aliases):
            self._by_host.setdefault(host, service)
        kind = NodeKind.EXTERNAL if service.mesh_external else NodeKind.SERVICE
        key, pool = service_key(service), self._mesh.endpoints(service)
        self._nodes[key] = Node(
            key, kind, service.hostname, service.namespace, len(pool.endpoints), service.origins
        )
        self._by_key[key] = service
        rule = self._rules[key] = destination_rule_of(self._mesh, service)
        for subset in rule.subsets if rule is not None else ():
            version = f"{NodeKind.VERSION}:{key}|{subset.name}"
            able = sum(endpoint.has_labels(subset.labels) for endpoint in pool.endpoints)
            assert rule is not None
            origins = tuple(config.origin for config in rule.configs)
            self._nodes[version] = Node(
                version, NodeKind.VERSION, subset.name, service.namespace, able, origins
            )
            self._edges[key, version] = Edge(key, version, origins=origins)

    def _add_rule(self, rule: VirtualServiceRule) -> None:
        for gateway in rule.gateways:
            if gateway == MESH:
                for host in rule.hosts:
                    source = self._by_host.get(host)
                    if source is not None:
                        self._lead(service_key(source), rule, _protocols_of(source))
            elif (key := f"{NodeKind.GATEWAY}:{gateway}") in self._nodes:
                self._lead(key, rule, self._served[key])

    def _lead(self, source: str, rule: VirtualServiceRule, protocols: tuple[str, ...]) -> None:
        shares: dict[str, float] = {}
        for destination, share, conditional, origin in _destinations(rule):
            target = self._target(destination, source)
            if target == source:
                continue
            if share is not None:
                share = shares[target] = shares.get(target, 0.0) + share
            before = self._edges.get((source, target))
            if before is not None and share is None and (before.share is not None or before.conditional):
                continue
            self._edges[source, target] = Edge(
                source, target, protocols, self._protection(target), share, conditional, (origin,)
            )

    def _protection(self, target: str) -> Protection | None:
        service = self._by_key.get(target)
        return protection(self._mesh, service, self._rules[target]) if service is not None else None

    def _target(self, destination: Destination, source: str) -> str:
        """Return the node that a rule of `source` leads to. Versions are nodes only of their own service."""
        service = self._by_host.get(destination.host)
        if service is None:
            key = f"{NodeKind.UNKNOWN}:{destination.host}"
            self._nodes.setdefault(key, Node(key, NodeKind.UNKNOWN, destination.host))
            return key
        key = service_key(service)
        version = f"{NodeKind.VERSION}:{key}|{destination.subset}"
        return version if key == source and version in self._nodes else key


def _destinations(rule: VirtualServiceRule) -> Iterator[tuple[Destination, float | None, bool, Origin]]:
    """Yield each destination of a rule, with its share if it has no condition, and whether it has one."""
    last = False
    for each in rule.http:
        conditional = bool(each.route.match) or last
        yield from _weighted(each.route.route, conditional, each.origin)
        last = last or not each.route.match
    by_connection: tuple[TlsRule | TcpRule, ...] = (*rule.tls, *rule.tcp)
    for l4 in by_connection:
        yield from _weighted(l4.route.route, bool(l4.route.match), l4.origin)


def _weighted(
    routes: Iterable[Any], conditional: bool, origin: Origin
) -> Iterator[tuple[Destination, float | None, bool, Origin]]:
    members = [each for each in routes if each.destination is not None]
    total = sum(each.weight or 0 for each in members)
    for each in members:
        share = (each.weight or 0) / total * 100 if total else 100.0 / len(members)
        yield each.destination, None if conditional else share, conditional, origin


def _protocols_of(service: Service) -> tuple[str, ...]:
    return tuple(sorted({str(port.protocol) for port in service.ports}))
