"""The rules of MeshNetworks beyond the types of its fields: those of Istio's ValidateMeshNetworks, and
warnings about fields that need a registry which finds services by itself."""

from __future__ import annotations

from mizzen.config.codes import UNSERVED_MESH_FIELD
from mizzen.config.diagnostics import Severity
from mizzen.config.mesh_networks import (
    WITHOUT_EFFECT,
    IstioNetworkGateway,
    MeshNetworks,
    Network,
    NetworkEndpoints,
)
from mizzen.config.validation.addresses import ip_address_problem, ip_subnet_problem, is_ip_address
from mizzen.config.validation.hosts import dns_label_problem, fqdn_problem
from mizzen.config.validation.place import Place
from mizzen.config.validation.ports import port_number_problem


def check_mesh_networks(settings: MeshNetworks, place: Place) -> None:
    """Check all networks; `place` is that of MeshNetworks."""
    before = len(place.diagnostics)
    for name, network in settings.networks.items():
        here = place / "networks" / name
        for index, endpoints in enumerate(network.endpoints):
            _check_endpoints(endpoints, here / "endpoints" / index)
        for index, gateway in enumerate(network.gateways):
            _check_gateway(gateway, here / "gateways" / index)
        _check_reachable(network, here)
    if all(diagnostic.severity is not Severity.ERROR for diagnostic in place.diagnostics[before:]):
        _check_overlaps(settings, place)


def _check_endpoints(endpoints: NetworkEndpoints, place: Place) -> None:
    if endpoints.from_cidr is not None:
        text = endpoints.from_cidr
        zoned = f'"{text}" has a zone; leave out the % and what follows' if "%" in text else None
        (place / "fromCidr").check(zoned or ip_subnet_problem(text))
    elif endpoints.from_registry is not None:
        here = place / "fromRegistry"
        if here.check(dns_label_problem(endpoints.from_registry, "name of a registry")):
            cure = "name the addresses by fromCidr, or write `network` at each endpoint"
            _without_effect(here, "networks[].endpoints[].fromRegistry", cure)
    else:
        place.error("names no endpoints; write fromCidr, such as 10.0.0.0/8")


def _check_gateway(gateway: IstioNetworkGateway, place: Place) -> None:
    if gateway.address is not None:
        here = place / "address"
        if not is_ip_address(gateway.address):
            problem = None if fqdn_problem(gateway.address) is None else ip_address_problem(gateway.address)
            if here.check(problem):
                here.warning(
                    f'"{gateway.address}" is a name, so only services with resolution DNS are called by this '
                    "gateway; give the IP address too, as a gateway of its own"
                )
    elif gateway.registry_service_name is not None:
        here = place / "registryServiceName"
        if here.check(fqdn_problem(gateway.registry_service_name)):
            cure = "write `address` with the IP of the gateway"
            _without_effect(here, "networks[].gateways[].registryServiceName", cure)
    else:
        place.error("names no gateway; write address, such as 192.0.2.10")
    (place / "port").check(port_number_problem(gateway.port))
    if gateway.locality:
        _without_effect(place / "locality", "networks[].gateways[].locality", "leave it out")


def _without_effect(place: Place, field: str, cure: str) -> None:
    place.warning(f"takes no effect: {WITHOUT_EFFECT[field]}; {cure}", UNSERVED_MESH_FIELD)


def _check_reachable(network: Network, place: Place) -> None:
    if network.gateways and not any(gateway.address for gateway in network.gateways):
        (place / "gateways").warning(
            "none of them has an address, so endpoints of this network are called directly from the others; "
            "add a gateway with address and port"
        )


def _check_overlaps(settings: MeshNetworks, place: Place) -> None:
    for name, network in settings.networks.items():
        for index, endpoints in enumerate(network.endpoints):
            if endpoints.from_cidr:
                owner = settings.table.network_of(endpoints.from_cidr.partition("/")[0])
                if owner != name:
                    (place / "networks" / name / "endpoints" / index / "fromCidr").warning(
                        f'"{endpoints.from_cidr}" lies in a block of network {owner}, to which its addresses '
                        "belong; write blocks that do not overlap"
                    )
