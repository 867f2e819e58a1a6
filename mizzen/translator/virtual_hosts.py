"""Which virtual hosts a sidecar's route configuration has, and which domains belong to each.

Nothing here depends on what the routes are, so a plan is good for as long as the services and the hosts of
the VirtualServices stay the same. Source: Istio's pilot/pkg/networking/core/httproute.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from mizzen.mesh.hosts import HostIndex, is_wildcard
from mizzen.mesh.service import Service, ServicePort

if TYPE_CHECKING:
    from mizzen.mesh.profile import OutboundProfile

ANY_PORT = 0
"""The listen port of an HTTP proxy or a unix socket: requests name their port themselves."""
DEFAULT_HTTP_PORT = 80

_UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound


@dataclass(frozen=True, slots=True)
class NamesKnownAs:
    """What a proxy is, as far as domains depend on it: the names that it may call services by."""

    dns_domain: str
    uses_allocated_addresses: bool
    ip_family: str

    @classmethod
    def of(cls, profile: OutboundProfile) -> NamesKnownAs:
        """Return the part of `profile` that domains depend on."""
        return cls(profile.dns_domain, profile.dns_capture, profile.ip_family)


@dataclass(frozen=True, slots=True, eq=False)
class PlannedVirtualHost:
    """A virtual host without its routes.

    `rule` is the position of the VirtualService that it belongs to, None where a service is routed by
    default. `service` is None for a host of a VirtualService that is no service.
    """

    name: str
    domains: tuple[str, ...]
    port: int
    service: Service | None
    rule: int | None

    @property
    def host(self) -> str:
        """The hostname of the service, empty without one."""
        return self.service.hostname if self.service is not None else ""


@dataclass(eq=False)
class VirtualHostPlan:
    """The virtual hosts of one port, sorted by name; no domain belongs to two of them."""

    virtual_hosts: tuple[PlannedVirtualHost, ...]

    @cached_property
    def routed_by_default(self) -> tuple[tuple[int, PlannedVirtualHost], ...]:
        """The virtual hosts without a VirtualService, each with its position."""
        return tuple((at, host) for at, host in enumerate(self.virtual_hosts) if host.rule is None)

    @cached_property
    def routed_by_rule(self) -> tuple[tuple[int, PlannedVirtualHost], ...]:
        """The virtual hosts of VirtualServices, each with its position."""
        return tuple((at, host) for at, host in enumerate(self.virtual_hosts) if host.rule is not None)

    @cached_property
    def takes_every_host(self) -> bool:
        """Whether one of the virtual hosts is for all hosts that no other is for."""
        return any("*" in host.domains for host in self.virtual_hosts)

    @cached_property
    def owners(self) -> dict[str, int]:
        """The position of the virtual host that owns a domain, by the domain in lower case."""
        return {domain.lower(): at for at, host in enumerate(self.virtual_hosts) for domain in host.domains}


def domain_name(host: str, port: int) -> str:
    """Return `host:port`, with the brackets that an IPv6 address needs."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """Return `host`, in brackets if it is an IPv6 address."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


DomainsKey = tuple[Service | str, int]
"""A service, or a host that is none, and the port that its names are also there with (0: none)."""


def plan_virtual_hosts(
    listen_port: int,
    services: Sequence[Service],
    rule_hosts: Sequence[tuple[str, ...]],
    contributing: Sequence[bool],
    names: NamesKnownAs,
    known_domains: dict[DomainsKey, Domains] | None = None,
) -> VirtualHostPlan:
    """Return the plan of the port `listen_port` (`ANY_PORT` for all ports).

    `services` are those that expose the port, in order of age; `rule_hosts` are the hosts of the
    VirtualServices, in their order; those not `contributing` have no route on this port, but still keep a
    wildcard from owning the services that they name more specifically. VirtualServices go first and win
    duplicates.
    """
    claims = _claims(listen_port, services, rule_hosts, contributing)
    owned = {host.service.hostname for host in claims if host.service is not None}
    claims += [
        _Claim(service.hostname, port.number, service, None)
        for service in services
        if service.hostname not in owned
        for port in _http_ports(service, listen_port)
    ]
    if listen_port == ANY_PORT:
        # Only port 80 may be asked for without naming it, so it takes the names without a port.
        claims.sort(key=lambda claim: (claim.rule is None, claim.port != DEFAULT_HTTP_PORT))
    known = {claim.service.hostname for claim in claims if claim.service is not None}
    cache = {} if known_domains is None else known_domains
    hosts = _without_duplicates(claims, listen_port, known, names, cache)
    return VirtualHostPlan(tuple(sorted(hosts, key=lambda host: host.name)))


