"""The rules of VirtualService.

https://istio.io/latest/docs/reference/config/networking/virtual-service/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mizzen.config.document import Config
from mizzen.config.models import L4MatchAttributes, TCPRoute, TLSMatchAttributes, TLSRoute, VirtualService
from mizzen.config.models.host import is_subset_of, is_wildcard, matches
from mizzen.config.validation.addresses import ip_subnet_problem, is_ip_address
from mizzen.config.validation.destinations import check_weighted
from mizzen.config.validation.export_to import check_export_to
from mizzen.config.validation.gateway_names import check_gateway_names
from mizzen.config.validation.header_forms import is_claim
from mizzen.config.validation.hosts import gateway_domain_problem, wildcard_domain_problem
from mizzen.config.validation.http_route import check_http_route
from mizzen.config.validation.labels import check_labels
from mizzen.config.validation.place import Place
from mizzen.config.validation.ports import port_number_problem
from mizzen.config.validation.reachability import warn_of_unreachable

_MESH: Final = "mesh"


def check_virtual_service(config: Config[VirtualService], place: Place) -> None:
    """Report at `place`, the spec, all that is wrong with a VirtualService."""
    service = config.spec
    is_delegate = not service.hosts and not place.lost("hosts")
    if is_delegate:
        for field in ("gateways", "tls", "tcp"):
            if getattr(service, field):
                (place / field).error(
                    f"a VirtualService without hosts is a delegate, which has no {field}; write hosts, "
                    f"or leave {field} out"
                )
    check_gateway_names(service.gateways, place / "gateways")
    _check_hosts(service, place / "hosts")
    if not (service.http or service.tcp or service.tls):
        place.error("the VirtualService has no routes; write http, tls or tcp")
    for index, route in enumerate(service.http):
        check_http_route(route, place / "http" / index, in_delegate=is_delegate)
    _check_claims(service, place / "http")
    for index, tls_route in enumerate(service.tls):
        _check_tls_route(tls_route, service, place / "tls" / index)
    for index, tcp_route in enumerate(service.tcp):
        _check_tcp_route(tcp_route, place / "tcp" / index)
    check_export_to(service.export_to, place / "exportTo")
    warn_of_unreachable(service, place)


def _is_for_gateways_only(service: VirtualService, place: Place) -> bool:
    """Tell whether it does not apply to sidecars: it names gateways, and `mesh` is not among them. That
    counts as true if they are malformed, since more is possible on gateways."""
    return place.spec.lost("gateways") or (bool(service.gateways) and _MESH not in service.gateways)


def _check_hosts(service: VirtualService, place: Place) -> None:
    for_gateways = _is_for_gateways_only(service, place)
    has_sni = any(match.sni_hosts for route in service.tls for match in route.match)
    valid = True
    for index, host in enumerate(service.hosts):
        here = place / index
        if host == "*" and not for_gateways:
            here.error('"*" is possible on gateways only; write a service\'s host, or a Gateway in gateways')
            valid = False
        elif not is_ip_address(host):
            problem = (
                gateway_domain_problem(host, sni=has_sni) if for_gateways else wildcard_domain_problem(host)
            )
            valid = here.check(problem) and valid
    if not valid:
        return
    seen: set[str] = set()
    wildcards: list[str] = []
    for index, host in enumerate(service.hosts):
        # Exact hosts, of which there may be thousands, match only themselves.
        others = service.hosts[:index] if is_wildcard(host) else wildcards
        earlier = host if host in seen else next((each for each in others if matches(each, host)), None)
        if earlier is not None:
            reason = "is given twice" if earlier == host else f'and "{earlier}" cover the same hosts'
            (place / index).error(f'"{host}" {reason}; leave one out')
        seen.add(host)
        if is_wildcard(host):
            wildcards.append(host)


def _check_claims(service: VirtualService, place: Place) -> None:
    if _is_for_gateways_only(service, place):
        return
    for index, route in enumerate(service.http):
        for number, match in enumerate(route.match):
            for field, headers in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
                for name in filter(is_claim, headers):
                    (place / index / "match" / number / field / name).error(
                        "routing by claims of a JWT is possible on gateways only; write gateways without mesh"
                    )


def _check_tls_route(route: TLSRoute, service: VirtualService, place: Place) -> None:
    if not route.match:
        (place / "match").error("the TLS route has no match; write one with sniHosts")
    for index, match in enumerate(route.match):
        here = place / "match" / index
        if not match.sni_hosts:
            (here / "sniHosts").error("the match has no sniHosts; write at least one")
        for number, host in enumerate(match.sni_hosts):
            _check_sni_host(host, service, here / "sniHosts" / number)
        _check_connection_match(match, here)
    _check_destinations_given(route, place)


def _check_sni_host(host: str, service: VirtualService, place: Place) -> None:
    if is_ip_address(host):
        place.warning(f'"{host}" is an IP address, which clients do not send as SNI; write a DNS name')
        return
    for_gateways = _is_for_gateways_only(service, place)
    problem = gateway_domain_problem(host, sni=True) if for_gateways else wildcard_domain_problem(host)
    if not place.check(problem) or place.spec.lost("hosts"):
        return
    if not any(is_subset_of(host, other) for other in service.hosts):
        place.error(
            f'"{host}" is not among the hosts of this VirtualService; write one of them, '
            f'or "{host}" in hosts too ({", ".join(service.hosts) or "none now"})'
        )


def _check_tcp_route(route: TCPRoute, place: Place) -> None:
    for index, match in enumerate(route.match):
        _check_connection_match(match, place / "match" / index)
    _check_destinations_given(route, place)


def _check_destinations_given(route: TLSRoute | TCPRoute, place: Place) -> None:
    if not route.route:
        (place / "route").error("the route goes nowhere; write at least one destination")
    check_weighted(route.route, place / "route")


def _check_connection_match(match: TLSMatchAttributes | L4MatchAttributes, place: Place) -> None:
    _check_subnets(match.destination_subnets, place / "destinationSubnets")
    if match.port:
        (place / "port").check(port_number_problem(match.port))
    check_labels(match.source_labels, place / "sourceLabels")
    check_gateway_names(match.gateways, place / "gateways")


def _check_subnets(subnets: Sequence[str], place: Place) -> None:
    for index, subnet in enumerate(subnets):
        (place / index).check(ip_subnet_problem(subnet))
