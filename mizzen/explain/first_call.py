"""From a question to the call that the first proxy gets: its address, and how it arrives."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from envoy.config.core.v3 import base_pb2

from mizzen.explain.near_names import did_you_mean
from mizzen.explain.question import Question
from mizzen.explain.route_words import short_host
from mizzen.explain.served_proxy import HostAddress, ServedProxy
from mizzen.mesh.hosts import resolve_short_name
from mizzen.mesh.service import Service
from mizzen.simulate import Call, Capture, ClientTls, Protocol

_SOME_ADDRESS: Final = {False: "198.51.100.1", True: "2001:db8::1"}
"""Used where no document names an address (RFC 5737 and 3849), by whether the proxy has only IPv6."""


def first_call(question: Question, served: ServedProxy) -> tuple[Call, tuple[str, ...]]:
    """Return the call as the first proxy gets it, and what had to be assumed about it."""
    protocol = Protocol.TCP
    if question.is_http:
        protocol = Protocol.HTTP2 if question.http2 else Protocol.HTTP1
    tls = None
    if question.tls:
        protocols = ("h2" if question.http2 else "http/1.1",) if question.is_http else ()
        tls = ClientTls(question.server_name, protocols)
    placed = _at_gateway if served.proxy.type == "router" else _at_sidecar
    where, notes = placed(question, served)
    if question.claims:
        notes = (f"the request brings a valid token with the claims {question.claims}", *notes)
    call = Call(
        where.port,
        where.address,
        where.capture,
        protocol,
        tls=tls,
        source_address=where.source_address,
        method=question.method or "GET",
        authority=question.authority,
        path=question.path or "/",
        headers=question.headers,
        claims=question.claim_values,
        moment=question.moment,
    )
    return call, notes


def _at_gateway(question: Question, served: ServedProxy) -> tuple[Call, tuple[str, ...]]:
    """Return the call of a client outside the mesh. It names the port of a server; behind a Service, the
    gateway may listen on a different port."""
    own = served.proxy.ip_addresses[0]
    listeners = served.mesh.gateways_for(served.proxy).listeners
    for listener in listeners:
        for server in listener.servers:
            if server.server.port is not None and server.server.port.number == question.port:
                return Call(listener.port, listener.bind or own), ()
    if any(listener.port == question.port for listener in listeners):
        bind = next(each.bind for each in listeners if each.port == question.port)
        return Call(question.port, bind or own), ()
    numbers = sorted(
        {
            each.server.port.number
            for listener in listeners
            for each in listener.servers
            if each.server.port is not None
        }
    )
    known = ", ".join(map(str, numbers)) or "none"
    note = f"no server of this gateway has port {question.port}; ports of its servers: {known}"
    return Call(question.port, own), (note,)


def _at_sidecar(question: Question, served: ServedProxy) -> tuple[Call, tuple[str, ...]]:
    found = _address(question, served)
    address, notes = found.address, found.notes
    if found.service is not None and not any(port.number == question.port for port in found.service.ports):
        numbers = ", ".join(str(port.number) for port in found.service.ports) or "none"
        notes += (f"{found.service.hostname} has no port {question.port}; its ports: {numbers}",)
    captured = served.proxy.interception_mode != "NONE"
    own = served.proxy.ip_addresses[0]
    call = Call(question.port, address, Capture.OUTBOUND if captured else Capture.NONE, source_address=own)
    if not captured and not _goes_out(call, served, by_name=found.service is not None):
        # Without capture, clients know where their proxy listens: on loopback, or where a Sidecar's egress
        # binds.
        loopback = "::1" if served.proxy.is_ipv6_only else "127.0.0.1"
        for where in (loopback, *served.outbound_addresses(question.port)):
            there = replace(call, address=where)
            if _goes_out(there, served, by_name=True):
                said = (
                    f"traffic is not captured: the client is assumed to call the proxy's listener at {where}"
                )
                return there, (*notes, said)
    return call, notes


def _goes_out(call: Call, served: ServedProxy, *, by_name: bool) -> bool:
    """True if a listener of the proxy takes the call; for a service called `by_name`, one for calls from the
    proxy's own workload: it may be an endpoint of that service itself."""
    listener = served.simulator.listeners.accepts(call)
    if listener is None:
        return False
    return not by_name or listener.message.traffic_direction != base_pb2.INBOUND


def _address(question: Question, served: ServedProxy) -> HostAddress:
    found = served.addresses.get(question.host)
    if found is None:
        found = served.addresses[question.host] = _found_address(question, served)
    return found


def _found_address(question: Question, served: ServedProxy) -> HostAddress:
    try:
        return HostAddress(str(ipaddress.ip_address(question.host)))
    except ValueError:
        pass
    service = _service(question.host, served)
    if service is None:
        return HostAddress(_SOME_ADDRESS[served.proxy.is_ipv6_only], (_unknown(question.host, served),))
    proxy = served.proxy
    allocated = service.auto_allocated_addresses if proxy.metadata.dns_capture else ()
    pool = served.mesh.endpoints(service).endpoints
    candidates = (*service.addresses, *allocated, *(endpoint.address for endpoint in pool))
    found = [address for text in candidates if (address := _ip(text))]
    family = [each for each in found if (":" in each) == proxy.is_ipv6_only]
    if family or found:
        return HostAddress((family or found)[0], service=service)
    said = f"no document says which address {service.hostname} has; some address outside the mesh is taken"
    return HostAddress(_SOME_ADDRESS[proxy.is_ipv6_only], (said,), service)


def _service(host: str, served: ServedProxy) -> Service | None:
    for name in _full_names(host, served):
        service = served.scope.service(name)
        if service is not None:
            real = served.scope.destination_service(service.alias_of) if service.is_alias else None
            return real or service
    return None


def _full_names(host: str, served: ServedProxy) -> Iterable[str]:
    """Yield the full names that the resolver's search list gives for a name: `reviews`, `reviews.shop`,
    `reviews.shop.svc`."""
    name = host.rstrip(".").lower()
    domain = served.mesh.settings.domain
    yield name
    yield resolve_short_name(name, served.proxy.namespace, domain)
    yield f"{name}.svc.{domain}"
    yield f"{name}.{domain}"


def _unknown(host: str, served: ServedProxy) -> str:
    hidden = [
        name for name in _full_names(host, served) if served.scope.destination_service(name) is not None
    ]
    who = served.proxy.id
    if hidden:
        return (
            f"{who} does not see the service {hidden[0]}: its exportTo or a Sidecar's egress.hosts keeps it "
            "away; the call goes to an address unknown to the proxy"
        )
    full = host.count(".") > 1
    names = (each.hostname if full else short_host(each.hostname) for each in served.scope.services)
    meant = did_you_mean(host, names)
    hint = f" ({meant})" if meant else ""
    return f"no service of the mesh is named {host}{hint}; it is called at an address unknown to the proxy"


def _ip(text: str) -> str:
    """Return an IP address, or the first one of a CIDR; empty for any other text."""
    address, _, length = text.partition("/")
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if length and int(length) < found.max_prefixlen:
        found += 1
    return "" if found.is_unspecified else str(found)
