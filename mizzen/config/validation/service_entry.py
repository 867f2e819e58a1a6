"""The rules of ServiceEntry.

https://istio.io/latest/docs/reference/config/networking/service-entry/
"""

from __future__ import annotations

from typing import Final

from mizzen.config.document import Config
from mizzen.config.models import Location, Resolution, ServiceEntry, ServicePort, WorkloadEntry
from mizzen.config.models.host import is_wildcard
from mizzen.config.models.protocol import Protocol
from mizzen.config.validation.addresses import ip_subnet_problem, is_ip_address
from mizzen.config.validation.export_to import check_export_to
from mizzen.config.validation.hosts import fqdn_problem, partial_wildcard_problem, wildcard_domain_problem
from mizzen.config.validation.labels import check_labels, check_selector
from mizzen.config.validation.place import Place
from mizzen.config.validation.ports import port_name_problem, port_number_problem, protocol_problem
from mizzen.config.validation.workload import check_endpoint, check_endpoint_ports

_WAYPOINT_LABEL: Final = "istio.io/use-waypoint"
_DYNAMIC_DNS_PROTOCOLS: Final = (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.TLS)


def check_service_entry(config: Config[ServiceEntry], place: Place) -> None:
    """Report at `place`, the spec, all that is wrong with a ServiceEntry."""
    entry = config.spec
    if entry.workload_selector is not None:
        here = place / "workloadSelector"
        check_selector(entry.workload_selector.labels, here, "labels", "every workload of the namespace")
        if "endpoints" in entry.model_fields_set:
            (place / "endpoints").error("endpoints and workloadSelector exclude each other; keep one of them")
    _check_hosts(entry, place / "hosts")
    _check_addresses(entry, place / "addresses")
    for index, port in enumerate(entry.ports):
        _check_port(port, entry.ports[:index], place / "ports" / index)
    _warn_of_missing_addresses(entry, place)
    _check_resolution(config, place)
    _check_hosts_can_be_told_apart(entry, place)
    check_export_to(entry.export_to, place / "exportTo", nobody_allowed=True)


def _check_hosts(entry: ServiceEntry, place: Place) -> None:
    if not entry.hosts:
        place.error("the ServiceEntry has no hosts; write at least one")
    looked_up_on_call = entry.resolution is Resolution.DYNAMIC_DNS or place.spec.lost("resolution")
    for index, host in enumerate(entry.hosts):
        here = place / index
        if host == "*":
            here.error(
                '"*" is not a host of a service; write a DNS name, or a wildcard such as *.example.com'
            )
            continue
        partial = partial_wildcard_problem(host)
        if here.check(wildcard_domain_problem(host)) and partial and not looked_up_on_call:
            here.warning(partial)


def _check_addresses(entry: ServiceEntry, place: Place) -> None:
    for index, address in enumerate(entry.addresses):
        here = place / index
        if not here.check(ip_subnet_problem(address)):
            continue
        if "/" in address and entry.resolution not in (Resolution.NONE, Resolution.STATIC):
            here.error(
                f"a CIDR block is not possible with resolution {entry.resolution}; "
                "write single addresses, or resolution NONE or STATIC"
            )


def _check_port(port: ServicePort, earlier: tuple[ServicePort, ...], place: Place) -> None:
    if (place / "name").check(port_name_problem(port.name)) and any(port.name == it.name for it in earlier):
        (place / "name").error(f'"{port.name}" names another port too; write a name of its own')
    if (place / "number").check(port_number_problem(port.number)) and any(
        port.number == it.number for it in earlier
    ):
        (place / "number").error(f"port {port.number} is given twice; leave one out")
    (place / "protocol").check(protocol_problem(port.protocol))
    if port.target_port:
        (place / "targetPort").check(port_number_problem(port.target_port))


def _warn_of_missing_addresses(entry: ServiceEntry, place: Place) -> None:
    """Warn about TCP ports without an address that distinguishes them from others.

    The resolution does not matter: an automatically allocated address distinguishes them only where a proxy
    captures DNS.
    """
    if entry.addresses or place.lost("addresses"):
        return
    for index, port in enumerate(entry.ports):
        if port.protocol.upper() in ("", "TCP"):
            (place / "ports" / index).warning(
                "the service has no addresses, so a port of TCP or of no protocol takes all calls to it; "
                "write addresses, or the protocol if it is HTTP or TLS",
                "IST0134",
            )


