"""The routes of VirtualServices, reused until something that was looked up for them changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from mizzen.mesh.rules.virtual_services import VirtualServiceRule
from mizzen.mesh.service import Service
from mizzen.translator.base.memo import Memo
from mizzen.translator.base.route_settings import RouteSettings
from mizzen.translator.routes.action import Destinations
from mizzen.translator.routes.virtual_service import (
    Caller,
    Position,
    RouteList,
    destination_hosts,
    virtual_service_routes,
)

if TYPE_CHECKING:
    from mizzen.mesh.rules.destination_rules import MergedDestinationRule
    from mizzen.mesh.scope.sidecar_scope import SidecarScope

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, eq=False)
class RoutedListener:
    """What routes are made for: the caller whose requests arrive at a listener, and whether connections use
    TLS. `find_service` returns the service of a hostname if a destination without a port may mean the
    service's only port, otherwise None."""

    caller: Caller
    tls: bool
    find_service: Callable[[str], Service | None]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class RuleRoutes:
    """The routes of a VirtualService, with everything that was looked up for them.

    `hosts` are the hosts of the destinations. `targets` are the hosts that have the clusters; they differ for
    aliases. `services` are those whose only port may count, `destination_rules` those of the hosts. A mesh
    has many of these objects, so they are small.
    """

    hosts: tuple[str, ...]
    targets: tuple[str, ...]
    services: tuple[Service | None, ...]
    destination_rules: tuple[MergedDestinationRule | None, ...]
    routes: RouteList


def rule_routes(
    rule: VirtualServiceRule,
    listener: RoutedListener,
    scope: SidecarScope,
    settings: RouteSettings,
    previous: RuleRoutes | None,
    memo: Memo,
) -> RuleRoutes:
    """Return the routes of a VirtualService for the proxies of `scope`.

    `previous` is the result for the same rule, listener, settings and profile in an earlier snapshot, or
    None. It is returned again unless one of its services or DestinationRules has changed.
    """
    caller = listener.caller
    applying = caller.applying(rule)
    hosts = previous.hosts if previous is not None else destination_hosts(rule, applying)
    leading = [scope.destination(host) for host in hosts]
    targets, found = tuple([host for host, _ in leading]), tuple([found for _, found in leading])
    services = tuple(map(listener.find_service, hosts))
    if previous is not None and (previous.destination_rules, previous.services, previous.targets) == (
        found,
        services,
        targets,
    ):
        return previous
    return memo(_made, rule, applying, caller.port, listener.tls, hosts, targets, services, found, settings)


def _made(
    rule: VirtualServiceRule,
    applying: tuple[Position, ...],
    port: int,
    tls: bool,
    hosts: tuple[str, ...],
    targets: tuple[str, ...],
    services: tuple[Service | None, ...],
    destination_rules: tuple[MergedDestinationRule | None, ...],
    settings: RouteSettings,
) -> RuleRoutes:
    """Return the routes for the conditions `applying` of a VirtualService. `targets`, `services` and
    `destination_rules` were looked up for `hosts`, in the same order."""
    destinations = Destinations(
        port,
        _found(hosts, services),
        _found(hosts, destination_rules),
        {} if targets == hosts else dict(zip(hosts, targets, strict=True)),
    )
    routes = virtual_service_routes(rule, applying, destinations, settings, tls=tls)
    return RuleRoutes(hosts, hosts if targets == hosts else targets, services, destination_rules, routes)


def _found(hosts: tuple[str, ...], found: tuple[Found | None, ...]) -> dict[str, Found]:
    """Return what was found for each host, without those for which nothing was."""
    if found.count(None) == len(found):
        return {}
    return {host: each for host, each in zip(hosts, found, strict=True) if each is not None}
