"""The rules of WorkloadEntry and WorkloadGroup.

https://istio.io/latest/docs/reference/config/networking/workload-entry/ and .../workload-group/
"""

from __future__ import annotations

from collections.abc import Collection

from mizzen.config.document import Config
from mizzen.config.models import HTTPHealthCheckConfig, ReadinessProbe, WorkloadEntry, WorkloadGroup
from mizzen.config.models.base import camel_case
from mizzen.config.validation.addresses import UNIX_PREFIX, is_ip_address, unix_address_problem
from mizzen.config.validation.header_forms import probe_name_problem
from mizzen.config.validation.hosts import fqdn_problem
from mizzen.config.validation.labels import check_labels
from mizzen.config.validation.place import Place
from mizzen.config.validation.ports import port_name_problem, port_number_problem


def check_workload_entry(config: Config[WorkloadEntry], place: Place) -> None:
    """Report at `place`, the spec, all that is wrong with a WorkloadEntry."""
    check_endpoint(config.spec, place, service_ports=None, dns_name_allowed=True)


def check_endpoint(
    endpoint: WorkloadEntry, place: Place, *, service_ports: Collection[str] | None, dns_name_allowed: bool
) -> None:
    """Check a workload: an endpoint of a service with those ports, or of a service that is not known
    (`service_ports` None)."""
    address = place / "address"
    if not endpoint.address:
        if endpoint.network:
            address.warning(
                f'the address is missing, so the gateway of network "{endpoint.network}" is called; '
                "write an address if this is not meant"
            )
        elif not place.lost("network"):
            address.error("the address is missing; write an IP address, a DNS name or a unix:// path")
    elif endpoint.address.startswith(UNIX_PREFIX):
        address.check(unix_address_problem(endpoint.address))
        if endpoint.ports:
            (place / "ports").error("a unix:// address has no ports; leave them out")
        if service_ports is not None and len(service_ports) != 1:
            address.error(
                "a unix:// address is for a service with one port; leave one port, or write an IP address"
            )
    elif not is_ip_address(endpoint.address):
        if not dns_name_allowed:
            address.error(f'"{endpoint.address}" is not an IP address; write one, or resolution DNS')
        elif fqdn_problem(endpoint.address):
            address.error(f'"{endpoint.address}" is not an address; write an IP address or a DNS name')
    check_endpoint_ports(endpoint, place, service_ports)
    check_labels(endpoint.labels, place / "labels")


def check_endpoint_ports(
    endpoint: WorkloadEntry, place: Place, service_ports: Collection[str] | None
) -> None:
    """Check the ports of a workload; their names must be among `service_ports`, unless that is None."""
    for name, number in endpoint.ports.items():
        here = place / "ports" / name
        if here.check(port_name_problem(name)) and service_ports is not None and name not in service_ports:
            known = ", ".join(sorted(service_ports)) or "none"
            here.error(f'the service has no port "{name}"; write one of its port names ({known})')
        here.check(port_number_problem(number))


def check_workload_group(config: Config[WorkloadGroup], place: Place) -> None:
    """Report at `place`, the spec, all that is wrong with a WorkloadGroup.

    The template is not checked as a WorkloadEntry is: the workload supplies what is missing in it.
    """
    group = config.spec
    if group.template is None:
        (place / "template").error("the template is missing; write it, {} at least")
    if group.metadata is not None:
        check_labels(group.metadata.labels, place / "metadata" / "labels")
    if group.probe is not None:
        _check_probe(group.probe, place / "probe")


_COUNTS = (
    "period_seconds",
    "initial_delay_seconds",
    "timeout_seconds",
    "success_threshold",
    "failure_threshold",
)


def _check_probe(probe: ReadinessProbe, place: Place) -> None:
    for count in _COUNTS:
        if getattr(probe, count) < 0:
            (place / camel_case(count)).error(f"{getattr(probe, count)} is negative; write 0 or more")
    if probe.http_get is not None:
        _check_http_get(probe.http_get, place / "httpGet")
    elif probe.tcp_socket is not None:
        (place / "tcpSocket" / "port").check(port_number_problem(probe.tcp_socket.port))
    elif probe.exec is not None:
        if not probe.exec.command:
            (place / "exec" / "command").error("the command is missing; write the program and its arguments")
    elif probe.grpc is not None:
        (place / "grpc").error("a probe by grpc is not possible; write httpGet, tcpSocket or exec")
    else:
        place.error("the probe has no method; write httpGet, tcpSocket or exec")


def _check_http_get(check: HTTPHealthCheckConfig, place: Place) -> None:
    (place / "port").check(port_number_problem(check.port))
    if check.scheme not in ("", "HTTP", "HTTPS"):
        (place / "scheme").error(f'"{check.scheme}" is not a scheme of a probe; write HTTP or HTTPS')
    for index, header in enumerate(check.http_headers):
        (place / "httpHeaders" / index / "name").check(probe_name_problem(header.name))
