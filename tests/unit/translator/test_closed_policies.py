"""A security policy that cannot be translated opens nothing: its last version stays, or all is denied."""

from __future__ import annotations

from typing import Any

import pytest

import mizzen
from mizzen.config.models import AuthorizationPolicy, PeerAuthentication, RequestAuthentication
from mizzen.translator.contained import ProxyFaultError
from mizzen.translator.own import resources as workload_resources
from mizzen.xds import type_urls
from tests.unit.translator.contained_world import World

SELECTOR = {"matchLabels": {"app": "store"}}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "store", "namespace": "default"},
    "spec": {"selector": {"app": "store"}, "ports": [{"name": "http", "port": 80}]},
}
ENTRY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "WorkloadEntry",
    "metadata": {"name": "store", "namespace": "default"},
    "spec": {"address": "10.0.0.7", "labels": {"app": "store"}},
}
PROXY = mizzen.Proxy.from_node({"id": "sidecar~10.0.0.7~store.default~default.svc.cluster.local"})
DENIES_ALL = b"ns[default]-policy[p]-rule[0]"
ALLOW = {"rules": [{"to": [{"operation": {"paths": ["/a"]}}]}]}


def policy(kind: str, spec: dict[str, Any], **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": kind,
        "metadata": {"name": "p", "namespace": "default", "annotations": annotations},
        "spec": {"selector": SELECTOR, **spec},
    }


def is_marked(spec: Any) -> bool:
    """Whether this is the document at which the builder raises: one with a mark."""
    if isinstance(spec, AuthorizationPolicy):
        return any(to.operation.paths == ("/bad",) for rule in spec.rules for to in rule.to if to.operation)
    if isinstance(spec, RequestAuthentication):
        return any(rule.issuer == "bad" for rule in spec.jwt_rules)
    assert isinstance(spec, PeerAuthentication)
    return 666 in spec.port_level_mtls


@pytest.fixture(autouse=True)
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    build = workload_resources.virtual_inbound_listener

    def raising(proxy: Any, ports: Any, settings: Any, policies: Any, *rest: Any) -> Any:
        found = (
            *policies.peer_authentications,
            *policies.request_authentications,
            *policies.authorization_policies,
        )
        if any(is_marked(one.spec) for one in found):
            raise ValueError("out of range")
        return build(proxy, ports, settings, policies, *rest)

    monkeypatch.setattr(workload_resources, "virtual_inbound_listener", raising)


def inbound(world: World) -> bytes:
    listeners = world.translation.snapshot(PROXY).collection(type_urls.LISTENER).resources
    return bytes(listeners["virtualInbound"].value)


BAD = {
    "AuthorizationPolicy": {"rules": [{"to": [{"operation": {"paths": ["/bad"]}}]}]},
    "RequestAuthentication": {"jwtRules": [{"issuer": "bad", "jwks": '{"keys": []}'}]},
    "PeerAuthentication": {"portLevelMtls": {666: {"mode": "STRICT"}}},
}


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "RequestAuthentication"])
@pytest.mark.parametrize("at_the_start", [True, False])
def test_what_was_never_good_denies_everything_for_the_workloads_that_it_selects(
    kind: str, at_the_start: bool
) -> None:
    bad = policy(kind, BAD[kind])
    world = World(store=SERVICE, entry=ENTRY, **({"p": bad} if at_the_start else {}))
    if not at_the_start:
        assert DENIES_ALL not in inbound(world)
        world.write(p=bad)
    assert inbound(world).count(DENIES_ALL) >= 1
    (withheld,) = world.translation.withheld
    assert "all calls to the workloads that it selects are denied" in str(withheld.diagnostic)
    world.write(p=None)
    assert DENIES_ALL not in inbound(world)
    assert world.translation.withheld == ()


def test_a_mode_that_was_never_good_demands_mutual_tls() -> None:
    world = World(store=SERVICE, entry=ENTRY, p=policy("PeerAuthentication", BAD["PeerAuthentication"]))
    (one,) = world.translation.withheld if inbound(world) else ()
    assert one.in_force is not None
    assert one.in_force.spec.mtls.mode == "STRICT"


def test_the_last_good_version_stays() -> None:
    world = World(store=SERVICE, entry=ENTRY, p=policy("AuthorizationPolicy", ALLOW))
    before = inbound(world)
    world.write(p=policy("AuthorizationPolicy", BAD["AuthorizationPolicy"]))
    assert inbound(world) == before
    (withheld,) = world.translation.withheld
    assert "its version of p.yaml:1 stays in force" in str(withheld.diagnostic)


def test_a_stand_in_stays_while_version_after_version_fails() -> None:
    world = World(store=SERVICE, entry=ENTRY, p=policy("AuthorizationPolicy", BAD["AuthorizationPolicy"]))
    assert DENIES_ALL in inbound(world)
    world.write(p=policy("AuthorizationPolicy", {**BAD["AuthorizationPolicy"], "action": "DENY"}))
    assert DENIES_ALL in inbound(world)
    (withheld,) = world.translation.withheld
    assert "are denied" in str(withheld.diagnostic)
    world.write(p=policy("AuthorizationPolicy", ALLOW))
    assert inbound(world)
    assert world.translation.withheld == ()


@pytest.mark.parametrize(
    "one",
    [
        policy("AuthorizationPolicy", {**BAD["AuthorizationPolicy"], "action": "AUDIT"}),
        policy("AuthorizationPolicy", BAD["AuthorizationPolicy"], **{"istio.io/dry-run": "true"}),
    ],
    ids=["audit", "dry run"],
)
def test_a_policy_that_keeps_nobody_out_is_left_out(one: dict[str, Any]) -> None:
    world = World(store=SERVICE, entry=ENTRY, p=one)
    assert DENIES_ALL not in inbound(world)
    (withheld,) = world.translation.withheld
    assert "it is left out" in str(withheld.diagnostic)


def test_a_proxy_is_served_nothing_new_where_even_the_stand_in_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(proxy: Any, ports: Any, settings: Any, policies: Any, *rest: Any) -> Any:
        if policies.authorization_policies:
            raise ValueError("out of range")
        return build(proxy, ports, settings, policies, *rest)

    world = World(store=SERVICE, entry=ENTRY, p=policy("AuthorizationPolicy", ALLOW))
    build = workload_resources.virtual_inbound_listener
    monkeypatch.setattr(workload_resources, "virtual_inbound_listener", raising)
    with pytest.raises(ProxyFaultError):
        world.translation.snapshot(PROXY)
