"""The services that a namespace sees, one for each hostname."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter

from mizzen.mesh.hosts import HostIndex
from mizzen.mesh.service import Protocol, Service
from mizzen.mesh.services.shared_hosts import seen_from
from mizzen.persistent import ChunkedSequence, LayeredDict

ServicesByPort = Mapping[int, tuple[Service, ...]]
"""By port number, the services that decide how HTTP is called on it, in the order of `Service.precedence`."""

_in_order = attrgetter("precedence")

_FEW = 256
"""With at most this many changed hosts the services of ports are patched, with more they are found again."""


def pick_service(candidates: Iterable[Service], namespace: str, *, prefer_own: bool = True) -> Service | None:
    """Return the service that `namespace` gets, of several with one hostname; None if there are none.

    `candidates` are the services that it sees, by `Service.precedence`. Its own service comes first (if
    `prefer_own`), then one of Kubernetes, then the first candidate (Istio's selectServices for sidecars,
    appendSidecarServices for gateways).
    """
    chosen: Service | None = None
    for service in candidates:
        if prefer_own and service.namespace == namespace:
            return service
        if chosen is None or (service.from_kubernetes and not chosen.from_kubernetes):
            chosen = service
    return chosen


@dataclass(frozen=True, slots=True, eq=False)
class VisibleServices:
    """The services that a namespace sees: in the order of `Service.precedence`, by hostname and by port.

    `prefer_own` is as in `pick_service`. `hidden` are the namespace's own services that it does not see, by
    hostname; `hosts` are all services from which these were picked.
    """

    hosts: HostIndex[tuple[Service, ...]]
    namespace: str
    prefer_own: bool
    services: ChunkedSequence[Service]
    by_host: LayeredDict[str, Service]
    by_port: ServicesByPort
    hidden: Mapping[str, Service]

    @classmethod
    def build(
        cls, hosts: HostIndex[tuple[Service, ...]], namespace: str, *, prefer_own: bool
    ) -> VisibleServices:
        """Return the services that `namespace` sees, of all services of the registry."""
        by_host: dict[str, Service] = {}
        hidden: dict[str, Service] = {}
        for host, candidates in hosts.under("*"):
            service = _pick_visible(candidates, namespace, prefer_own)
            if service is not None:
                by_host[host] = service
            hidden.update(_hidden(candidates, namespace))
        services = ChunkedSequence(sorted(by_host.values(), key=_in_order))
        by_port = services_by_port(services)
        return cls(hosts, namespace, prefer_own, services, LayeredDict(by_host), by_port, hidden)

    def updated(self, hosts: HostIndex[tuple[Service, ...]]) -> VisibleServices:
        """Return the services after some hosts changed. Unchanged services keep their objects."""
        if hosts is self.hosts:
            return self
        gone: list[Service] = []
        made: list[Service] = []
        hidden = dict(self.hidden)
        for host in sorted(hosts.differing(self.hosts)):
            candidates = hosts.get(host) or ()
            hidden.pop(host, None)
            hidden.update(_hidden(candidates, self.namespace))
            before = self.by_host.get(host)
            after = _pick_visible(candidates, self.namespace, self.prefer_own)
            if before is not after:
                if before is not None:
                    gone.append(before)
                if after is not None:
                    made.append(after)
        if not gone and not made and hidden == self.hidden:
            return replace(self, hosts=hosts)
        by_host = self.by_host.updated(
            {service.hostname: service for service in made}, [service.hostname for service in gone]
        )
        services = self.services.updated(gone, made, _in_order)
        few = len(gone) + len(made) <= _FEW
        by_port = self._patched_by_port(gone, made) if few else services_by_port(services)
        return VisibleServices(hosts, self.namespace, self.prefer_own, services, by_host, by_port, hidden)

    def _patched_by_port(self, gone: Iterable[Service], made: Iterable[Service]) -> ServicesByPort:
        removed, added = services_by_port(gone), services_by_port(made)
        by_port = dict(self.by_port)
        for number in removed.keys() | added.keys():
            services = _patched(by_port.get(number, ()), removed.get(number, ()), added.get(number, ()))
            if services:
                by_port[number] = services
            else:
                del by_port[number]
        return by_port


def services_by_port(services: Iterable[Service]) -> dict[int, tuple[Service, ...]]:
    """Return the services of each port, in the order given, by `Service.precedence`; UDP ports do not count.
    For a host with several declarations, it is the declared service that decides how HTTP is called."""
    found: dict[int, dict[Service, None]] = {}
    moved: set[int] = set()
    for service in services:
        for port in service.ports:
            if port.protocol is not Protocol.UDP:
                member = service.called_by_http(port.number)
                if member is not service:
                    moved.add(port.number)
                found.setdefault(port.number, {})[member] = None
    return {
        number: tuple(sorted(members, key=_in_order) if number in moved else members)
        for number, members in found.items()
    }


def _patched(
    services: tuple[Service, ...], gone: Iterable[Service], made: Iterable[Service]
) -> tuple[Service, ...]:
    """Return `services`, in order, without `gone` and with `made`."""
    members = list(services)
    for service in gone:
        del members[_position(members, service)]
    for service in made:
        insort(members, service, key=_in_order)
    return tuple(members)


def _pick_visible(candidates: tuple[Service, ...], namespace: str, prefer_own: bool) -> Service | None:
    if len(candidates) == 1:
        return seen_from(candidates[0], namespace)
    seen = [service for one in candidates if (service := seen_from(one, namespace)) is not None]
    return pick_service(sorted(seen, key=_in_order), namespace, prefer_own=prefer_own)


def _hidden(candidates: tuple[Service, ...], namespace: str) -> dict[str, Service]:
    return {
        service.hostname: service
        for service in candidates
        if service.namespace == namespace and seen_from(service, namespace) is None
    }


def _position(services: list[Service], service: Service) -> int:
    position = bisect_left(services, service.precedence, key=_in_order)
    while services[position] is not service:
        position += 1
    return position
