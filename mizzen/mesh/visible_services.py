"""The services that a namespace sees, one for each hostname."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from mizzen.mesh.hosts import HostIndex
from mizzen.mesh.service import Protocol, Service
from mizzen.mesh.visibility import is_visible

ServicesByPort = Mapping[int, tuple[Service, ...]]
"""The services that have a port, oldest first, by its number."""

_by_age = attrgetter("creation")

_FEW = 256
"""Up to so many changed hosts the sorted services are patched; beyond, they are sorted again."""


def pick_service(candidates: Iterable[Service], namespace: str, *, prefer_own: bool = True) -> Service | None:
    """Return the one of several services of one hostname that `namespace` gets; None if there are none.

    `candidates` are those that it sees, oldest first. Its own comes first (if `prefer_own`), then one of
    Kubernetes, then the oldest (Istio's selectServices for sidecars, appendSidecarServices for gateways).
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
    """The services that a namespace sees, oldest first, by hostname and by port. `prefer_own` as in
    `pick_service`."""

    namespace: str
    prefer_own: bool
    services: tuple[Service, ...]
    by_host: Mapping[str, Service]
    by_port: ServicesByPort

    @classmethod
    def build(
        cls, hosts: HostIndex[tuple[Service, ...]], namespace: str, *, prefer_own: bool
    ) -> VisibleServices:
        """Pick from all services of the registry."""
        by_host: dict[str, Service] = {}
        for host, candidates in hosts.under("*"):
            service = _pick_visible(candidates, namespace, prefer_own)
            if service is not None:
                by_host[host] = service
        services = tuple(sorted(by_host.values(), key=_by_age))
        return cls(namespace, prefer_own, services, by_host, services_by_port(services))

    def updated(self, hosts: HostIndex[tuple[Service, ...]], changed: Iterable[str]) -> VisibleServices:
        """Pick again for the hosts that changed; the very same object if that makes no difference."""
        gone: list[Service] = []
        made: list[Service] = []
        for host in changed:
            before = self.by_host.get(host)
            after = _pick_visible(hosts.get(host) or (), self.namespace, self.prefer_own)
            if before is not after:
                if before is not None:
                    gone.append(before)
                if after is not None:
                    made.append(after)
        if not gone and not made:
            return self
        by_host = dict(self.by_host)
        for service in gone:
            del by_host[service.hostname]
        for service in made:
            by_host[service.hostname] = service
        if len(gone) + len(made) > _FEW:
            services = tuple(sorted(by_host.values(), key=_by_age))
            by_port: ServicesByPort = services_by_port(services)
        else:
            services = _patched(self.services, gone, made)
            by_port = self._patched_by_port(gone, made)
        return VisibleServices(self.namespace, self.prefer_own, services, by_host, by_port)

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
    """Return the services that have each port, in the order given; UDP ports do not count."""
    found: dict[int, dict[Service, None]] = {}
    for service in services:
        for port in service.ports:
            if port.protocol is not Protocol.UDP:
                found.setdefault(port.number, {})[service] = None
    return {number: tuple(members) for number, members in found.items()}


def _patched(
    services: tuple[Service, ...], gone: Iterable[Service], made: Iterable[Service]
) -> tuple[Service, ...]:
    """Return `services`, oldest first, without `gone` and with `made`."""
    members = list(services)
    for service in gone:
        del members[_position(members, service)]
    for service in made:
        insort(members, service, key=_by_age)
    return tuple(members)


def _pick_visible(candidates: tuple[Service, ...], namespace: str, prefer_own: bool) -> Service | None:
    if len(candidates) == 1:
        service = candidates[0]
        return service if is_visible(service.export_to, namespace) else None
    visible = (service for service in candidates if is_visible(service.export_to, namespace))
    return pick_service(visible, namespace, prefer_own=prefer_own)


def _position(services: list[Service], service: Service) -> int:
    position = bisect_left(services, service.creation, key=_by_age)
    while services[position] is not service:
        position += 1
    return position
