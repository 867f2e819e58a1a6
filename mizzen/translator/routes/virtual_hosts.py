"""Which virtual hosts a sidecar's route configuration has, and which domains belong to each.

Nothing here depends on what the routes are, so a plan is good for as long as the services and the hosts of
the VirtualServices stay the same. Source: Istio's pilot/pkg/networking/core/httproute.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress
from sys import intern
from typing import TYPE_CHECKING, NamedTuple

from mizzen.mesh.hosts import HostIndex, is_wildcard
from mizzen.mesh.service import Service, ServicePort

if TYPE_CHECKING:
    from mizzen.mesh.proxy.profile import OutboundProfile
    from mizzen.mesh.rules.virtual_services import VirtualServiceRule

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

    `rule` is the VirtualService that it belongs to, None where a service is routed by default. `service` is
    None for a host of a VirtualService that is no service.
    """

    name: str
    domains: tuple[str, ...]
    port: int
    service: Service | None
    rule: VirtualServiceRule | None


@dataclass(eq=False)
class VirtualHostPlan:
    """The virtual hosts of one port, sorted by name; no domain belongs to two of them."""

    virtual_hosts: tuple[PlannedVirtualHost, ...]

    @cached_property
    def takes_every_host(self) -> bool:
        """Whether one of the virtual hosts is for all hosts that no other is for."""
        return any("*" in host.domains for host in self.virtual_hosts)

    @cached_property
    def owners(self) -> dict[str, int]:
        """The position of the virtual host that owns a domain, by the domain."""
        return {domain: at for at, host in enumerate(self.virtual_hosts) for domain in host.domains}


def domain_name(host: str, port: int) -> str:
    """Return `host:port`, with the brackets that an IPv6 address needs."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """Return `host`, in brackets if it is an IPv6 address."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


DomainsKey = tuple[Service | str, int]
"""A service, or a host that is none, and the port that its names are also there with (0: none)."""


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """All that the plan of the port `listen_port` (`ANY_PORT` for all ports) depends on.

    `services` are those that expose the port, in order of age; `rules` are the VirtualServices, in their
    order; those not `contributing` have no route on this port, but still keep a wildcard from owning the
    services that they name more specifically.
    """

    listen_port: int
    services: tuple[Service, ...]
    rules: tuple[VirtualServiceRule, ...]
    contributing: tuple[bool, ...]
    names: NamesKnownAs


def plan_virtual_hosts(
    inputs: PlanInputs, known_domains: dict[DomainsKey, Domains] | None = None
) -> VirtualHostPlan:
    """Return the plan of a port. VirtualServices go first and win duplicates.

    `known_domains` are what was worked out for the same port and names before; what is missing is added.
    """
    claims = all_claims(inputs)
    known = {
        claim.service.hostname for claim in claims if claim.service is not None and not claim.service.is_alias
    }
    hosts = _without_duplicates(claims, inputs, known, {} if known_domains is None else known_domains)
    return VirtualHostPlan(tuple(sorted(hosts, key=lambda host: host.name)))


class Claim(NamedTuple):
    """A host that wants to be a virtual host."""

    host: str
    port: int
    service: Service | None
    rule: VirtualServiceRule | None

    @property
    def name(self) -> str:
        """The name of the virtual host that it would be."""
        return domain_name(self.host, self.port)


def http_ports(service: Service, listen_port: int) -> Iterable[ServicePort]:
    """Yield the ports of a service that have virtual hosts on `listen_port`."""
    for port in service.ports:
        if listen_port in (ANY_PORT, port.number) and (port.protocol.is_http or port.protocol.is_auto):
            yield port


def all_claims(inputs: PlanInputs) -> list[Claim]:
    """Return the claims of VirtualServices and then of the services that none of them owns, first come,
    first served."""
    listen_port, services = inputs.listen_port, inputs.services
    by_hostname = {service.hostname: service for service in services}
    any_wildcard = any(is_wildcard(host) for rule in inputs.rules for host in rule.hosts)
    by_wildcard = _services_by_wildcard(inputs) if any_wildcard else {}
    hostnames = HostIndex(by_hostname) if any_wildcard else None
    claims: list[Claim] = []
    for rule in compress(inputs.rules, inputs.contributing):
        claims += rule_claims(rule, listen_port, by_hostname, by_wildcard.get(rule, ()), hostnames)
    owned = {claim.service.hostname for claim in claims if claim.service is not None}
    claims += [
        Claim(service.hostname, port.number, service, None)
        for service in services
        if service.hostname not in owned and not service.is_alias
        for port in http_ports(service, listen_port)
    ]
    if listen_port == ANY_PORT:
        # Only port 80 may be asked for without naming it, so it takes the names without a port.
        claims.sort(key=lambda claim: (claim.rule is None, claim.port != DEFAULT_HTTP_PORT))
    return claims


