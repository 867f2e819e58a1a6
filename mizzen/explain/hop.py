"""What happens to a call inside one proxy, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from mizzen.config.diagnostics import Origin
from mizzen.explain.answer import NOTHING, Hop, Lost, Step, share_text
from mizzen.explain.missing_secrets import secret_words
from mizzen.explain.policies import policy_steps, rule_words
from mizzen.explain.route_effects import header_change, route_details
from mizzen.explain.served_proxy import ServedProxy
from mizzen.explain.upstream_connection import upstream_tls
from mizzen.simulate import Call, ClientTls, Failure, Outcome, RunnerUp, Verdict
from mizzen.simulate.verdict import ClusterStep, Destination, Endpoint, FilterChainStep, Locality
from mizzen.translator.base.cluster_names import (
    BLACK_HOLE_CLUSTER,
    INBOUND_PASSTHROUGH_CLUSTER,
    PASSTHROUGH_CLUSTER,
)
from mizzen.xds import type_urls

MOST_ENDPOINTS: Final = 10
"""Number of endpoints of a cluster that are listed; the rest is counted."""

_OF_EVERY_MESH: Final = {
    BLACK_HOLE_CLUSTER: "closes calls to unknown addresses (outboundTrafficPolicy REGISTRY_ONLY)",
    PASSTHROUGH_CLUSTER: "forwards calls to unknown addresses to their original address",
    INBOUND_PASSTHROUGH_CLUSTER: "forwards calls to ports without a service to the workload unchanged",
}

Refused = Callable[[str, str], str]
"""Envoy's message for a rejected resource, by type and name; empty if Envoy did not reject it."""


def hop(side: str, served: ServedProxy, call: Call, refused: Refused = lambda *_: "") -> tuple[Hop, Verdict]:
    """Return what the proxy does with the call, and the simulator's verdict."""
    verdict = served.simulator.verdict(call, runners_up=True)
    steps = tuple(_Steps(served, verdict, refused).steps())
    address = served.proxy.ip_addresses[0]
    made = Hop(
        side,
        served.proxy.id,
        address,
        verdict.outcome.value,
        conclusion(verdict),
        verdict.status,
        steps,
        verdict.unjudged,
    )
    return made, verdict


