"""Hosts with a namespace before them: `namespace/host`, as Gateway and Sidecar write them."""

from __future__ import annotations

from mizzen.config.validation.addresses import is_ip_address
from mizzen.config.validation.hosts import is_dns_label, partial_wildcard_problem, wildcard_domain_problem
from mizzen.config.validation.place import Place


def check_gateway_host(text: str, place: Place) -> None:
    """Check a host of a Gateway's server: `[namespace/]host`; the host is a DNS
    name, a wildcard or an IP address."""
    namespace, slash, host = text.partition("/")
    if not slash:
        _check_host_part(text, place, ip_allowed=True)
        return
    if namespace not in ("*", ".") and not is_dns_label(namespace):
        place.error(f'"{namespace}" is not a namespace; write one, "." for the Gateway\'s own or "*" for any')
    _check_host_part(host, place, ip_allowed=True)


def check_egress_host(text: str, place: Place) -> None:
    """Check a host of a Sidecar's egress: `namespace/dnsName`; a `~` before the namespace excludes it."""
    namespace, slash, host = text.partition("/")
    if not slash:
        place.error(f'"{text}" has no namespace; write namespace/dnsName, such as */{text or "*"}')
        return
    if not namespace:
        place.error(f'"{text}" has an empty namespace; write one, "." for this one or "*" for any')
    bare = namespace.removeprefix("~")
    if bare not in ("", "*", ".") and not is_dns_label(bare):
        place.error(
            f'"{namespace}" is not a namespace; write one, "." for this one, "*" for any or "~" for none'
        )
    _check_host_part(host, place, ip_allowed=False)


def _check_host_part(host: str, place: Place, *, ip_allowed: bool) -> None:
    if host == "*" or (ip_allowed and is_ip_address(host)):
        return
    if problem := wildcard_domain_problem(host):
        place.error(problem)
    elif "." not in host:
        place.error(f'"{host}" is a short name; write the whole one, such as {host.strip("*-")}.example.com')
    else:
        place.check(partial_wildcard_problem(host))
