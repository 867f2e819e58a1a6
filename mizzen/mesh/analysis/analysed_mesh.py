"""The mesh as checks read it: reads are recorded, so that a change finds the checks that it concerns.

Parts of a snapshot that did not change are the same objects in the next one, and are not looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Generic, TypeVar

from mizzen.config.document import Config, ConfigKey
from mizzen.config.mesh_config import MeshConfig
from mizzen.incremental import Database, Lookup
from mizzen.mesh.hosts import HostIndex
from mizzen.mesh.rules.destination_rules import DestinationRuleIndex, MergedRules
from mizzen.mesh.rules.external_authorizers import ExternalAuthorizer
from mizzen.mesh.rules.gateways import GatewayIndex
from mizzen.mesh.rules.virtual_service_index import HostRules
from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.service import Endpoint, EndpointPool, Service
from mizzen.mesh.services.aliases import Aliases
from mizzen.mesh.services.declarations import ServiceDeclaration
from mizzen.mesh.services.registry import LabelKey, Registry, ServiceKey
from mizzen.mesh.services.workloads import Workload
from mizzen.mesh.snapshot import Mesh
from mizzen.persistent import LayeredDict, Multimap

Value = TypeVar("Value")


class Same(Generic[Value]):
    """A value that is compared by identity."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    __hash__ = None  # type: ignore[assignment]


class AnalysedHosts(Generic[Value]):
    """What an index has for hosts, as `HostIndex` tells it."""

    def __init__(
        self, database: Database, name: str, mesh: Mesh, index_of: Callable[[Mesh], HostIndex[Value]]
    ) -> None:
        self._index_of = index_of
        index = index_of(mesh)
        self._at: Lookup[Any, str, Value | None] = Lookup(database, f"{name} at", index, HostIndex.get)

        def found(how: Callable[[Any, str], Iterator[tuple[str, Value]]]) -> Any:
            name_of_this = f"{name} {how.__name__}"
            return Lookup(database, name_of_this, index, lambda of, host: tuple(how(of, host)))

        self._covering: Lookup[Any, str, tuple[tuple[str, Value], ...]] = found(HostIndex.covering)
        self._matching: Lookup[Any, str, tuple[tuple[str, Value], ...]] = found(HostIndex.matching)
        self._under: Lookup[Any, str, tuple[tuple[str, Value], ...]] = found(HostIndex.under)
        self._whole: Lookup[Any, None, Same[Any]] = Lookup(
            database, f"all {name}", index, lambda of, _: Same(of)
        )

    def renew(self, mesh: Mesh) -> Iterator[None]:
        """Go over to another snapshot, in steps."""
        for lookup in (self._at, self._covering, self._matching, self._under, self._whole):
            lookup.renew(self._index_of(mesh))
            yield

    def get(self, host: str) -> Value | None:
        """Return what stands at a host itself."""
        return self._at(host)

    def covering(self, host: str) -> tuple[tuple[str, Value], ...]:
        """Return the wildcards that cover a host."""
        return self._covering(host)

    def matching(self, host: str) -> tuple[tuple[str, Value], ...]:
        """Return what covers a host or is covered by it."""
        return self._matching(host)

    def under(self, host: str) -> tuple[tuple[str, Value], ...]:
        """Return the hosts that a host covers, itself among them."""
        return self._under(host)

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole(None).value)


class _Parts:
    """Parts of the snapshot, by the path of their attributes."""

    def __init__(self, database: Database, mesh: Mesh) -> None:
        self.lookup: Lookup[Mesh, str, Same[Any]] = Lookup(
            database, "part of the mesh", mesh, lambda of, path: Same(attrgetter(path)(of))
        )

    def __call__(self, path: str) -> Any:
        return self.lookup(path).value


class AnalysedRegistry:
    """The registry, each of whose parts is a read of its own."""

    def __init__(self, parts: _Parts, hosts: AnalysedHosts[tuple[Service, ...]]) -> None:
        self._parts = parts
        self.hosts = hosts

    @property
    def services(self) -> LayeredDict[ServiceKey, Service]:
        """See `Registry`."""
        found: LayeredDict[ServiceKey, Service] = self._parts("registry.services")
        return found

    @property
    def pools(self) -> LayeredDict[ServiceKey, EndpointPool]:
        """See `Registry`."""
        found: LayeredDict[ServiceKey, EndpointPool] = self._parts("registry.pools")
        return found

    @property
    def declarations(self) -> Multimap[ServiceKey, ConfigKey, ServiceDeclaration]:
        """See `Registry`."""
        found: Multimap[ServiceKey, ConfigKey, ServiceDeclaration] = self._parts("registry.declarations")
        return found

    @property
    def workloads(self) -> Multimap[LabelKey, ConfigKey, Workload]:
        """See `Registry`."""
        found: Multimap[LabelKey, ConfigKey, Workload] = self._parts("registry.workloads")
        return found

    @property
    def workloads_by_key(self) -> LayeredDict[ConfigKey, Workload]:
        """See `Registry`."""
        found: LayeredDict[ConfigKey, Workload] = self._parts("registry.workloads_by_key")
        return found

    @property
    def by_address(self) -> Multimap[str, ServiceKey, tuple[Endpoint, ...]]:
        """See `Registry`."""
        found: Multimap[str, ServiceKey, tuple[Endpoint, ...]] = self._parts("registry.by_address")
        return found

    @property
    def aliases(self) -> Aliases:
        """See `Registry`."""
        found: Aliases = self._parts("registry.aliases")
        return found


