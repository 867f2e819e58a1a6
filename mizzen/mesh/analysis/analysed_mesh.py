"""The mesh as checks read it: reads are recorded, so that a change runs only the checks that it concerns.

Reads by key go to collections over the snapshot's own mappings. The mapping of the next snapshot knows where
it differs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, Final, TypeVar

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config, ConfigKey, GroupKind
from mizzen.config.group_kinds import (
    GATEWAY,
    PEER_AUTHENTICATION,
    SECRET,
    SERVICE_ENTRY,
    VIRTUAL_SERVICE,
)
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.schema_fields import nearest
from mizzen.incremental import Database, Grouped, Lookup, Query, Table
from mizzen.mesh.analysis.analysed_gateways import AnalysedGateways
from mizzen.mesh.analysis.analysed_hosts import AnalysedHosts, RuleHosts
from mizzen.mesh.analysis.analysed_labels import AnalysedLabels
from mizzen.mesh.analysis.near_names import NearNames
from mizzen.mesh.rules.destination_rules import MergedRules
from mizzen.mesh.rules.external_authorizers import ExternalAuthorizer, external_authorizer
from mizzen.mesh.rules.gateways import GatewayConfig
from mizzen.mesh.rules.security_policies import Policies, workload_policies
from mizzen.mesh.rules.virtual_service_index import HostRules
from mizzen.mesh.rules.virtual_services import VirtualServiceRule, is_delegate
from mizzen.mesh.scope.sidecars import SidecarConfig
from mizzen.mesh.service import Endpoint, EndpointPool, Service
from mizzen.mesh.services.aliases import Aliases
from mizzen.mesh.services.declarations import ServiceDeclaration
from mizzen.mesh.services.registry import EMPTY_POOL, LabelKey, Registry, ServiceKey
from mizzen.mesh.services.workloads import Workload
from mizzen.mesh.settings import creation_order
from mizzen.mesh.snapshot import Mesh
from mizzen.persistent import LayeredDict, Multimap

Key = TypeVar("Key")
Member = TypeVar("Member")
Value = TypeVar("Value")

_HTTP_PORT: Final = 80
"""Istio serves rules for unregistered hosts on this port of sidecars."""


class MultimapTable(Table[Key, LayeredDict[Member, Value]]):
    """The members under each key of a multimap."""

    def __init__(self, database: Database, name: str, members: Multimap[Key, Member, Value]) -> None:
        super().__init__(database, name, members.buckets)

    def under(self, key: Key) -> Mapping[Member, Value]:
        """Return the members under `key`; empty if there are none."""
        return self.get(key) or {}


class AnalysedRegistry:
    """See `Registry`."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self.services = Table(database, "services", registry.services)
        self.hosts: AnalysedHosts[tuple[Service, ...]] = AnalysedHosts(database, "services", registry.hosts)
        self.workloads_by_key = Table(database, "workloads", registry.workloads_by_key)
        self.declarations: MultimapTable[ServiceKey, ConfigKey, ServiceDeclaration] = MultimapTable(
            database, "declarations", registry.declarations
        )
        self.selectors: MultimapTable[LabelKey, ServiceKey, None] = MultimapTable(
            database, "services by selector", registry.selectors
        )
        self.workloads: MultimapTable[LabelKey, ConfigKey, Workload] = MultimapTable(
            database, "workloads by label", registry.workloads
        )
        self.by_address: MultimapTable[str, ServiceKey, tuple[Endpoint, ...]] = MultimapTable(
            database, "endpoints at an address", registry.by_address
        )
        self.diagnostics = Table(database, "diagnostics on services", registry.diagnostics)
        self._database = database
        self._pools = Table(database, "endpoints", registry.pools)
        self._targets: Lookup[Aliases, str, str] = Lookup(
            database, "host behind an alias", registry.aliases, lambda of, host: of.targets.get(host, host)
        )
        with_http_port: Grouped[ServiceKey, Service, bool, None] = Grouped(
            database, "services with a port for HTTP", self.services, lambda _, each: _http_ports(each)
        )
        # Readers run again only when the first is added or the last is removed.
        self._http_port = Query(database, "a port for HTTP", lambda: True in with_http_port)

    def renew(self, registry: Registry) -> None:
        """Switch to a different registry."""
        self.services.renew(registry.services)
        self.hosts.renew(registry.hosts)
        self.workloads_by_key.renew(registry.workloads_by_key)
        self.declarations.renew(registry.declarations.buckets)
        self.selectors.renew(registry.selectors.buckets)
        self.workloads.renew(registry.workloads.buckets)
        self.by_address.renew(registry.by_address.buckets)
        self.diagnostics.renew(registry.diagnostics)
        self._pools.renew(registry.pools)
        self._targets.renew(registry.aliases)

    def pool(self, service: Service) -> EndpointPool:
        """See `Registry`."""
        return self._pools.get(service.key, EMPTY_POOL)

    def workloads_selected(self, namespace: str, selector: Mapping[str, str]) -> list[Workload]:
        """Return the workloads of `namespace` with all labels of `selector`, sorted; none if it is empty."""
        buckets = [self.workloads.under((namespace, name, value)) for name, value in selector.items()]
        if not buckets:
            return []
        smallest = min(buckets, key=len)
        found = [workload for key, workload in smallest.items() if all(key in bucket for bucket in buckets)]
        return sorted(found, key=Workload.order)

    def target_of(self, host: str) -> str:
        """Return the host that an alias stands for in the end, or the host itself if it is no alias."""
        return self._targets(host)

    def near_host(self, host: str) -> str | None:
        """Return the host of a service that `host` most likely means, or None if none is similar."""
        name, _, rest = host.partition(".")
        meant = self._names.near(rest, name)
        if meant is not None:
            return f"{meant}.{rest}"
        elsewhere = [f"{name}.{place}" for place in self._names.places(name)]
        full = next((other for other in elsewhere if other.startswith(f"{host}.svc.")), None)
        if full is not None:
            return full  # `reviews.shop` is not completed, as in Istio: only names without a dot are
        same_name = [other for other in elsewhere if ".svc." in host and ".svc." in other]
        return min(same_name, default=None) or nearest(host, elsewhere)

    @cached_property
    def _names(self) -> NearNames[ServiceKey, Service]:
        """The services by name. Made for the first unknown host, as most meshes have none."""

        def name_of(_: ServiceKey, service: Service) -> tuple[str, str]:
            name, __, rest = service.hostname.partition(".")
            return rest, name

        return NearNames(self._database, self.services, name_of)

    def has_http_port(self) -> bool:
        """Return True if sidecars have a port for rules of unregistered hosts."""
        return self._http_port()


