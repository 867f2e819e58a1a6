"""Istio's own cases of traffic simulation, answered by the simulator over what Mizzen sends.

The cases are data that lies outside the repository: in the folder that MIZZEN_ISTIO_CASES names, else in
`../shared/cases`. Where there is none, there is nothing to test. docs/decisions/0062 says how a case is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import mizzen
from mizzen.simulate import Call, Capture, ClientTls, Failure, Protocol, Simulator, Verdict
from tests.istio_cases.cases import cases_of, read_case

_CASES = cases_of("simulation")

_ERRORS = {
    Failure.NO_LISTENER: "NoListener",
    Failure.NO_FILTER_CHAIN: "NoFilterChain",
    Failure.DUPLICATE_FILTER_CHAIN: "MultipleFilterChain",
    Failure.TLS_EXPECTED: "TLSError",
    Failure.CLIENT_CERTIFICATE_REQUIRED: "MTLSError",
    Failure.NOT_HTTP: "ProtocolError",
    Failure.NO_VIRTUAL_HOST: "NoVirtualHost",
    Failure.NO_ROUTE: "NoRoute",
}
"""Istio's simulator does not look at clusters and endpoints, so their failures are none of its errors."""

_PROTOCOLS = {"http": Protocol.HTTP1, "http2": Protocol.HTTP2, "tcp": Protocol.TCP}
_ALPN = {
    ("tls", "http"): "http/1.1",
    ("tls", "http2"): "h2",
    ("mtls", "http"): "istio-http/1.1",
    ("mtls", "http2"): "istio-h2",
    ("mtls", "tcp"): "istio",
}
_NO_HOST = "unset"
"""The Host of a call that does not say one: Istio's simulator lets it be empty, which HTTP does not."""

_DEFAULTS = {"enableAutoMtls": True}
"""What istiod's mesh configuration has where a control plane without certificates has not."""

_SERVED = "mutual TLS (PeerAuthentication STRICT/PERMISSIVE)"
"""A reason of the cases that holds no more."""

DEVIATIONS: dict[str, str] = {}
"""Cases that Mizzen answers otherwise, and the decision that says why."""


def _resources(case: dict[str, Any], folder: Path) -> mizzen.Resources:
    for name, text in case["files"].items():
        (folder / name).write_text(text, encoding="utf-8")
    mesh_config = folder / "mesh-config"
    mesh_config.write_text(yaml.safe_dump({**_DEFAULTS, **(case["mesh_config"] or {})}), encoding="utf-8")
    mesh = mizzen.load(folder, mesh_config=mesh_config, strict=False)
    return mizzen.translate(mesh, mizzen.Proxy.from_node(case["node"]))


def _of_both_families(resources: mizzen.Resources) -> mizzen.Resources:
    """Let IPv4 wildcard listeners take IPv6 too, since Istio's simulator looks there for both."""
    for listener in resources.listeners:
        socket = listener.address.socket_address
        if socket.address == "0.0.0.0":
            other = listener.additional_addresses.add().address.socket_address
            other.address, other.port_value = "::", socket.port_value
    return resources


def _call(given: dict[str, Any], node: dict[str, Any]) -> Call:
    captured = not node["id"].startswith("router~") and node["metadata"].get("INTERCEPTION_MODE") != "NONE"
    mode = given.get("call_mode", "")
    capture = Capture.INBOUND if mode == "inbound" else Capture.OUTBOUND
    if mode == "gateway" or (mode != "inbound" and not captured):
        capture = Capture.NONE
    headers = {name.lower(): values for name, values in (given.get("headers") or {}).items()}
    host = given.get("host_header") or (headers.pop("host", None) or [_NO_HOST])[0]
    tls = None
    if (mode := given.get("tls") or "plaintext") != "plaintext":
        alpn = given.get("alpn") or _ALPN.get((mode, given["protocol"]), "")
        name = given.get("sni") or (given.get("host_header", "") if mode == "tls" else "")
        tls = ClientTls(name, (alpn,) if alpn else (), certificate=mode == "mtls")
    return Call(
        port=given["port"],
        address=given.get("address") or "1.3.3.7",
        capture=capture,
        protocol=_PROTOCOLS[given["protocol"]],
        tls=tls,
        authority=host,
        path=given.get("path") or "/",
        headers=tuple((name, value) for name, values in headers.items() for value in values),
    )


