"""The simulator and a real Envoy do the same with the same calls: listener, chain, route, cluster, status."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest
import yaml
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

import mizzen
from mizzen.identity import SpiffeId
from mizzen.identity.authority import new_root, pem
from mizzen.identity.workload_certificate import issue
from mizzen.simulate import Call, Capture, Failure, Outcome, Protocol, Simulator, Verdict
from mizzen.simulate.verdict import DENIALS
from mizzen.testing.envoy_alone import EnvoyAlone, source_of
from mizzen.testing.envoy_calls import Calls, fake_upstream
from mizzen.testing.own_network import own_network
from mizzen.testing.raw_requests import Answer
from mizzen.translator.tls.workload_secrets import trust_bundle, workload_secret
from tests.e2e.drawn_calls import Drawn, gateway, sidecar, uncaptured
from tests.e2e.drawn_messages import filter_chains, routes
from tests.e2e.drawn_policies import secured_gateway, secured_sidecar

pytestmark = pytest.mark.envoy

_REFUSED = (Failure.BAD_REQUEST, Failure.PATH_REFUSED, *DENIALS)
_DENIED_BY = re.compile(r"rbac_access_denied_matched_policy\[(.*)\]")
_SEARCH_SECONDS = 60.0


@pytest.mark.parametrize("seed", range(4))
async def test_a_gateway_does_what_the_simulator_says(seed: int, tmp_path: Path) -> None:
    await _compare(gateway(seed), tmp_path)


@pytest.fixture(autouse=True)
def alone_in_its_network() -> Iterator[None]:
    with own_network():
        yield


@pytest.mark.parametrize("seed", range(4))
async def test_a_captured_sidecar_does_what_the_simulator_says(seed: int, tmp_path: Path) -> None:
    await _compare(sidecar(seed), tmp_path)


@pytest.mark.parametrize("seed", range(2))
async def test_a_sidecar_without_capture_does_what_the_simulator_says(seed: int, tmp_path: Path) -> None:
    await _compare(uncaptured(seed), tmp_path)


@pytest.mark.parametrize("seed", range(3))
async def test_filter_chains_of_every_kind_are_chosen_alike(seed: int, tmp_path: Path) -> None:
    await _agree(*filter_chains(seed), tmp_path)


@pytest.mark.parametrize("seed", range(3))
async def test_routes_of_every_kind_are_chosen_alike(seed: int, tmp_path: Path) -> None:
    await _agree(*routes(seed), tmp_path)


async def test_policies_and_tokens_at_a_gateway_are_judged_alike(tmp_path: Path) -> None:
    await _compare(secured_gateway(0), tmp_path)


async def test_policies_and_mutual_tls_at_a_sidecar_are_judged_alike(tmp_path: Path) -> None:
    await _compare(secured_sidecar(0), tmp_path)


@pytest.mark.search
async def test_other_policies_are_judged_alike(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """In `make test` one mesh, with one seed; in a search as many as fit into its time, or a minute."""
    seconds = request.config.getoption("--search-seconds")
    seed = 1 if seconds is None else SystemRandom().randrange(2**32)
    end = time.monotonic() + min(seconds or 0.0, _SEARCH_SECONDS)
    while True:
        for draw in (secured_gateway, secured_sidecar):
            directory = tmp_path / f"{draw.__name__}-{seed}"
            directory.mkdir()
            await _compare(draw(seed), directory)
        seed += 1
        if time.monotonic() > end:
            return


async def _compare(drawn: Drawn, directory: Path) -> None:
    (directory / "mesh").mkdir()
    text = yaml.safe_dump_all(drawn.documents, sort_keys=False)
    (directory / "mesh" / "mesh.yaml").write_text(text, encoding="utf-8")
    mesh = mizzen.load(directory / "mesh")
    resources = mizzen.translate(mesh, mizzen.Proxy.from_node(drawn.node))
    outcomes = await _agree(resources, drawn.calls, directory)
    assert drawn.outcomes <= outcomes, "these calls prove too little"


async def _agree(resources: Any, calls: Sequence[Call], directory: Path) -> set[Outcome]:
    """Make the calls on an Envoy, compare what it does with the verdicts, and return their outcomes."""
    simulator = Simulator(resources)
    certificates = _certificates(resources, calls, directory)
    async with fake_upstream() as upstream:
        envoy = await EnvoyAlone.start(resources, upstream.port, directory, certificates)
        try:
            unheard = {simulator.verdict(call).failure for call in calls if not envoy.listens(call)}
            assert unheard <= {Failure.NO_LISTENER}
            made = await Calls(envoy, upstream).make([call for call in calls if envoy.listens(call)])
        finally:
            await envoy.stop()
    wrong = []
    outcomes = set()
    for each in made:
        verdict = simulator.verdict(_from_its_source(each.call, each.number))
        outcomes.add(verdict.outcome)
        said = _said(verdict)
        seen = _seen(verdict, each.answer, each.entry)
        if said != seen:
            wrong.append(f"{verdict.call}\n  simulator: {said}\n  Envoy:     {seen} {each.entry}")
    assert not wrong, f"{len(wrong)} of {len(made)} calls:\n" + "\n".join(wrong)
    return outcomes


def _from_its_source(call: Call, number: int) -> Call:
    """Return a call as it comes from where `EnvoyAlone` makes it."""
    address = source_of(number) if call.capture is Capture.NONE else call.source_address
    return dataclasses.replace(call, source_address=address, source_port=number)


def _certificates(resources: Any, calls: Iterable[Call], directory: Path) -> dict[str, Path]:
    """Give the proxy the secrets of the mesh's mutual TLS, and return the certificates of clients by name."""
    names = {name for call in calls if call.tls is not None for name in call.tls.names}
    root, now = new_root(datetime.now(UTC)), datetime.now(UTC)
    own = issue(root, SpiffeId("cluster.local", "shop", "orders"), now)
    roots = trust_bundle(pem([root.certificate]))
    for secret in (workload_secret(own.certificate_chain, own.private_key), roots):
        resources.secrets.append(secret_pb2.Secret.FromString(secret.value))
    files = {}
    for number, name in enumerate(sorted(names)):
        made = issue(root, SpiffeId.parse(name), now)
        files[name] = directory / f"client-{number}.pem"
        files[name].write_bytes(made.private_key + made.certificate_chain)
    return files


