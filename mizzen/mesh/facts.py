"""Facts about what proxies of a class see of the mesh. If a fact differs, everything that read it is made
anew.

A fact here is only the small key of what was read, compared by value. So the readers of a fact are found
without the scope that they read.
"""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.mesh.services.registry import ServiceKey


@dataclass(frozen=True, slots=True)
class Served:
    """Everything on which the clusters of a service depend, except its endpoints: the service, its
    DestinationRule, and the PeerAuthentications of its endpoints."""

    service: ServiceKey


@dataclass(frozen=True, slots=True)
class Pool:
    """The endpoints of a service."""

    service: ServiceKey


@dataclass(frozen=True, slots=True)
class Called:
    """The services that are called on a port of an egress listener, as far as listeners depend on them."""

    position: int
    number: int


@dataclass(frozen=True, slots=True)
class Imported:
    """All services of an egress listener that has its own port."""

    position: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The VirtualServices for a host that have TCP or TLS rules."""

    host: str


@dataclass(frozen=True, slots=True)
class Meant:
    """What a host means: its service, the host that it is an alias of, and its DestinationRule; for the
    wildcard of a VirtualService, the services that it covers."""

    host: str


@dataclass(frozen=True, slots=True)
class LeadingTo:
    """The VirtualServices that route to a host."""

    host: str


@dataclass(frozen=True, slots=True)
class Routed:
    """The HTTP routes of a port of an egress listener: its services, their VirtualServices, and what the
    destinations of these mean. The port is ANY_PORT for routes of every port."""

    position: int
    number: int


Fact = Served | Pool | Called | Imported | Rules | Meant | LeadingTo | Routed