def _error(verdict: Verdict, given: dict[str, Any]) -> str | None:
    """Return Istio's name of the failure. To it, a client with a certificate is wrong where none is asked."""
    chain = verdict.filter_chain
    if chain is not None and chain.terminates_tls and verdict.call.tls is not None:
        secret = given.get("mtls_secret_config_name") or "default"
        mutual = chain.requires_client_certificate and chain.certificates[:1] == (secret,)
        if mutual != verdict.call.tls.certificate:
            return "MTLSError"
    if verdict.answered_by == "require_tls":
        return "TLSRedirect"
    return _ERRORS.get(verdict.failure) if verdict.failure is not None else None


def _answer(verdict: Verdict, given: dict[str, Any], named_routes: set[str]) -> dict[str, str | None]:
    """Return the verdict in the words of the cases; what comes after an error is empty.

    `named_routes` are the route configurations with names in Istio's sense: those that RDS serves.
    """
    error = _error(verdict, given)
    reached = error != "MTLSError"
    route_configuration = verdict.route_configuration
    return {
        "error": error,
        "listener": verdict.listener.name if verdict.listener else "",
        "filter_chain": verdict.filter_chain.name if verdict.filter_chain else "",
        "route_config": route_configuration if reached and route_configuration in named_routes else "",
        "virtual_host": verdict.virtual_host.name if verdict.virtual_host and reached else "",
        "route": verdict.route.name if verdict.route and reached else "",
        "cluster": verdict.cluster if reached else "",
    }


def _virtual_hosts(resources: mizzen.Resources, name: str) -> dict[str, list[str]]:
    """Return the clusters of the routes of each domain."""
    found: dict[str, list[str]] = {}
    for configuration in resources.routes:
        for host in configuration.virtual_hosts if configuration.name == name else ():
            clusters = [
                cluster
                for route in host.routes
                for cluster in (
                    [route.route.cluster]
                    if route.route.cluster
                    else [each.name for each in route.route.weighted_clusters.clusters]
                )
            ]
            found.update((domain, clusters) for domain in host.domains)
    return found


def _inbound_endpoints(cluster: Any) -> list[str] | None:
    return [
        f"{each.endpoint.address.socket_address.address}:{each.endpoint.address.socket_address.port_value}"
        for locality in cluster.load_assignment.endpoints
        for each in locality.lb_endpoints
    ] or None


def _inbound_services(cluster: Any) -> list[str]:
    services = cluster.metadata.filter_metadata["istio"].fields["services"].list_value.values
    return sorted(str(each.struct_value.fields["host"].string_value) for each in services)


@pytest.mark.optional("reads cases that lie outside the repository, some of kinds that are not served")
@pytest.mark.skipif(not _CASES, reason="Istio's cases are not on this machine")
@pytest.mark.parametrize("path", _CASES, ids=lambda path: path.stem)
def test_a_case_of_istio_is_answered_as_istio_answers_it(path: Path, tmp_path: Path) -> None:
    case = read_case(path)
    reason = case.get("not_applicable_for_mizzen") or DEVIATIONS.get(case["name"])
    if reason and reason != _SERVED:
        pytest.skip(f"not served: {reason}")
    resources = _of_both_families(_resources(case, tmp_path))
    simulator = Simulator(resources)
    named_routes = {str(route.name) for route in resources.routes}
    for each in case["calls"]:
        call = _call(each["call"], case["node"])
        answer = _answer(simulator.verdict(call), each["call"], named_routes)
        expected = {
            name: value
            for name, value in each["expect"].items()
            if name in answer and (value or name == "error" or each["expect"].get("strict"))
        }
        assert {name: answer[name] for name in expected} == expected, each["name"]
    found = _virtual_hosts(resources, case.get("route_config", ""))
    for domain, clusters in case.get("expected_virtual_hosts", {}).items():
        assert found.get(domain) == clusters, domain
    if case.get("expected_inbound_clusters") is not None:
        inbound = {each.name: each for each in resources.clusters if each.name.startswith("inbound|")}
        endpoints = {name: _inbound_endpoints(cluster) for name, cluster in inbound.items()}
        assert endpoints == case["expected_inbound_clusters"]
        for name, services in (case.get("expected_inbound_cluster_services") or {}).items():
            assert _inbound_services(inbound[name]) == services