class _Claim(NamedTuple):
    """A host that wants to be a virtual host."""

    host: str
    port: int
    service: Service | None
    rule: int | None


def _http_ports(service: Service, listen_port: int) -> Iterable[ServicePort]:
    for port in service.ports:
        if listen_port in (ANY_PORT, port.number) and (port.protocol.is_http or port.protocol.is_auto):
            yield port


def _claims(
    listen_port: int,
    services: Sequence[Service],
    rule_hosts: Sequence[tuple[str, ...]],
    contributing: Sequence[bool],
) -> list[_Claim]:
    """Return what the VirtualServices claim, in their order: first their hosts that are no services, then the
    services that they name."""
    by_hostname = {service.hostname: service for service in services}
    any_wildcard = any(is_wildcard(host) for hosts in rule_hosts for host in hosts)
    by_wildcard = _services_by_wildcard(services, rule_hosts) if any_wildcard else {}
    hostnames = HostIndex(by_hostname) if any_wildcard else HostIndex()
    claims: list[_Claim] = []
    for at, hosts in enumerate(rule_hosts):
        if not contributing[at]:
            continue
        if not any_wildcard and by_hostname.keys().isdisjoint(hosts):
            # As most VirtualServices on port 80 are in a mesh whose services have other ports.
            if listen_port == DEFAULT_HTTP_PORT:
                claims += [_Claim(host, DEFAULT_HTTP_PORT, None, at) for host in hosts]
            continue
        named = {host: by_hostname[host] for host in hosts if not is_wildcard(host) and host in by_hostname}
        owned = list(named.values())
        owned += [service for service in by_wildcard.get(at, ()) if service.hostname not in named]
        ports: dict[int, list[Service]] = {}
        for service in owned:
            for port in _http_ports(service, listen_port):
                ports.setdefault(port.number, []).append(service)
        if not ports and listen_port == DEFAULT_HTTP_PORT:
            # Istio: hosts outside of the registry exist on port 80, and nowhere else.
            ports[DEFAULT_HTTP_PORT] = []
        strangers = [
            host
            for host in hosts
            if host not in named and not (is_wildcard(host) and any(hostnames.matching(host)))
        ]
        for number, found in ports.items():
            claims += [_Claim(host, number, None, at) for host in strangers]
            claims += [_Claim(service.hostname, number, service, at) for service in found]
    return claims


def _services_by_wildcard(
    services: Sequence[Service], rule_hosts: Sequence[tuple[str, ...]]
) -> dict[int, list[Service]]:
    """Return the services that VirtualServices own by a wildcard. Each service belongs to the VirtualService
    with the most specific host, and of two with the same host to the first."""
    first: dict[str, int] = {}
    for at, hosts in enumerate(rule_hosts):
        for host in hosts:
            first.setdefault(host, at)
    index = HostIndex(first)
    found: dict[int, list[Service]] = {}
    for service in services:
        best = index.most_specific(service.hostname)
        if best is not None and is_wildcard(best[0]):
            found.setdefault(best[1], []).append(service)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Domains:
    """What a virtual host may be called. `folded` are the domains in lower case, in which they are compared;
    `derived` are those made from another name."""

    domains: tuple[str, ...]
    folded: tuple[str, ...]
    derived: frozenset[str]

    def without(self, taken: set[str], known: set[str]) -> tuple[str, ...]:
        """Return the domains that nobody has `taken`, less the derived ones that are real names of services
        (`known`); what is returned is taken afterwards."""
        if taken.isdisjoint(self.folded) and known.isdisjoint(self.derived):
            before = len(taken)
            taken.update(self.folded)
            if len(taken) == before + len(self.folded):
                return self.domains
            taken.difference_update(self.folded)
        kept = []
        for domain, folded in zip(self.domains, self.folded, strict=True):
            if folded in taken or (domain in self.derived and domain in known):
                continue
            taken.add(folded)
            kept.append(domain)
        return tuple(kept)


