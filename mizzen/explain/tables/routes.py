"""The table of routes: a row for each destination of each route."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mizzen.explain.chain_words import chains, target
from mizzen.explain.origins import PartOrigins, Places
from mizzen.explain.route_effects import fault_words, mirror_words
from mizzen.explain.route_words import cluster_words, destinations, match_words, short_host
from mizzen.explain.tables.row import Row
from mizzen.explain.tables.sent import Sent
from mizzen.simulate.route import first_fault, mirrors_of
from mizzen.translator.base.cluster_names import parse_cluster_name
from mizzen.xds.resource import Resource


def route_rows(sent: Sent) -> Iterator[Row]:
    """Yield the routes of route configurations, then the routes inside listeners."""
    for resource, configuration, state in sent.of("routes"):
        yield from _of_configuration(sent, resource, configuration, state)
    seen: set[bytes] = set()
    for resource, listener, state in sent.of("listeners"):
        for _, chain in chains(listener):
            configuration = target(chain).routes
            if configuration is None:
                continue
            value = configuration.SerializeToString(deterministic=True)
            if value not in seen:  # the chains with and without TLS of a port have the same routes
                seen.add(value)
                yield from _of_configuration(sent, resource, configuration, state)


def domain_words(virtual_host: Any) -> str:
    """Return the domains of a VirtualHost: the first, and the number of the rest."""
    domains = list(virtual_host.domains)
    if not domains:
        return "-"
    # A service's virtual host lists every form of its host that a client may write.
    forms = (domains[0], f"{domains[0]}:*")
    more = [each for each in domains[1:] if each not in forms and not domains[0].startswith(each.rstrip("."))]
    return f"{short_host(domains[0])}{f' +{len(more)}' if more else ''}"


def _of_configuration(sent: Sent, resource: Resource, configuration: Any, state: str) -> Iterator[Row]:
    name = str(configuration.name)
    for host in configuration.virtual_hosts:
        if host.require_tls:
            yield _answered(
                sent, resource, name, host, state, match="plain text", destination="redirects 301 to HTTPS"
            )
        for index, route in enumerate(host.routes):
            places = sent.places(resource, _place(name, host.name, index))
            beside = tuple(_beside(route))
            for destination, weight in destinations(route):
                parsed = parse_cluster_name(destination)
                yield Row(
                    {
                        "ROUTES": name,
                        "DOMAIN": domain_words(host),
                        "MATCH": match_words(route.match),
                        "DESTINATION": "; ".join((cluster_words(destination), *beside)),
                        "WEIGHT": "-" if weight is None else str(weight),
                    },
                    places,
                    name,
                    state,
                    hosts=tuple(host.domains),
                    fqdn=parsed.hostname if parsed is not None else "",
                    port=_port(name),
                    subset=parsed.subset if parsed is not None else "",
                    direction="inbound"
                    if parsed is not None and parsed.direction == "inbound"
                    else "outbound",
                )
        if not host.routes:
            yield _answered(sent, resource, name, host, state, match="-", destination="answers 404")


def _beside(route: Any) -> Iterator[str]:
    """Yield what happens to calls beside going to a destination: faults and mirrors."""
    fault = first_fault((route,))
    if fault is not None:
        yield from fault_words(fault)
    for mirror in mirrors_of(route.route):
        yield mirror_words(mirror, cluster_words(mirror.cluster))


def _answered(
    sent: Sent, resource: Resource, name: str, host: Any, state: str, *, match: str, destination: str
) -> Row:
    """Return the row of an answer that a virtual host of the configuration `name` gives by itself."""
    return Row(
        {
            "ROUTES": name,
            "DOMAIN": domain_words(host),
            "MATCH": match,
            "DESTINATION": destination,
            "WEIGHT": "-",
        },
        sent.places(resource, lambda origins: origins.virtual_host(name, host.name)),
        name,
        state,
        hosts=tuple(host.domains),
        port=_port(name),
    )


def _place(configuration: str, host: str, index: int) -> Callable[[PartOrigins], Places]:
    return lambda origins: origins.route(configuration, host, index)


def _port(name: str) -> int:
    """Return the port that a route configuration is for: `9080`, `http.8080`, `inbound|9080||`, `host:80`."""
    for part in (name, *name.split("|"), *name.split("."), name.rpartition(":")[2]):
        if part.isdecimal():
            return int(part)
    return 0
