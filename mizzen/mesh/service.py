"""Services and their endpoints, independent of the kind of document that declares them.

All of these are compared and hashed by identity. An unchanged one keeps its object from one snapshot of the
mesh to the next, so that results computed from it can be cached under it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mizzen.config.diagnostics import Origin
from mizzen.config.models.protocol import Protocol as Protocol
from mizzen.mesh.visibility import PUBLIC


class Resolution(StrEnum):
    """How the endpoints of a service are found (ServiceEntry.resolution); a Kubernetes Service is STATIC.

    ALIAS is a Service of type ExternalName: it has no endpoints, and stands for the service of a different
    host.
    """

    NONE = "NONE"
    STATIC = "STATIC"
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"
    DYNAMIC_DNS = "DYNAMIC_DNS"
    ALIAS = "ALIAS"


@dataclass(frozen=True, slots=True)
class Locality:
    """The place where an endpoint or a proxy runs; empty parts are unknown."""

    region: str = ""
    zone: str = ""
    subzone: str = ""

    @classmethod
    def parse(cls, text: str, separator: str = "/") -> Locality:
        """Read `region/zone/subzone`; later parts may be missing."""
        region, _, rest = text.partition(separator)
        zone, _, subzone = rest.partition(separator)
        return cls(region, zone, subzone)

    def __str__(self) -> str:
        return "/".join((self.region, self.zone, self.subzone)).rstrip("/")


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a service. `target_port` is the workload's port: a number, a name (Kubernetes), or None if
    the number is the same."""

    name: str
    number: int
    protocol: Protocol
    target_port: int | str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SharedHost:
    """The services that several documents of one namespace declare for one hostname, in their order.

    `seen` caches the service merged from the declarations that some namespace sees. This saves time, and the
    same declarations give the same object.
    """

    services: tuple[Service, ...]
    seen: dict[tuple[Service, ...], Service] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """A service of the registry: one for each (namespace, hostname).

    `addresses` are its virtual IPs or CIDRs, empty for none (Istio's 0.0.0.0). `auto_allocated_addresses` are
    allocated to a service without addresses, for proxies that capture DNS. `subject_alt_names` come from
    ServiceEntry.subjectAltNames. `creation` orders services as Istio does, oldest first; it differs for any
    two hosts that a proxy sees.
    `from_kubernetes` services are named by `name`, others by their hostname.
    `aliases` are the hostnames of the ExternalName Services that stand for this one; in such a Service,
    `alias_of` is the hostname that it stands for in the end.
    `shared` has the single services, if several documents declare the host (mesh/services/shared_hosts.py).
    """

    hostname: str
    namespace: str
    name: str
    ports: tuple[ServicePort, ...]
    resolution: Resolution
    addresses: tuple[str, ...] = ()
    auto_allocated_addresses: tuple[str, ...] = ()
    from_kubernetes: bool = False
    mesh_external: bool = False
    headless: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    selector: Mapping[str, str] | None = None
    export_to: frozenset[str] = frozenset({"*"})
    subject_alt_names: tuple[str, ...] = ()
    traffic_distribution: str = ""
    internal_traffic_policy_local: bool = False
    creation: tuple[float, str, str, str] = (0.0, "", "", "")
    origins: tuple[Origin, ...] = ()
    aliases: tuple[str, ...] = ()
    alias_of: str = ""
    shared: SharedHost | None = None

    @property
    def is_alias(self) -> bool:
        """True if this is only an additional name of a different service."""
        return self.resolution is Resolution.ALIAS

    @property
    def declared(self) -> tuple[Service, ...]:
        """The services that single documents declare for the host, each with its own addresses and ports."""
        return (self,) if self.shared is None else self.shared.services

    @property
    def precedence(self) -> tuple[bool, tuple[float, str, str, str]]:
        """The sort key of the services that a namespace sees: services exported to it by name first, each
        group oldest first (Istio's servicesExportedToNamespace)."""
        return (PUBLIC in self.export_to, self.creation)

    def is_called_on(self, number: int) -> bool:
        """Return True if the service has that port; UDP ports do not count."""
        return any(port.number == number and port.protocol is not Protocol.UDP for port in self.ports)

    def called_by_http(self, number: int) -> Service:
        """Return the declared service that decides how HTTP is called on a port: the last with that port, as
        in Istio."""
        if self.shared is None:
            return self
        found = [(port, one) for one in self.shared.services if (port := one.port(number)) is not None]
        http = [one for port, one in found if port.protocol.is_http or port.protocol.is_auto]
        return (http or [one for _, one in found] or [self])[-1]

    @property
    def key(self) -> tuple[str, str]:
        """The namespace and the hostname."""
        return (self.namespace, self.hostname)

    def port(self, number: int) -> ServicePort | None:
        """Return the port of that number, or None; UDP ports are not ports of the mesh."""
        for port in self.ports:
            if port.number == number and port.protocol is not Protocol.UDP:
                return port
        return None


class HealthStatus(StrEnum):
    """Whether an endpoint takes traffic (Istio's model.HealthStatus)."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"
    TERMINATING = "TERMINATING"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address behind a service, with the workload's port for each service port.

    `address` is an IP, a hostname (DNS services), `unix:///path`, or empty if only the `network` is known:
    the endpoint is then called through the network's gateways. `addresses` are all addresses of the workload,
    in its order, if it has several (a pod with IPv4 and IPv6). `ports` maps the *service port's name* to the
    port number to dial (0 for a unix socket). `labels` include the topology labels. `identity` is the
    SPIFFE id or empty. `tls_mode` is "istio", "disabled" or what the label says. Compared by value.
    """

    address: str
    ports: tuple[tuple[str, int], ...]
    labels: tuple[tuple[str, str], ...] = ()
    locality: Locality = Locality()
    weight: int = 1
    network: str = ""
    cluster_id: str = ""
    identity: str = ""
    tls_mode: str = "disabled"
    workload_name: str = ""
    namespace: str = ""
    node_name: str = ""
    health: HealthStatus = HealthStatus.HEALTHY
    origin: Origin | None = None
    addresses: tuple[str, ...] = ()

    def port_named(self, name: str) -> int | None:
        """Return the number to dial for the service port of that name, or None if the endpoint lacks it."""
        for port_name, number in self.ports:
            if port_name == name:
                return number
        return None

    def has_labels(self, wanted: Mapping[str, str]) -> bool:
        """Return True if the labels are a superset of `wanted`."""
        if not wanted:
            return True
        own = self.labels
        return all(label in own for label in wanted.items())


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class EndpointPool:
    """The endpoints of one (namespace, hostname), in a deterministic order. Hashed by identity: an unchanged
    pool keeps its object, so that a change of endpoints costs only the services that it concerns."""

    endpoints: tuple[Endpoint, ...] = ()

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.endpoints)

    def __len__(self) -> int:
        return len(self.endpoints)