def rule_claims(
    rule: VirtualServiceRule,
    listen_port: int,
    by_hostname: Mapping[str, Service],
    by_wildcard: Sequence[Service] = (),
    hostnames: HostIndex[Service] | None = None,
) -> list[Claim]:
    """Return what a VirtualService claims: first its hosts that are no services, then the services that it
    names, then those that it owns by a wildcard, `by_wildcard`.

    `hostnames` index the services if there are wildcards, which are no hosts of their own if they match one.
    """
    hosts = rule.hosts
    if not by_wildcard and hostnames is None and by_hostname.keys().isdisjoint(hosts):
        # As most VirtualServices on port 80 are in a mesh whose services have other ports.
        if listen_port == DEFAULT_HTTP_PORT:
            return [Claim(host, DEFAULT_HTTP_PORT, None, rule) for host in hosts]
        return []
    named = {host: by_hostname[host] for host in hosts if not is_wildcard(host) and host in by_hostname}
    owned = list(named.values())
    owned += [service for service in by_wildcard if service.hostname not in named]
    ports: dict[int, list[Service]] = {}
    for service in owned:
        for port in http_ports(service, listen_port):
            ports.setdefault(port.number, []).append(service)
    if not ports and listen_port == DEFAULT_HTTP_PORT:
        # Istio: hosts outside of the registry exist on port 80, and nowhere else.
        ports[DEFAULT_HTTP_PORT] = []
    strangers = [
        host
        for host in hosts
        if host not in named
        and not (hostnames is not None and is_wildcard(host) and any(hostnames.matching(host)))
    ]
    claims: list[Claim] = []
    for number, found in ports.items():
        claims += [Claim(host, number, None, rule) for host in strangers]
        claims += [Claim(service.hostname, number, service, rule) for service in found]
    return claims


def _services_by_wildcard(inputs: PlanInputs) -> dict[VirtualServiceRule, list[Service]]:
    """Return the services that VirtualServices own by a wildcard. Each service belongs to the VirtualService
    with the most specific host, and of two with the same host to the first."""
    first: dict[str, VirtualServiceRule] = {}
    for rule in inputs.rules:
        for host in rule.hosts:
            first.setdefault(host, rule)
    index = HostIndex(first)
    found: dict[VirtualServiceRule, list[Service]] = {}
    for service in inputs.services:
        best = index.most_specific(service.hostname)
        if best is not None and is_wildcard(best[0]):
            found.setdefault(best[1], []).append(service)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Domains:
    """What a virtual host may be called. `derived` are the domains that are made from another name."""

    domains: tuple[str, ...]
    derived: tuple[str, ...]

    def without(self, taken: set[str], known: set[str]) -> tuple[str, ...]:
        """Return the domains that nobody has `taken`, less the derived ones that are real names of services
        (`known`); what is returned is taken afterwards."""
        if taken.isdisjoint(self.domains) and known.isdisjoint(self.derived):
            before = len(taken)
            taken.update(self.domains)
            if len(taken) == before + len(self.domains):
                return self.domains
            taken.difference_update(self.domains)
        kept = []
        for domain in self.domains:
            if domain in taken or (domain in self.derived and domain in known):
                continue
            taken.add(domain)
            kept.append(domain)
        return tuple(kept)


def _without_duplicates(
    claims: Sequence[Claim], inputs: PlanInputs, known: set[str], cache: dict[DomainsKey, Domains]
) -> Iterable[PlannedVirtualHost]:
    """Give each name and each domain to the first that claims it; drop what is left without a domain."""
    any_port = inputs.listen_port == ANY_PORT
    taken: set[str] = set()
    taken_names: set[str] = set()
    for claim in claims:
        name = claim.name
        if name in taken_names:
            continue
        taken_names.add(name)
        kept = domains_of(claim, inputs, cache).without(taken, known)
        if any_port and claim.port != DEFAULT_HTTP_PORT:
            kept = tuple(domain for domain in kept if ":" in domain)
        if kept:
            yield PlannedVirtualHost(name, kept, claim.port, claim.service, claim.rule)


def domains_of(claim: Claim, inputs: PlanInputs, cache: dict[DomainsKey, Domains]) -> Domains:
    """Return what a virtual host may be called; what `cache` does not have yet is added to it."""
    suffix = claim.port if inputs.listen_port == ANY_PORT else 0
    key = (claim.host if claim.service is None else claim.service, suffix)
    domains = cache.get(key)
    if domains is None:
        domains = cache[key] = (
            _stranger_domains(claim.host, suffix)
            if claim.service is None
            else _service_domains(claim.service, suffix, inputs.names)
        )
    return domains


def _stranger_domains(host: str, suffix: int) -> Domains:
    domains = (bracketed(host), domain_name(host, suffix)) if suffix else (bracketed(host),)
    return Domains(domains, ())


def _service_domains(service: Service, suffix: int, names: NamesKnownAs) -> Domains:
    """Return what a service may be called, by its own name or by an alias, with each name also with the port
    `suffix`, unless that is 0."""
    domains: list[str] = []
    derived: list[str] = []
    for hostname in (service.hostname, *service.aliases):
        short = alternative_names(hostname, names.dns_domain)
        domains += [bracketed(hostname), *short]
        derived += short
    if service.headless and service.from_kubernetes:
        # The pods of a headless service have names below it.
        domains += [f"*.{name}" for name in domains]
    domains += [bracketed(address) for address in _addresses(service, names)]
    if suffix:
        domains = [text for name in domains for text in (name, f"{name}:{suffix}")]
        derived = [text for name in derived for text in (name, f"{name}:{suffix}")]
    # Most namespaces call a service by the same names: each is in memory once.
    return Domains(tuple(map(intern, domains)), tuple(map(intern, derived)))


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