class _Steps:
    """The steps of one verdict."""

    def __init__(self, served: ServedProxy, verdict: Verdict, refused: Refused) -> None:
        self._served = served
        self._verdict = verdict
        self._origins = served.origins
        self._refused = refused

    def steps(self) -> Iterator[Step]:
        """Yield the steps that were reached, in order."""
        yield from self._listener()
        yield from self._filter_chain()
        yield from policy_steps(self._verdict, self._origins)
        yield from self._virtual_host()
        yield from self._route()
        for destination in self._verdict.destinations:
            yield from self._destination(destination)

    def _listener(self) -> Iterator[Step]:
        verdict = self._verdict
        runner_up = verdict.runners_up.listener if verdict.runners_up is not None else None
        lost = _lost(runner_up, self._origins.listener(runner_up.name) if runner_up is not None else ())
        call = verdict.call
        if verdict.listener is None:
            proxy, said = self._served.proxy, [f"nothing listens at {call.address}:{call.port}"]
            if proxy.type == "sidecar" and proxy.interception_mode == "NONE":
                said.append(
                    "its traffic is not captured: it listens where a Sidecar's ingress and egress say"
                )
            yield Step("listener", NOTHING, tuple(said), lost=lost)
            return
        found = verdict.listener
        details = []
        if found.accepted_by != found.name:
            details.append(f"captured by {found.accepted_by} on the way to {call.address}:{call.port}")
        elif verdict.call.capture.value != "none":
            details.append(f"captured on the way to {call.address}:{call.port}")
        seen = [found.transport_protocol if found.transport_protocol == "tls" else ""]
        seen.append(f"server name {found.server_name}" if found.server_name else "")
        seen.append(", ".join(found.application_protocols))
        if any(seen) and found.listener_filters:
            details.append(f"its listener filters find: {', '.join(each for each in seen if each)}")
        yield Step(
            "listener",
            found.name,
            tuple(details),
            _texts(self._origins.listener(found.name)),
            lost,
            refused=self._refused(type_urls.LISTENER, found.name),
        )

    def _filter_chain(self) -> Iterator[Step]:
        verdict, chain = self._verdict, self._verdict.filter_chain
        if verdict.listener is None or (chain is None and verdict.failure is not Failure.NO_FILTER_CHAIN):
            return
        listener = verdict.listener.name
        lost = self._lost_chain(listener)
        if chain is None:
            yield Step("filter chain", NOTHING, lost=lost)
            return
        yield Step(
            "filter chain",
            chain.name or ("default" if chain.is_default else f"number {chain.index + 1}"),
            tuple(_chain_details(chain, verdict)),
            _texts(self._chain_origins(listener, chain.index, chain.name)),
            lost,
        )
        yield from self._missing_secrets(type_urls.LISTENER, listener, chain.missing_secrets)

    def _lost_chain(self, listener: str) -> Lost | None:
        verdict = self._verdict
        runner_up = verdict.runners_up.filter_chain if verdict.runners_up is not None else None
        if runner_up is None:
            return None
        behind = self._chain_origins(listener, runner_up.index, runner_up.name)
        return _lost(replace(runner_up, name=runner_up.name or f"number {runner_up.index + 1}"), behind)

    def _missing_secrets(self, type_url: str, resource: str, names: Iterable[str]) -> Iterator[Step]:
        """Yield a step for each missing secret that a filter chain or cluster needs for any connection."""
        for name in names:
            said = f"missing: {self._served.missing_secrets.reason_of(name)}"
            places = _texts(self._origins.credential(type_url, resource, name))
            yield Step("secret", secret_words(name), (said,), places)

    def _chain_origins(self, listener: str, index: int, name: str) -> tuple[Origin, ...]:
        message = self._served.listener(listener)
        names = message.filter_chains[index].filter_chain_match.server_names if message and index >= 0 else ()
        return self._origins.filter_chain(listener, index, name=name, server_names=names)

    def _virtual_host(self) -> Iterator[Step]:
        verdict = self._verdict
        name = verdict.route_configuration
        if not name:
            return
        refused = self._refused(type_urls.ROUTE, name)
        runner_up = verdict.runners_up.virtual_host if verdict.runners_up is not None else None
        lost = _lost(
            runner_up, self._origins.virtual_host(name, runner_up.name) if runner_up is not None else ()
        )
        host = verdict.virtual_host
        if host is None:
            yield Step("virtual host", NOTHING, (f"in the routes {name}",), lost=lost, refused=refused)
            return
        details = (f"by its domain {host.domain}, in the routes {name}",)
        places = _texts(self._origins.virtual_host(name, host.name))
        yield Step("virtual host", host.name, details, places, lost, refused=refused)

    def _route(self) -> Iterator[Step]:
        verdict = self._verdict
        host, route = verdict.virtual_host, verdict.route
        if host is None:
            return
        configuration = verdict.route_configuration

        def places(index: int) -> tuple[Origin, ...]:
            return self._origins.route(configuration, host.name, index)

        runner_up = verdict.runners_up.route if verdict.runners_up is not None else None
        lost = _lost(runner_up, places(runner_up.index) if runner_up is not None else ())
        if route is None:
            if verdict.answered_by != "require_tls":
                yield Step("route", NOTHING, lost=lost)
            return
        name = route.name or f"number {route.index + 1}"
        yield Step("route", name, route_details(verdict, route), _texts(places(route.index)), lost)

    def _destination(self, destination: Destination) -> Iterator[Step]:
        cluster = destination.cluster
        message = self._served.cluster(cluster.name)
        details = []
        if cluster.name in _OF_EVERY_MESH:
            details.append(_OF_EVERY_MESH[cluster.name])
        elif cluster.failure is not None:
            details.append(cluster.failure.value)
        elif cluster.load_balancing:
            details.append(f"load balancing {cluster.load_balancing}, discovery {cluster.discovery_type}")
        if message is not None:
            details.extend(_tls_details(self._tls(message, cluster)))
        details.extend(f"request header {header_change(each)}" for each in destination.request_headers)
        details.extend(f"response header {header_change(each)}" for each in destination.response_headers)
        refused = self._refused(type_urls.CLUSTER, cluster.name)
        yield Step(
            "cluster",
            cluster.name,
            tuple(details),
            _texts(self._origins.cluster(cluster.name)),
            share=destination.share,
            refused=refused or self._refused(type_urls.ENDPOINT, cluster.name),
        )
        yield from self._missing_secrets(type_urls.CLUSTER, cluster.name, cluster.missing_secrets)
        listed = [(place, each) for place in cluster.localities for each in place.endpoints]
        for place, endpoint in listed[:MOST_ENDPOINTS]:
            yield self._endpoint(cluster.name, place, endpoint)
        if len(listed) > MOST_ENDPOINTS:
            yield Step("endpoint", f"and {len(listed) - MOST_ENDPOINTS} more", depth=1)

    def _tls(self, message: object, cluster: ClusterStep) -> ClientTls | None:
        first = next(iter(cluster.endpoints), None)
        endpoint = (
            self._served.endpoint(cluster.name, first.address, first.port) if first is not None else None
        )
        return upstream_tls(message, endpoint)

    def _endpoint(self, cluster: str, place: Locality, endpoint: Endpoint) -> Step:
        where = "/".join(each for each in (place.region, place.zone, place.sub_zone) if each)
        details = [f"priority {place.priority}"]
        details += [where] if where else []
        details += [f"weight {endpoint.weight}"] if endpoint.weight != 1 else []
        details += [endpoint.health] if endpoint.health not in ("UNKNOWN", "HEALTHY") else []
        name = _place(endpoint)
        origins = _texts(self._origins.endpoint(cluster, endpoint.address))
        return Step("endpoint", name, (", ".join(details),), origins, depth=1)


