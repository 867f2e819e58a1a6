"""Services as single documents declare them, before the declarations of one host are merged."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mizzen.config import kubernetes, models
from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config
from mizzen.config.group_kinds import SERVICE_ENTRY
from mizzen.mesh.service import Endpoint, Protocol, Resolution, Service, ServicePort
from mizzen.mesh.services.protocols import kubernetes_protocol
from mizzen.mesh.services.shared_hosts import difference, join
from mizzen.mesh.services.workloads import Workload, endpoint_of, workload_from_inline
from mizzen.mesh.settings import MeshSettings
from mizzen.mesh.visibility import visible_to

EXPORT_TO_ANNOTATION: Final = "networking.istio.io/exportTo"
TRAFFIC_DISTRIBUTION_ANNOTATION: Final = "networking.istio.io/traffic-distribution"

DNS_RESOLUTIONS: Final = frozenset({Resolution.DNS, Resolution.DNS_ROUND_ROBIN})


@dataclass(frozen=True, slots=True, eq=False)
class ServiceDeclaration:
    """A service as one document declares it, and the endpoints in that document.

    `selector` picks workloads of the namespace; None picks none. `selected` caches the endpoints made from
    workloads.
    """

    config: Config[Any]
    service: Service
    endpoints: tuple[Endpoint, ...] = ()
    selector: Mapping[str, str] | None = None
    selected: dict[Workload, Endpoint | None] = field(default_factory=dict, repr=False)

    @property
    def served_ports(self) -> tuple[ServicePort, ...]:
        """The ports that the mesh serves: all except UDP."""
        return tuple(port for port in self.service.ports if port.protocol is not Protocol.UDP)

    def order(self) -> tuple[bool, float, str, str]:
        """Return the sort key among the declarations of one host: Kubernetes
        Services first, then the oldest."""
        created = self.service.creation[0]
        return (not self.service.from_kubernetes, created, self.config.name, self.config.namespace)

    def takes(self, workload: Workload) -> bool:
        """Return True if a workload that the selector picks can be an endpoint: it has an IP address, or is a
        pod, or the service resolves names by DNS."""
        return workload.has_ip_address or workload.is_pod or self.service.resolution in DNS_RESOLUTIONS

    def endpoint_of(self, workload: Workload) -> Endpoint | None:
        """Return the endpoint made from a selected workload, or None if the workload has no address."""
        if workload not in self.selected:
            self.selected[workload] = endpoint_of(workload, self.served_ports, workload.key.namespace)
        return self.selected[workload]


def declare_services(config: Config[Any], settings: MeshSettings) -> tuple[ServiceDeclaration, ...]:
    """Return the declarations of a ServiceEntry (one for each host) or a Kubernetes Service (one)."""
    if config.group_kind == SERVICE_ENTRY:
        return _declare_service_entry(config, settings)
    return (_declare_kubernetes_service(config, settings),)


def hosts_declared(config: Config[Any], settings: MeshSettings) -> tuple[str, ...]:
    """Return the hosts that `declare_services` would declare, without declaring them."""
    if config.group_kind == SERVICE_ENTRY:
        entry: models.ServiceEntry = config.spec
        return tuple(dict.fromkeys(entry.hosts))
    return (kubernetes_hostname(config, settings),)


def kubernetes_hostname(config: Config[Any], settings: MeshSettings) -> str:
    """Return the hostname of a Kubernetes Service: `name.namespace.svc.domain`."""
    name = f"{config.name}.{config.namespace}.svc"
    return f"{name}.{settings.domain}" if settings.domain else name


def _declare_service_entry(config: Config[Any], settings: MeshSettings) -> tuple[ServiceDeclaration, ...]:
    entry: models.ServiceEntry = config.spec
    resolution = Resolution(entry.resolution.value)
    ports = tuple(
        ServicePort(port.name, port.number, Protocol.parse(port.protocol), port.target_port or None)
        for port in entry.ports
    )
    selector = entry.workload_selector.labels if entry.workload_selector is not None else None
    served = tuple(port for port in ports if port.protocol is not Protocol.UDP)
    inline = [
        workload_from_inline(endpoint, config, index, settings)
        for index, endpoint in enumerate(entry.endpoints)
    ]
    endpoints = tuple(
        endpoint
        for workload in inline
        if (endpoint := endpoint_of(workload, served, config.namespace)) is not None
    )
    created = config.creation_timestamp.timestamp() if config.creation_timestamp is not None else 0.0
    declarations = []
    for host in hosts_declared(config, settings):
        service = Service(
            hostname=host,
            namespace=config.namespace,
            name=host,
            ports=ports,
            resolution=resolution,
            addresses=_virtual_addresses(entry.addresses),
            mesh_external=entry.location is models.Location.MESH_EXTERNAL,
            labels=config.labels,
            annotations=config.annotations,
            selector=selector,
            export_to=visible_to(
                entry.export_to, settings.mesh_config.default_service_export_to, config.namespace
            ),
            subject_alt_names=entry.subject_alt_names,
            traffic_distribution=config.annotations.get(TRAFFIC_DISTRIBUTION_ANNOTATION, ""),
            creation=(created, host, config.namespace, host),
            origins=(config.origin,),
        )
        own = endpoints
        if resolution in DNS_RESOLUTIONS and not entry.endpoints and selector is None:
            own = (_host_endpoint(host, served, config),)
        declarations.append(ServiceDeclaration(config, service, own, selector))
    return tuple(declarations)


def _host_endpoint(host: str, ports: tuple[ServicePort, ...], config: Config[Any]) -> Endpoint:
    """Return the endpoint of a DNS service that lists none: its own host."""
    numbers = tuple(
        (port.name, port.target_port if isinstance(port.target_port, int) else port.number) for port in ports
    )
    return Endpoint(address=host, ports=numbers, namespace=config.namespace, origin=config.origin)


def _virtual_addresses(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return addresses and CIDR blocks: a block of one address becomes that address,
    invalid ones are dropped."""
    kept: dict[str, None] = {}
    for text in addresses:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        kept[str(network.network_address) if network.num_addresses == 1 else text.lower()] = None
    return tuple(kept)


