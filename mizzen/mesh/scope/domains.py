"""The domains of a service: the names by which proxies may call it.

Source: Istio's pilot/pkg/networking/core/httproute.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import intern

from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.service import Service

_UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound


@dataclass(frozen=True, slots=True)
class NamesKnownAs:
    """The part of a proxy on which domains depend: it decides by which names the proxy may call services."""

    dns_domain: str
    uses_allocated_addresses: bool
    ip_family: str

    @classmethod
    def of(cls, profile: OutboundProfile) -> NamesKnownAs:
        """Return the part of `profile` that domains depend on."""
        return cls(profile.dns_domain, profile.dns_capture, profile.ip_family)


def domain_name(host: str, port: int) -> str:
    """Return `host:port`, with brackets around an IPv6 address."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """Return `host`, in brackets if it is an IPv6 address."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host


@dataclass(frozen=True, slots=True, eq=False)
class Domains:
    """The domains of a virtual host, each once. `derived` are short forms and other names made from the
    host's name: a service whose own name is one of them keeps it."""

    domains: tuple[str, ...]
    derived: frozenset[str] = frozenset()


def unregistered_host_domains(host: str, suffix: int) -> Domains:
    """Return the domains of an unregistered host: its name, and unless the port `suffix` is 0 also with the
    port."""
    return Domains((bracketed(host), domain_name(host, suffix)) if suffix else (bracketed(host),))


def service_domains(service: Service, suffix: int, names: NamesKnownAs) -> Domains:
    """Return the domains of a service: its own names and those of its aliases, and unless the port `suffix`
    is 0 each of them also with the port."""
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
    # Most namespaces call a service by the same names: interning keeps each in memory once.
    return Domains(tuple(dict.fromkeys(map(intern, domains))), frozenset(derived) - {service.hostname})


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
    """Return the other names by which a proxy with the DNS domain `dns_domain` may call a service.

    With the domain `ns1.svc.cluster.local`, `a.ns1.svc.cluster.local` is also `a`, `a.ns1.svc` and `a.ns1`.
    The short names of a service in a different namespace include its namespace; a host that is not below
    `svc.cluster.local` has no short names. With any other domain, the common suffix of host and domain may be
    left out. In each case the host with a dot at its end is a name too.
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
