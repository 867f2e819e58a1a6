"""Where a call goes, and which lines say so: from the client's proxy to the server's.

mesh = mizzen.load("mesh/")
question = Question.of_request("GET", "http://reviews:9080/api", ["end-user: jason"])
caller = DeclaredCallers(mesh).sidecar("productpage-v1.default")
answer = why(question, caller, ServedMesh(mesh))
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

from mizzen.explain.answer import Answer, Hop
from mizzen.explain.callers import Callers, DeclaredCallers
from mizzen.explain.first_call import first_call
from mizzen.explain.hop import Refused, hop
from mizzen.explain.question import Question
from mizzen.explain.served_proxy import ServedProxy
from mizzen.explain.upstream_connection import upstream_protocol, upstream_tls
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.simulate import Call, Capture, Outcome, Verdict
from mizzen.simulate.verdict import Endpoint, HeaderChange
from mizzen.translator.base.cluster_names import parse_cluster_name
from mizzen.translator.translation import Translation


class Serving(Protocol):
    """Knows proxies and what each is sent."""

    @property
    def callers(self) -> Callers:
        """Finds proxies by name and address."""

    def served(self, proxy: Proxy) -> ServedProxy:
        """Return what a proxy is sent."""

    def refused(self, proxy: Proxy, type_url: str, name: str) -> str:
        """Return the words with which Envoy refused a resource, empty if it did not or is not connected."""


class ServedMesh:
    """A mesh from files, with the proxies that its documents let expect. No Envoy is asked."""

    def __init__(self, mesh: Mesh) -> None:
        self.callers: Callers = DeclaredCallers(mesh)
        self._translation = Translation(mesh)
        self._served: dict[Proxy, ServedProxy] = {}

    def served(self, proxy: Proxy) -> ServedProxy:
        """Return what a proxy is sent."""
        if proxy not in self._served:
            self._served[proxy] = ServedProxy(self._translation, proxy)
        return self._served[proxy]

    def refused(self, proxy: Proxy, type_url: str, name: str) -> str:
        """Return nothing: no Envoy has seen it."""
        return ""


def why(question: Question, caller: Proxy, serving: Serving) -> Answer:
    """Return where the call goes that `caller`'s application makes, or that comes to the gateway `caller`.

    Behind the first proxy it is followed to the proxy of the first endpoint of the largest share.
    """
    served = serving.served(caller)
    call, assumed = first_call(question, served)
    remarks = list(assumed)
    side = "gateway" if caller.type == "router" else "client"
    first, verdict = hop(side, served, call, _refused(serving, caller))
    hops: list[Hop] = [first]
    if verdict.outcome in (Outcome.FORWARDED, Outcome.UNKNOWN) and verdict.destinations:
        remarks += _follow(verdict, served, serving, hops)
    return Answer(str(question), caller.id, question.headers, tuple(hops), tuple(remarks))


def _follow(verdict: Verdict, served: ServedProxy, serving: Serving, hops: list[Hop]) -> Iterable[str]:
    """Add the server's side to `hops`; return what cannot be followed."""
    destination = max(verdict.destinations, key=lambda each: each.share)
    cluster, endpoint = destination.cluster.name, next(iter(destination.cluster.endpoints), None)
    parsed, message = parse_cluster_name(cluster), served.cluster(cluster)
    if endpoint is None or message is None or parsed is None:
        return ()
    place = f"{endpoint.address}:{endpoint.port}"
    service = served.scope.destination_service(parsed.hostname)
    if service is not None and service.mesh_external:
        return (f"{place} is outside the mesh, as {service.hostname} is MESH_EXTERNAL; no sidecar is there",)
    server = serving.callers.at(endpoint.address)
    if server is None:
        return (f"{place} is no workload of the mesh; what happens there is not known",)
    if server.type == "router":
        return (f"{place} is the gateway {server.id}; ask again with --gateway to follow the call there",)
    call = _call_at_server(verdict, destination.request_headers, served, message, endpoint, server)
    made, _ = hop("server", serving.served(server), call, _refused(serving, server))
    hops.append(made)
    return ()


def _call_at_server(
    verdict: Verdict,
    changes: tuple[HeaderChange, ...],
    served: ServedProxy,
    cluster: Any,
    endpoint: Endpoint,
    server: Proxy,
) -> Call:
    call = verdict.call
    upstream = verdict.upstream
    by_route = verdict.route.request_headers if verdict.route is not None else ()
    lb_endpoint = served.endpoint(cluster.name, endpoint.address, endpoint.port)
    tls = upstream_tls(cluster, lb_endpoint)
    return replace(
        call,
        address=endpoint.address,
        port=endpoint.port,
        capture=Capture.NONE if server.interception_mode == "NONE" else Capture.INBOUND,
        protocol=upstream_protocol(cluster, call.protocol) if verdict.http_filters else call.protocol,
        tls=tls if verdict.http_filters or tls is not None else call.tls,
        source_address=served.proxy.ip_addresses[0],
        authority=upstream.authority if upstream is not None else call.authority,
        path=upstream.path if upstream is not None else call.path,
        headers=_changed(call.headers, (*changes, *by_route)),
    )


def _changed(
    headers: tuple[tuple[str, str], ...], changes: Iterable[HeaderChange]
) -> tuple[tuple[str, str], ...]:
    """Return the headers after what a proxy does to them."""
    found = list(headers)
    for change in changes:
        name = change.name.lower()
        there = any(key.lower() == name for key, _ in found)
        if change.operation in ("remove", "overwrite_if_exists_or_add") or (
            change.operation == "overwrite_if_exists" and there
        ):
            found = [(key, value) for key, value in found if key.lower() != name]
        adds = change.operation in ("append_if_exists_or_add", "overwrite_if_exists_or_add")
        if (
            adds
            or (change.operation == "add_if_absent" and not there)
            or (change.operation == "overwrite_if_exists" and there)
        ):
            found.append((change.name, change.value))
    return tuple(found)


def _refused(serving: Serving, proxy: Proxy) -> Refused:
    return lambda type_url, name: serving.refused(proxy, type_url, name)