def _declare_kubernetes_service(config: Config[Any], settings: MeshSettings) -> ServiceDeclaration:
    spec = config.spec.spec
    external = spec.external_name if spec.type == "ExternalName" else ""
    if external:
        resolution = Resolution.ALIAS
    else:
        resolution = Resolution.NONE if spec.headless else Resolution.STATIC
    ports = tuple(
        ServicePort(
            port.name,
            port.port,
            kubernetes_protocol(port.port, port.name, port.protocol, port.app_protocol),
            port.target_port,
        )
        for port in spec.ports
        if port.protocol != "SCTP"
    )
    annotation = config.annotations.get(EXPORT_TO_ANNOTATION, "")
    export_to = [entry.strip() for entry in annotation.split(",") if entry.strip()]
    created = config.creation_timestamp.timestamp() if config.creation_timestamp is not None else 0.0
    hostname = kubernetes_hostname(config, settings)
    service = Service(
        hostname=hostname,
        namespace=config.namespace,
        name=config.name,
        ports=ports,
        resolution=resolution,
        addresses=_cluster_addresses(spec),
        from_kubernetes=True,
        mesh_external=bool(external),
        headless=spec.headless,
        labels=config.labels,
        annotations=config.annotations,
        selector=spec.selector or None,
        export_to=visible_to(export_to, settings.mesh_config.default_service_export_to, config.namespace),
        traffic_distribution=spec.traffic_distribution
        or config.annotations.get(TRAFFIC_DISTRIBUTION_ANNOTATION, ""),
        internal_traffic_policy_local=spec.internal_traffic_policy == "Local",
        # A ServiceEntry of the namespace may have the bare name as its host.
        creation=(created, config.name, config.namespace, hostname),
        origins=(config.origin,),
        alias_of=external.rstrip(".").lower(),
    )
    return ServiceDeclaration(config, service, (), None if external else service.selector)


def _cluster_addresses(spec: kubernetes.ServiceSpec) -> tuple[str, ...]:
    given = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    return tuple(address.lower() for address in given if address != "None")


def merge_declarations(
    declarations: Sequence[ServiceDeclaration],
) -> tuple[Service, tuple[Diagnostic, ...]]:
    """Return the service merged from the declarations of one host in one namespace, and a diagnostic for each
    ignored one: its ports get no cluster. `declarations` are in their `order`."""
    service = join([declaration.service for declaration in declarations])
    if service.shared is None:
        return service, ()
    ignored: list[Diagnostic] = []
    for declaration in declarations:
        ports = [port for port in declaration.served_ports if service.port(port.number) is None]
        if ports:
            reason = difference(service, declaration.service)
            ignored.append(_ignored_ports(declaration, service, ports, reason))
    return service, tuple(ignored)


def _ignored_ports(
    declaration: ServiceDeclaration, owner: Service, ports: list[ServicePort], difference: str
) -> Diagnostic:
    numbers = ", ".join(str(port.number) for port in ports)
    return Diagnostic(
        Severity.WARNING,
        "MZ0201",
        f"host {owner.hostname} is owned by {owner.origins[0]}, so port {numbers} of this one is ignored; "
        f"give both the same {difference}, or declare the ports there",
        declaration.config.origin_of("spec", "ports"),
        "spec.ports",
        owner.origins[:1],
    )