def _http_ports(service: Service) -> dict[bool, None]:
    found = any(
        port.number == _HTTP_PORT and (port.protocol.is_http or port.protocol.is_auto)
        for port in service.ports
    )
    return {True: None} if found else {}


def _place_and_name(key: ConfigKey, config: Config[Any]) -> tuple[str, str] | None:
    """Return the namespace and name by which others may mean a document, or None if they cannot."""
    if key.group_kind == VIRTUAL_SERVICE and not is_delegate(config):
        return None
    return key.namespace, key.name


class AnalysedMesh:
    """The answers of `Mesh` for the checks of one analysis; reads are recorded."""

    def __init__(self, database: Database, mesh: Mesh) -> None:
        self.database = database
        self.settings = mesh.settings
        """These never change: with different settings everything is analysed anew."""
        self._snapshot = mesh
        self._kinds: dict[GroupKind, Table[ConfigKey, Config[Any]]] = {}
        self._names: dict[GroupKind, NearNames[ConfigKey, Config[Any]]] = {}
        self._moved = Table(database, "documents that moved", mesh.moved)
        self.registry = AnalysedRegistry(database, mesh.registry)
        self.rules: Table[ConfigKey, VirtualServiceRule] = Table(
            database, "VirtualServices with their delegates", mesh.virtual_service_index.rules
        )
        self.delegate_users: MultimapTable[tuple[str, str], ConfigKey, None] = MultimapTable(
            database, "users of delegates", mesh.virtual_service_index.delegate_users
        )
        self.mesh_hosts: AnalysedHosts[HostRules] = AnalysedHosts(
            database, "VirtualServices", mesh.virtual_service_index.mesh_hosts
        )
        self.rule_hosts = RuleHosts(database, mesh.destination_rule_index)
        self.virtual_service_diagnostics = Table(
            database, "diagnostics on VirtualServices", mesh.virtual_service_index.diagnostics
        )
        self.destination_rule_diagnostics = Table(
            database, "diagnostics on DestinationRules", mesh.destination_rule_index.diagnostics
        )
        self.sidecars: Table[str, tuple[SidecarConfig, ...]] = Table(
            database, "Sidecars of a namespace", mesh.sidecar_index.by_namespace
        )
        self.gateways = AnalysedGateways(
            database, self.documents(GATEWAY), self.registry.workloads_by_key, self.registry.services
        )
        self.labels = AnalysedLabels(
            database,
            self.registry.workloads,
            self.registry.services,
            self.documents(SERVICE_ENTRY),
            self.documents(GATEWAY),
        )
        self._authorizers: Lookup[Registry, str, ExternalAuthorizer] = Lookup(
            database,
            "external authorizer",
            mesh.registry,
            lambda of, name: external_authorizer(name, self.mesh_config, of),
        )
        self._secrets: Grouped[ConfigKey, Config[Any], str, str] = Grouped(
            database,
            "namespaces of Secrets by name",
            self.documents(SECRET),
            lambda key, _: {key.name: key.namespace},
        )
        self._peer_authentications: Grouped[ConfigKey, Config[Any], str, Config[Any]] = Grouped(
            database,
            "PeerAuthentications of a namespace",
            self.documents(PEER_AUTHENTICATION),
            lambda key, config: {key.namespace: config},
        )
        self.whole = Table(database, "the mesh", LayeredDict({"": None}))
        """One member that stands for the whole mesh, for checks that compare many documents."""

    def renew(self, mesh: Mesh) -> None:
        """Switch to a different snapshot with the same settings."""
        self._snapshot = mesh
        for kind, documents in self._kinds.items():
            documents.renew(mesh.configs_by_key(kind))
        self._moved.renew(mesh.moved)
        self.registry.renew(mesh.registry)
        self.rules.renew(mesh.virtual_service_index.rules)
        self.delegate_users.renew(mesh.virtual_service_index.delegate_users.buckets)
        self.mesh_hosts.renew(mesh.virtual_service_index.mesh_hosts)
        self.rule_hosts.renew(mesh.destination_rule_index)
        self.virtual_service_diagnostics.renew(mesh.virtual_service_index.diagnostics)
        self.destination_rule_diagnostics.renew(mesh.destination_rule_index.diagnostics)
        self.sidecars.renew(mesh.sidecar_index.by_namespace)
        self._authorizers.renew(mesh.registry)

    @property
    def mesh_config(self) -> MeshConfig:
        """See `Mesh`."""
        return self.settings.mesh_config

    def documents(self, kind: GroupKind) -> Table[ConfigKey, Config[Any]]:
        """Return the documents of a kind."""
        if kind not in self._kinds:
            self._kinds[kind] = Table(self.database, f"{kind} documents", self._snapshot.configs_by_key(kind))
        return self._kinds[kind]

    def configs(self, kind: GroupKind) -> list[Config[Any]]:
        """Return all documents of a kind. A reader runs again after every change of one of them."""
        return [config for _, config in self.documents(kind).items()]

    def config(self, key: ConfigKey) -> Config[Any] | None:
        """See `Mesh`."""
        return self.documents(key.group_kind).get(key)

    def near_document(self, key: ConfigKey) -> str | None:
        """Return which document was probably meant by a key that does not exist, as namespace/name: one with
        a similar name, else the first with that name in a different namespace; None if there is neither."""
        if key.group_kind not in self._names:
            self._names[key.group_kind] = NearNames(
                self.database, self.documents(key.group_kind), _place_and_name
            )
        names = self._names[key.group_kind]
        meant = names.near(key.namespace, key.name)
        if meant is not None:
            return f"{key.namespace}/{meant}"
        return next((f"{place}/{key.name}" for place in names.places(key.name)), None)

    def secret(self, namespace: str, name: str) -> Config[Any] | None:
        """Return the Secret of that name, or None."""
        return self.config(SECRET.key(namespace, name))

    def namespaces_with_secret(self, name: str) -> Collection[str]:
        """Return the namespaces that have a Secret of that name."""
        return (self._secrets.get(name) or LayeredDict[ConfigKey, str]()).values()

    def peer_authentications_of(self, namespace: str, labels: Mapping[str, str]) -> Policies:
        """Return the PeerAuthentications that select a workload of `namespace` with these labels, as
        `PolicyIndex.of_workload` does."""

        def policies(kind: GroupKind, place: str) -> Policies:
            if kind != PEER_AUTHENTICATION:
                return ()
            found = self._peer_authentications.get(place)
            return tuple(sorted(found.values(), key=creation_order)) if found else ()

        root = self.settings.root_namespace
        return workload_policies(namespace, labels, root, policies, lambda _: None).peer_authentications

    def endpoints(self, service: Service) -> EndpointPool:
        """See `Mesh`."""
        return self.registry.pool(service)

    def external_authorizer(self, name: str) -> ExternalAuthorizer:
        """See `Mesh`."""
        return self._authorizers(name)

    def gateways_selecting(self, labels: Mapping[str, str]) -> tuple[GatewayConfig, ...]:
        """See `Mesh`."""
        self.configs(GATEWAY)  # records that the answer depends on them
        return self._snapshot.gateways_selecting(labels)

    def rules_for(self, client_namespace: str, host: str, service_namespace: str) -> MergedRules:
        """See `DestinationRuleIndex`."""
        list(self.rule_hosts.covering(host))  # records that the answer depends on them
        return self._snapshot.destination_rule_index.rules_for(client_namespace, host, service_namespace)

    def namespaces_with_rules(self, host: str) -> frozenset[str]:
        """Return the namespaces of the DestinationRules whose host covers `host`."""
        return frozenset(namespace for namespace, _ in self.rule_hosts.covering(host))

    def current_origin(self, origin: Origin) -> Origin:
        """See `Mesh`."""
        if origin.document is None:
            return origin
        config = self._moved.get(origin.document) or self.config(origin.document)
        return config.origin_of(*origin.path) if config is not None else origin