def _without_duplicates(
    claims: Sequence[_Claim],
    listen_port: int,
    known: set[str],
    names: NamesKnownAs,
    cache: dict[DomainsKey, Domains],
) -> Iterable[PlannedVirtualHost]:
    """Give each name and each domain to the first that claims it; drop what is left without a domain."""
    taken: set[str] = set()
    taken_names: set[str] = set()
    for claim in claims:
        name = domain_name(claim.host, claim.port)
        if name in taken_names:
            continue
        taken_names.add(name)
        suffix = claim.port if listen_port == ANY_PORT else 0
        key = (claim.host if claim.service is None else claim.service, suffix)
        domains = cache.get(key)
        if domains is None:
            domains = cache[key] = (
                _stranger_domains(claim.host, suffix)
                if claim.service is None
                else _service_domains(claim.service, suffix, names)
            )
        kept = domains.without(taken, known)
        if listen_port == ANY_PORT and claim.port != DEFAULT_HTTP_PORT:
            kept = tuple(domain for domain in kept if ":" in domain)
        if kept:
            yield PlannedVirtualHost(name, kept, claim.port, claim.service, claim.rule)


def _stranger_domains(host: str, suffix: int) -> Domains:
    domains = (bracketed(host), domain_name(host, suffix)) if suffix else (bracketed(host),)
    return Domains(domains, tuple(domain.lower() for domain in domains), frozenset())


def _service_domains(service: Service, suffix: int, names: NamesKnownAs) -> Domains:
    """Return what a service may be called, with each name also with the port `suffix`, unless that is 0."""
    derived = alternative_names(service.hostname, names.dns_domain)
    domains = [bracketed(service.hostname), *derived]
    if service.headless and service.from_kubernetes:
        # The pods of a headless service have names below it.
        domains += [f"*.{name}" for name in domains]
    domains += [bracketed(address) for address in _addresses(service, names)]
    if suffix:
        domains = [text for name in domains for text in (name, f"{name}:{suffix}")]
        derived = [text for name in derived for text in (name, f"{name}:{suffix}")]
    return Domains(tuple(domains), tuple(domain.lower() for domain in domains), frozenset(derived))


def _addresses(service: Service, names: NamesKnownAs) -> list[str]:
    if service.addresses:
        return [address for address in service.addresses if address not in _UNSPECIFIED]
    if not names.uses_allocated_addresses:
        return []
    return [
        address
        for address in service.auto_allocated_addresses
        if names.ip_family in ("ALL", "DUAL_STACK") or (":" in address) == (names.ip_family == "V6_ONLY")
    ]


def alternative_names(hostname: str, dns_domain: str) -> list[str]:
    """Return the other names by which a proxy of the DNS domain `dns_domain` may call a service.

    With the domain `ns1.svc.cluster.local`, `a.ns1.svc.cluster.local` is also `a`, `a.ns1.svc` and `a.ns1`; a
    service of another namespace keeps its namespace, and a host that is not below `svc.cluster.local` has no
    short names. With any other domain, what both names share at their ends may be left out. In each case the
    name with a dot at its end is one.
    """
    if _is_address(hostname):
        return []
    return [hostname + ".", *_short_names(hostname, dns_domain)]


def _short_names(hostname: str, dns_domain: str) -> list[str]:
    namespace, separator, rest = dns_domain.partition(".svc.")
    if separator:
        if not hostname.endswith(f".svc.{rest}"):
            return []
        qualified = hostname[: hostname.index(".svc.")]
        service, dot, service_namespace = qualified.partition(".")
        if not dot:
            return []
        if service_namespace == namespace:
            return [service, f"{qualified}.svc", qualified]
        return [qualified, f"{qualified}.svc"]
    labels = hostname.split(".")
    domain = dns_domain.split(".")
    shared = 0
    while shared < min(len(labels), len(domain)) and labels[-1 - shared] == domain[-1 - shared]:
        shared += 1
    own = labels[: len(labels) - shared]
    if not shared or not own:
        return []
    name = ".".join(own)
    return [name, f"{name}.{labels[len(own)]}"] if len(own) == 2 else [name]


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdecimal()
