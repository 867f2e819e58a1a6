"""Facts of what proxies of a kind see of the mesh. What is made of one is made anew when it is another.

Facts are small and told apart by their values, so that a reader can be found without the scope that it read.
"""

from __future__ import annotations

from dataclasses import dataclass

from mizzen.mesh.services.registry import ServiceKey


@dataclass(frozen=True, slots=True)
class Served:
    """All that the clusters of a service depend on but its endpoints: the service, its DestinationRule, the
    PeerAuthentications of its endpoints."""

    service: ServiceKey


@dataclass(frozen=True, slots=True)
class Pool:
    """The endpoints of a service."""

    service: ServiceKey


@dataclass(frozen=True, slots=True)
class Called:
    """The services that are called on a port of an egress listener: what its listeners depend on of them."""

    position: int
    number: int


@dataclass(frozen=True, slots=True)
class Imported:
    """All services of an egress listener with a port of its own."""

    position: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The VirtualServices over a host that have TCP or TLS rules."""

    host: str


@dataclass(frozen=True, slots=True)
class Meant:
    """What a host means: its service, the host that it is an alias of, its DestinationRule. For the wildcard
    of a VirtualService: the services that it covers."""

    host: str


@dataclass(frozen=True, slots=True)
class LeadingTo:
    """The VirtualServices that lead to a host."""

    host: str


@dataclass(frozen=True, slots=True)
class Routed:
    """The HTTP routes of a port of an egress listener: its services, their VirtualServices, and what the
    destinations of these mean. The port is ANY_PORT for routes that hold for every port."""

    position: int
    number: int


Fact = Served | Pool | Called | Imported | Rules | Meant | LeadingTo | Routed