class AnalysedMesh:
    """What `Mesh` tells, for the checks of one analysis."""

    def __init__(self, database: Database, mesh: Mesh) -> None:
        self.settings = mesh.settings
        """Never changes: with other settings everything is analysed anew."""
        self._parts = _Parts(database, mesh)
        self.mesh_hosts: AnalysedHosts[HostRules] = AnalysedHosts(
            database, "VirtualServices", mesh, lambda of: of.virtual_service_index.mesh_hosts
        )
        self.registry = AnalysedRegistry(
            self._parts, AnalysedHosts(database, "services", mesh, lambda of: of.registry.hosts)
        )
        self._documents: Lookup[Mesh, ConfigKey, Same[Config[Any] | None]] = Lookup(
            database, "document", mesh, lambda of, key: Same(of.config(key))
        )
        self._kinds: Lookup[Mesh, str, Same[LayeredDict[ConfigKey, Config[Any]]]] = Lookup(
            database, "documents of a kind", mesh, lambda of, kind: Same(of.configs_by_key(kind))
        )
        self._pools: Lookup[Any, Service, EndpointPool] = Lookup(
            database, "endpoints", mesh.registry, Registry.pool
        )
        self._rules: Lookup[DestinationRuleIndex, tuple[str, str, str], MergedRules] = Lookup(
            database,
            "DestinationRules of a client",
            mesh.destination_rule_index,
            lambda of, key: of.rules_for(*key),
        )
        self._authorizers: Lookup[Mesh, str, ExternalAuthorizer] = Lookup(
            database, "external authorizer", mesh, Mesh.external_authorizer
        )
        self._naming = _Naming(mesh.destination_rule_index)
        self._namespaces: Lookup[_Naming, str, frozenset[str]] = Lookup(
            database, "namespaces with DestinationRules", self._naming, _Naming.of
        )

    def renew(self, mesh: Mesh) -> Iterator[None]:
        """Go over to another snapshot with the same settings, in steps of some milliseconds."""
        self._parts.lookup.renew(mesh)
        self._kinds.renew(mesh)
        self._authorizers.renew(mesh)
        yield
        self._documents.renew(mesh)
        yield
        self._pools.renew(mesh.registry)
        yield
        self._rules.renew(mesh.destination_rule_index)
        yield
        if self._naming.index is not mesh.destination_rule_index:
            self._naming = _Naming(mesh.destination_rule_index)
            self._namespaces.renew(self._naming)
            yield
        yield from self.registry.hosts.renew(mesh)
        yield from self.mesh_hosts.renew(mesh)

    @property
    def rules(self) -> LayeredDict[ConfigKey, VirtualServiceRule]:
        """The VirtualServices with their delegates."""
        found: LayeredDict[ConfigKey, VirtualServiceRule] = self._parts("virtual_service_index.rules")
        return found

    @property
    def sidecars(self) -> Mapping[str, tuple[Config[Any], ...]]:
        """The Sidecars of each namespace."""
        found: Mapping[str, tuple[Config[Any], ...]] = self._parts("sidecar_index.by_namespace")
        return found

    @property
    def gateway_index(self) -> GatewayIndex:
        """The Gateways."""
        found: GatewayIndex = self._parts("gateway_index")
        return found

    @property
    def mesh_config(self) -> MeshConfig:
        """See `Mesh`."""
        return self.settings.mesh_config

    def configs(self, kind: str) -> tuple[Config[Any], ...]:
        """See `Mesh`."""
        return tuple(self._kinds(kind).value.values())

    def config(self, key: ConfigKey) -> Config[Any] | None:
        """See `Mesh`."""
        return self._documents(key).value

    def secret(self, namespace: str, name: str) -> Config[Any] | None:
        """See `Mesh`."""
        return self.config(ConfigKey("Secret", namespace, name))

    def endpoints(self, service: Service) -> EndpointPool:
        """See `Mesh`."""
        return self._pools(service)

    def external_authorizer(self, name: str) -> ExternalAuthorizer:
        """See `Mesh`."""
        return self._authorizers(name)

    def rules_for(self, client_namespace: str, host: str, service_namespace: str) -> MergedRules:
        """See `DestinationRuleIndex`."""
        return self._rules((client_namespace, host, service_namespace))

    def namespaces_with_rules(self, host: str) -> frozenset[str]:
        """Return the namespaces of the DestinationRules whose host covers `host`."""
        return self._namespaces(host)


class _Naming:
    """Which namespaces have DestinationRules for a host."""

    def __init__(self, index: DestinationRuleIndex) -> None:
        self.index = index
        self._by_host: HostIndex[set[str]] | None = None

    def of(self, host: str) -> frozenset[str]:
        if self._by_host is None:  # made when first needed
            namespaces: dict[str, set[str]] = {}
            for namespace, named in self.index.by_host:
                namespaces.setdefault(named, set()).add(namespace)
            self._by_host = HostIndex(namespaces)
        return frozenset().union(*(names for _, names in self._by_host.covering(host)))
