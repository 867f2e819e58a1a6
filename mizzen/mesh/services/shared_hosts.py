"""One hostname that several documents of a namespace declare, as a client sees it.

Istio keeps the services apart: each has listeners at its own addresses and ports. Clusters exist once for the
hostname: those of the first service, with the ports of the others that agree with it (Istio's
SidecarScope.appendSidecarServices). `join` makes the service for the clusters; its `declared` are the single
services.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

from mizzen.mesh.service import Service, SharedHost
from mizzen.mesh.visibility import is_visible

_precedence = attrgetter("precedence")


def join(services: Sequence[Service]) -> Service:
    """Return the service joined from services of one hostname and namespace; a single one is returned
    unchanged.

    The owner is a Kubernetes Service if there is one, else the first by `precedence`; of equal ones, the
    first given.
    """
    if len(services) == 1:
        return services[0]
    in_order = sorted(services, key=_precedence)
    owner = next((service for service in in_order if service.from_kubernetes), in_order[0])
    ports = list(owner.ports)
    origins = list(owner.origins)
    numbers = {port.number for port in ports}
    for service in in_order:
        new = [port for port in service.ports if port.number not in numbers]
        if new and not difference(owner, service):
            ports.extend(new)
            numbers.update(port.number for port in new)
            origins.extend(service.origins)
    return replace(owner, ports=tuple(ports), origins=tuple(origins), shared=SharedHost(tuple(in_order)))


def difference(owner: Service, other: Service) -> str:
    """Return the name of the first field that prevents joining the two services; empty if there is none."""
    if owner.from_kubernetes != other.from_kubernetes:
        return "kind"
    if owner.resolution is not other.resolution:
        return "resolution"
    if owner.labels != other.labels:
        return "labels"
    if owner.selector != other.selector:
        return "workloadSelector"
    if owner.export_to != other.export_to:
        return "exportTo"
    return ""


def seen_from(service: Service, namespace: str) -> Service | None:
    """Return what `namespace` sees of a service of the registry: all of it, some of its declared services, or
    None. The same services always give the same object."""
    if service.shared is None:
        return service if is_visible(service.export_to, namespace) else None
    seen = tuple(one for one in service.shared.services if is_visible(one.export_to, namespace))
    if len(seen) == len(service.shared.services):
        return service
    if len(seen) < 2:
        return seen[0] if seen else None
    found = service.shared.seen.get(seen)
    if found is None:
        found = service.shared.seen[seen] = join(seen)
    return found