def _said(verdict: Verdict) -> dict[str, Any]:
    """Return what can be seen from outside of a verdict."""
    http = verdict.route_configuration != "" or bool(verdict.http_filters and verdict.failure in _REFUSED)
    forwarded = verdict.outcome is Outcome.FORWARDED
    said: dict[str, Any] = {
        "listener": verdict.listener.name if verdict.listener else None,
        "chain": verdict.filter_chain.name if verdict.filter_chain else "",
        "clusters": {each.cluster.name for each in verdict.destinations},
        "policy": _denying(verdict),
    }
    if http:
        said |= {
            "status": 200 if forwarded else verdict.status,
            "route": verdict.route.name if verdict.route else "",
            "location": verdict.location,
            "upstream": (verdict.upstream.authority, verdict.upstream.path, _changed_headers(verdict))
            if forwarded and verdict.upstream
            else None,
        }
    return said


def _denying(verdict: Verdict) -> str | None:
    """Return the policy that Envoy names as the one that denies the call; None if RBAC does not deny it."""
    if verdict.failure not in (Failure.POLICY_DENIES, Failure.NO_POLICY_ALLOWS):
        return None
    return verdict.policies[-1].policy or "none"


def _seen(verdict: Verdict, answer: Answer, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of what Envoy did."""
    said = _said(verdict)
    clusters = said["clusters"]
    chosen = {entry["cluster"]} - {None}
    # One of several was chosen. Answers of Envoy's own may be logged with the cluster of their route.
    if not (chosen and chosen <= clusters) and (chosen or verdict.outcome is Outcome.FORWARDED):
        clusters = chosen if verdict.outcome is not Outcome.ANSWERED else clusters
    if verdict.failure in DENIALS:
        # The cluster of a connection is chosen before its first byte, and with that it is denied.
        clusters = set()
    denied = _DENIED_BY.match(entry["details"] or entry["termination"] or "")
    seen: dict[str, Any] = {
        "listener": entry["listener"],
        "chain": entry["chain"] or "",
        "clusters": clusters,
        "policy": denied[1] if denied is not None else None,
    }
    if "status" in said:
        http2 = verdict.call.protocol is Protocol.HTTP2
        seen |= _logged(verdict, entry) if http2 else _answered(answer, entry)
        if verdict.failure in _REFUSED:
            # Envoy logs a route that the answer has nothing to do with.
            seen["route"] = ""
        if said["upstream"] is not None and seen["upstream"] is not None:
            authority, target, headers = seen["upstream"]
            seen["upstream"] = (authority, target, {name: headers.get(name) for name in said["upstream"][2]})
    return seen


def _answered(answer: Answer, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the client and the server behind Envoy saw of a request."""
    forwarded = answer.headers.get("content-type") == "application/json" and answer.status == 200
    body = json.loads(answer.body) if forwarded else {}
    return {
        "status": answer.status,
        "route": entry["route"] or "",
        "location": answer.headers.get("location", ""),
        "upstream": (body["authority"], body["target"], body["headers"]) if forwarded else None,
    }


def _logged(verdict: Verdict, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Envoy logged of a request, where the client cannot read the answer."""
    headers = _said(verdict)["upstream"]
    return {
        "status": entry["status"],
        "route": entry["route"] or "",
        "location": entry["location"] or "",
        "upstream": (entry["authority"], entry["target"], headers[2]) if headers is not None else None,
    }


def _changed_headers(verdict: Verdict) -> dict[str, str | None]:
    """Return the headers that the verdict says are changed, as they are sent on; None for those removed."""
    assert verdict.route is not None
    assert verdict.upstream is not None
    changed: dict[str, str | None] = {}
    sent = [(name.lower(), value) for name, value in verdict.call.headers]
    if verdict.upstream.headers is not None:
        before_filters, sent = sent, list(verdict.upstream.headers)
        changed |= dict.fromkeys(name for name, _ in before_filters)
        for name, _ in sent:
            changed[name] = ",".join(value for other, value in sent if other == name)
    for change in verdict.route.request_headers:
        name = change.name.lower()
        before = changed.get(name, ",".join(value for other, value in sent if other == name) or None)
        appended = change.operation == "append_if_exists_or_add" and before is not None
        changed[name] = f"{before},{change.value}" if appended else change.value
        if change.operation == "remove":
            changed[name] = None
    return changed