def _tls_details(tls: ClientTls | None) -> Iterator[str]:
    if tls is None:
        return
    kind = "mutual TLS" if tls.certificate else "TLS"
    yield f"speaks {kind} to the endpoints" + (f", server name {tls.server_name}" if tls.server_name else "")


def _chain_details(chain: FilterChainStep, verdict: Verdict) -> Iterator[str]:
    if chain.terminates_tls:
        client = ", the client must show a certificate" if chain.requires_client_certificate else ""
        certificates = ", ".join(chain.certificates)
        yield f"ends TLS{f' with {certificates}' if certificates else ''}{client}"
        yield from (f"the client is {name}" for name in _client_names(verdict))
    filters = (*chain.filters, *verdict.http_filters)
    if filters:
        yield f"filters: {', '.join(_short(each.name) for each in filters)}"


def _client_names(verdict: Verdict) -> tuple[str, ...]:
    return verdict.call.tls.names if verdict.call.tls is not None else ()


def conclusion(verdict: Verdict) -> str:
    """Return in one sentence how the call ends."""
    if verdict.outcome is Outcome.FAILED:
        status = f" with status {verdict.status}" if verdict.status is not None else ""
        reason = verdict.failure.value if verdict.failure is not None else "it is refused"
        named = ", ".join(_at_fault(verdict))
        return f"the call fails{status}, since {reason}{f': {named}' if named else ''}"
    if verdict.outcome is Outcome.ANSWERED:
        answer = verdict.answered_by.replace("_", " ")
        where = f" to {verdict.location}" if verdict.location else ""
        return f"the proxy answers {verdict.status} by itself: {answer}{where}"
    if verdict.outcome is Outcome.UNKNOWN:
        names = ", ".join(map(_short, verdict.unjudged)) or "an unknown action"
        return f"whether the call goes on is decided by {names}, which is not simulated"
    shares = verdict.destinations
    if len(shares) == 1:
        return f"it goes to {shares[0].cluster.name}"
    return "it goes to " + ", ".join(f"{each.cluster.name} ({share_text(each.share)})" for each in shares)


def _at_fault(verdict: Verdict) -> Iterator[str]:
    """Yield why a call failed: the rule that denies it, or the secrets that are missing."""
    if verdict.failure is Failure.POLICY_DENIES and verdict.policies[-1].policy:
        yield rule_words(verdict.policies[-1].policy)
    if verdict.failure is Failure.NO_SECRET:
        chain = verdict.filter_chain.missing_secrets if verdict.filter_chain is not None else ()
        clusters = (name for each in verdict.destinations for name in each.cluster.missing_secrets)
        yield from dict.fromkeys(map(secret_words, chain or clusters))


def _lost(runner_up: RunnerUp | None, origins: tuple[Origin, ...]) -> Lost | None:
    if runner_up is None:
        return None
    return Lost(runner_up.name, runner_up.condition, runner_up.wanted, runner_up.found, _texts(origins))


def _texts(origins: tuple[Origin, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(str, origins)))


def _short(name: str) -> str:
    """Return the last part of a filter's name: `fault` of `envoy.filters.http.fault`."""
    return name.rpartition(".")[2]


def _place(endpoint: Endpoint) -> str:
    if not endpoint.port:
        return endpoint.address
    host = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    return f"{host}:{endpoint.port}"