def _check_resolution(config: Config[ServiceEntry], place: Place) -> None:
    entry = config.spec
    if place.lost("resolution"):
        return
    if entry.resolution is Resolution.NONE:
        if entry.endpoints:
            (place / "endpoints").error(
                "endpoints are not possible with resolution NONE; write resolution STATIC or DNS"
            )
        if entry.workload_selector is not None:
            (place / "workloadSelector").warning(
                "workloadSelector has no effect with resolution NONE; write resolution STATIC"
            )
    elif entry.resolution is Resolution.STATIC:
        names = _port_names(entry, place)
        for index, endpoint in enumerate(entry.endpoints):
            check_endpoint(endpoint, place / "endpoints" / index, service_ports=names, dns_name_allowed=False)
    elif entry.resolution is Resolution.DYNAMIC_DNS:
        _check_dynamic_dns(config, place)
    else:
        _check_dns(entry, place)


def _check_dns(entry: ServiceEntry, place: Place) -> None:
    if not entry.endpoints and not place.lost("endpoints"):
        for index, host in enumerate(entry.hosts):
            if is_wildcard(host) and not wildcard_domain_problem(host) and fqdn_problem(host):
                (place / "hosts" / index).error(
                    f'"{host}" cannot be looked up with resolution {entry.resolution}; '
                    "write a host without wildcard, or endpoints"
                )
    if entry.resolution is Resolution.DNS_ROUND_ROBIN and len(entry.endpoints) > 1:
        (place / "endpoints").error(
            f"resolution DNS_ROUND_ROBIN takes one endpoint, not {len(entry.endpoints)}; "
            "leave one, or write resolution DNS"
        )
    names = _port_names(entry, place)
    for index, endpoint in enumerate(entry.endpoints):
        _check_dns_endpoint(endpoint, names, place / "endpoints" / index)
    if len(entry.hosts) > 1 and entry.addresses:
        for index, port in enumerate(entry.ports):
            if Protocol.parse(port.protocol).is_tcp:
                (place / "ports" / index).warning(
                    "several hosts share addresses and this port of TCP, so only one of them is reached; "
                    "write a ServiceEntry for each host"
                )
                break


def _port_names(entry: ServiceEntry, place: Place) -> set[str] | None:
    """Return the names of the ports; None if they are not all known."""
    return None if place.lost("ports") else {port.name for port in entry.ports}


def _check_dns_endpoint(endpoint: WorkloadEntry, service_ports: set[str] | None, place: Place) -> None:
    if not is_ip_address(endpoint.address) and fqdn_problem(endpoint.address):
        (place / "address").error(
            f'"{endpoint.address}" is not an address; write a DNS name or an IP address'
        )
    check_labels(endpoint.labels, place / "labels")
    check_endpoint_ports(endpoint, place, service_ports)


def _check_dynamic_dns(config: Config[ServiceEntry], place: Place) -> None:
    entry = config.spec
    for index, host in enumerate(entry.hosts):
        if not is_wildcard(host):
            (place / "hosts" / index).error(
                f'"{host}" is not a wildcard; write one such as *.example.com, or resolution DNS'
            )
    for field in ("addresses", "endpoints"):
        if getattr(entry, field):
            (place / field).error(f"{field} are not possible with resolution DYNAMIC_DNS; leave them out")
    for index, port in enumerate(entry.ports):
        if Protocol.parse(port.protocol) not in _DYNAMIC_DNS_PROTOCOLS:
            (place / "ports" / index / "protocol").error(
                f'"{port.protocol}" is not possible with DYNAMIC_DNS; write HTTP, HTTP2, GRPC or TLS'
            )
    waypoint = config.labels.get(_WAYPOINT_LABEL, "")
    if entry.location is Location.MESH_INTERNAL and waypoint and waypoint.lower() != "none":
        (place / "location").error(
            "MESH_INTERNAL with resolution DYNAMIC_DNS is not possible behind a waypoint; write MESH_EXTERNAL"
        )


def _check_hosts_can_be_told_apart(entry: ServiceEntry, place: Place) -> None:
    if entry.resolution is Resolution.NONE or len(entry.hosts) < 2:
        return
    for index, port in enumerate(entry.ports):
        protocol = Protocol.parse(port.protocol)
        if not protocol.is_http and not protocol.is_tls:
            (place / "ports" / index / "protocol").error(
                f"several hosts cannot be told apart on a port of {port.protocol or 'no protocol'}; "
                "write a ServiceEntry for each host, or a protocol of HTTP or TLS"
            )
            return
