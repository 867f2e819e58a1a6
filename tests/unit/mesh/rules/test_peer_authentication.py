"""Which mode a workload's ports have: mesh, namespace, workload, port; and what clients know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from mizzen.config.models import MutualTLSMode
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.rules.peer_authentication import PeerModes, ServicePeers, service_peers
from mizzen.mesh.service import Endpoint
from mizzen.mesh.snapshot import Mesh

MeshOf = Callable[..., Mesh]
STRICT, PERMISSIVE, DISABLE = MutualTLSMode.STRICT, MutualTLSMode.PERMISSIVE, MutualTLSMode.DISABLE


def policy(
    mode: str = "",
    *,
    namespace: str = "shop",
    app: str = "",
    ports: str = "",
    name: str = "",
    year: int = 2000,
) -> str:
    spec = [f"mtls: {{mode: {mode}}}"] if mode else []
    spec += [f"selector: {{matchLabels: {{app: {app}}}}}"] if app else []
    spec += [f"portLevelMtls: {ports}"] if ports else []
    name = name or f"p{year}-{app}-{namespace}".replace("--", "-")
    return f"""
---
kind: PeerAuthentication
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec: {{{", ".join(spec)}}}"""


def mesh(*policies: str) -> str:
    return "\nkind: Namespace\nmetadata: {name: shop}" + "".join(policies)


ROOT = "istio-system"
MODES: dict[str, tuple[Iterable[str], PeerModes]] = {
    "none": ((), PeerModes(PERMISSIVE)),
    "mesh": ((policy("STRICT", namespace=ROOT),), PeerModes(STRICT)),
    "namespace over mesh": ((policy("STRICT", namespace=ROOT), policy("DISABLE")), PeerModes(DISABLE)),
    "workload over namespace": ((policy("STRICT"), policy("DISABLE", app="a")), PeerModes(DISABLE)),
    "another workload": ((policy("STRICT"), policy("DISABLE", app="b")), PeerModes(STRICT)),
    "another namespace": ((policy("STRICT", namespace="other"),), PeerModes(PERMISSIVE)),
    "unset inherits": (
        (policy("STRICT", namespace=ROOT), policy("UNSET"), policy(app="a")),
        PeerModes(STRICT),
    ),
    "a selector in the root namespace picks nothing": (
        (policy("STRICT", namespace=ROOT, app="a"),),
        PeerModes(PERMISSIVE),
    ),
    "the oldest counts": ((policy("STRICT", year=2001), policy("DISABLE", year=2002)), PeerModes(STRICT)),
    "the oldest of a workload counts, though it says nothing": (
        (policy("UNSET", app="a", year=2001), policy("DISABLE", app="a", year=2002)),
        PeerModes(PERMISSIVE),
    ),
    "ports": (
        (policy("STRICT"), policy(app="a", ports="{9: {mode: DISABLE}, 8: {mode: UNSET}}")),
        PeerModes(STRICT, ((8, STRICT), (9, DISABLE))),
    ),
}


@pytest.mark.parametrize("case", MODES)
def test_the_narrowest_scope_that_says_a_mode_decides(
    mesh_of: MeshOf, proxy_at: Callable[..., Proxy], case: str
) -> None:
    policies, expected = MODES[case]
    built = mesh_of(mesh(*policies), enable_auto_mtls=True)
    proxy = proxy_at("shop", app="a")
    assert built.peer_modes(proxy, built.policies_for(proxy)) == expected


def test_a_port_has_its_own_mode_or_that_of_the_workload() -> None:
    modes = PeerModes(STRICT, ((9, DISABLE),))
    assert [modes.of_port(number) for number in (8, 9)] == [STRICT, DISABLE]


def test_without_certificates_strict_refuses_and_permissive_is_plain_text(
    mesh_of: MeshOf, proxy_at: Callable[..., Proxy]
) -> None:
    def modes(*policies: str) -> PeerModes:
        built = mesh_of(mesh(*policies))
        proxy = proxy_at("shop", app="a")
        return built.peer_modes(proxy, built.policies_for(proxy))

    assert modes() == PeerModes(DISABLE)
    assert modes(policy("STRICT", app="a", ports="{9: {mode: PERMISSIVE}}")) == PeerModes(
        STRICT, ((9, DISABLE),)
    )


def endpoint(app: str) -> Endpoint:
    return Endpoint("10.0.0.1", (("http", 8080), ("raw", 9)), (("app", app),))


def peers(mesh_of: MeshOf, *policies: str, apps: Iterable[str] = "ab") -> ServicePeers:
    configs = mesh_of(mesh(*policies)).policy_index.peer_authentications("shop")
    return service_peers(configs, ROOT, [endpoint(app) for app in apps])


def test_clients_leave_mutual_tls_to_endpoints_that_take_it(mesh_of: MeshOf) -> None:
    def refusing(found: ServicePeers, port: str = "http") -> list[str]:
        return [app for app in "ab" if found.refuses_mutual_tls(endpoint(app), port)]

    assert refusing(peers(mesh_of)) == []
    assert refusing(peers(mesh_of, policy("DISABLE", app="a"))) == ["a"]
    assert refusing(peers(mesh_of, policy("DISABLE"), policy("STRICT", app="a"))) == ["b"]
    of_port = peers(mesh_of, policy(app="a", ports="{9: {mode: DISABLE}}"))
    assert (refusing(of_port), refusing(of_port, "raw")) == ([], ["a"])


def test_a_policy_of_other_workloads_changes_nothing_for_a_service(mesh_of: MeshOf) -> None:
    policies = policy("STRICT", app="a")
    assert peers(mesh_of, policies, apps="b") == peers(mesh_of, apps="b")
    assert peers(mesh_of, policies, apps="a") != peers(mesh_of, apps="a")


def entries(*apps: str, namespace: str = "shop") -> str:
    return "".join(
        f"""
---
kind: ServiceEntry
metadata: {{name: {app}, namespace: {namespace}}}
spec:
  hosts: [{app}.{namespace}]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 10.0.0.{at}, labels: {{app: {app}}}}}]"""
        for at, app in enumerate(apps, 1)
    )


@pytest.mark.parametrize(
    ("before", "after", "concerned"),
    [
        ("", policy("STRICT", app="a", name="p"), {"a.shop"}),
        (policy("STRICT", app="a", name="p"), policy("STRICT", app="b", name="p"), {"a.shop", "b.shop"}),
        (policy("STRICT", app="a", name="p"), policy("STRICT", name="p"), {"a.shop", "b.shop", "c.shop"}),
        ("", policy("STRICT", app="nobody", name="p"), set()),
        ("", policy("STRICT", namespace="other", name="p"), {"a.other"}),
        ("", policy("STRICT", namespace=ROOT, name="p"), {"a.shop", "b.shop", "c.shop", "a.other"}),
        ("", policy("STRICT", namespace=ROOT, app="a", name="p"), set()),
    ],
)
def test_a_change_concerns_the_services_that_it_says_something_of(
    mesh_of: MeshOf, changed: Callable[..., Any], before: str, after: str, concerned: set[str]
) -> None:
    """A hundred other services of the namespace cost nothing."""
    world = mesh(entries("a", "b", "c"), entries("a", namespace="other"), before)
    was = mesh_of(world, enable_auto_mtls=True)
    now, _ = changed(was, after.lstrip("-\n"))
    assert {hostname for _, hostname in now.difference(was).peers} == concerned
    was = mesh_of(world)
    now, _ = changed(was, after.lstrip("-\n"))
    assert not now.difference(was).peers
