from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from mizzen.config import MeshConfig
from mizzen.mesh.rules.destination_rules import effective_traffic_policy
from mizzen.mesh.snapshot import Mesh

MeshOf = Callable[..., Mesh]
SERVICES = """
kind: ServiceEntry
metadata: {name: web, namespace: shop}
spec:
  hosts: [web.shop.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
"""


def rule(name: str, host: str, namespace: str = "default", spec: str = "", year: int = 2000) -> str:
    return f"""
---
kind: DestinationRule
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: "{year}-01-01T00:00:00Z"}}
spec:
  host: {host}
  subsets: [{{name: {name}}}]
{spec}
"""


def names(mesh: Mesh, scope_of: Callable[..., Any], namespace: str, **labels: str) -> list[str]:
    found = scope_of(mesh, namespace, **labels).destination_rule("web.shop.com")
    return [config.name for config in found.configs] if found is not None else []


def test_client_namespace_then_service_namespace_then_root(
    mesh_of: MeshOf, scope_of: Callable[..., Any]
) -> None:
    mesh = mesh_of(
        SERVICES
        + rule("client", "'*.com'", "default")
        + rule("service", "web.shop.com", "shop")
        + rule("root", "'*'", "istio-system")
    )
    # A wildcard of the client's namespace hides an exact rule of the service's.
    assert names(mesh, scope_of, "default") == ["client"]
    assert names(mesh, scope_of, "third") == ["service"]
    mesh = mesh_of(SERVICES + rule("root", "'*'", "istio-system"))
    assert names(mesh, scope_of, "third") == ["root"]
    assert names(mesh, scope_of, "istio-system") == ["root"]


def test_most_specific_rule_that_is_not_exported_hides_its_group(
    mesh_of: MeshOf, scope_of: Callable[..., Any]
) -> None:
    mesh = mesh_of(
        SERVICES
        + rule("exact", "web.shop.com", "shop", "  exportTo: [only]")
        + rule("wide", "'*.shop.com'", "shop")
        + rule("root", "'*'", "istio-system")
    )
    assert names(mesh, scope_of, "only") == ["exact"]
    assert names(mesh, scope_of, "default") == ["root"]


def test_private_rules(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    mesh = mesh_of(
        SERVICES
        + rule("private", "web.shop.com", "shop", "  exportTo: ['.']")
        + rule("root-private", "'*'", "istio-system", "  exportTo: ['.']")
    )
    assert names(mesh, scope_of, "shop") == ["private"]
    assert names(mesh, scope_of, "default") == []
    assert names(mesh, scope_of, "istio-system") == ["root-private"]
    mesh = mesh_of(SERVICES + rule("plain", "web.shop.com", "shop"), default_destination_rule_export_to=["."])
    assert names(mesh, scope_of, "default") == []


def test_rules_of_one_host_are_merged(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    policy = "  trafficPolicy: {{loadBalancer: {{simple: {simple}}}}}"
    mesh = mesh_of(
        SERVICES
        + rule("c", "web.shop.com", "shop", policy.format(simple="RANDOM"), 2003)
        + rule("b", "web.shop.com", "shop", policy.format(simple="LEAST_REQUEST"), 2002)
        + rule("a", "web.shop.com", "shop", "", 2001)
    )
    found = scope_of(mesh).destination_rule("web.shop.com")
    assert [subset.name for subset in found.subsets] == ["a", "b", "c"]
    assert found.traffic_policy.load_balancer.simple == "LEAST_REQUEST"
    assert found.subset("b") is not None
    assert found.subset("missing") is None
    assert found.subset_configs["c"].name == "c"


def test_a_subset_defined_twice_is_reported(mesh_of: MeshOf) -> None:
    mesh = mesh_of(
        SERVICES
        + rule("a", "web.shop.com", "shop", "", 2001)
        + rule("b", "web.shop.com", "shop", "", 2002).replace("{name: b}]", "{name: a}]")
    )
    (found,) = mesh.diagnostics
    assert (found.code, found.path) == ("MZ0202", "spec.subsets[0]")


def test_rules_exported_differently_are_not_merged(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    mesh = mesh_of(
        SERVICES
        + rule("a", "web.shop.com", "shop", "  exportTo: [x]", 2001)
        + rule("b", "web.shop.com", "shop", "  exportTo: [default]", 2002)
    )
    assert names(mesh, scope_of, "x") == ["a"]
    assert names(mesh, scope_of, "default") == ["b"]


def test_a_rule_that_is_exported_to_more_joins_an_older_one(
    mesh_of: MeshOf, scope_of: Callable[..., Any]
) -> None:
    mesh = mesh_of(
        SERVICES
        + rule("a", "web.shop.com", "shop", "  exportTo: [x]", 2001)
        + rule("b", "web.shop.com", "shop", "  exportTo: [x, default]", 2002)
    )
    assert names(mesh, scope_of, "x") == ["a", "b"]
    less = mesh_of(
        SERVICES
        + rule("a", "web.shop.com", "shop", "  exportTo: [x, default]", 2001)
        + rule("b", "web.shop.com", "shop", "  exportTo: [x]", 2002)
        + rule("c", "web.shop.com", "shop", "", 2003)
    )
    assert names(less, scope_of, "default") == ["c"]


def test_rules_of_one_selector_are_merged_whoever_they_name(
    mesh_of: MeshOf, scope_of: Callable[..., Any]
) -> None:
    picky = "  workloadSelector: {matchLabels: {app: a}}"
    mesh = mesh_of(
        SERVICES
        + rule("a", "web.shop.com", "shop", picky, 2001)
        + rule("b", "web.shop.com", "shop", picky + "\n  exportTo: ['.']", 2002)
        + rule("c", "web.shop.com", "shop", picky.replace("app: a", "app: c"), 2003)
    )
    assert names(mesh, scope_of, "shop", app="a") == ["a", "b"]
    assert names(mesh, scope_of, "shop", app="c") == ["c"]


def test_warnings_of_several_namespaces_stand_beside_each_other(mesh_of: MeshOf) -> None:
    twice = [
        rule(name, "web.shop.com", namespace, "", 2001).replace(f"{{name: {name}}}]", "{name: a}]")
        for namespace in ("shop", "other")
        for name in ("a", "b")
    ]
    found = mesh_of(SERVICES + "".join(twice)).diagnostics
    assert [one.code for one in found] == ["MZ0202", "MZ0202"]
    assert len({one.origin.line for one in found}) == 2


def test_a_warning_goes_with_its_cause(mesh_of: MeshOf, changed: Callable[..., Any]) -> None:
    twice = rule("b", "web.shop.com", "shop", "", 2002).replace("{name: b}]", "{name: a}]")
    mesh = mesh_of(SERVICES + rule("a", "web.shop.com", "shop", "", 2001) + twice)
    assert [found.code for found in mesh.diagnostics] == ["MZ0202"]
    mended, _ = changed(mesh, twice.removeprefix("\n---\n").replace("{name: a}]", "{name: c}]"))
    assert mended.diagnostics == ()


def test_workload_selector(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    mesh = mesh_of(
        SERVICES
        + rule("plain", "web.shop.com", "default")
        + rule("picky", "web.shop.com", "default", "  workloadSelector: {matchLabels: {app: a}}", 2005)
        + rule("away", "web.shop.com", "shop", "  workloadSelector: {matchLabels: {app: a}}")
    )
    assert names(mesh, scope_of, "default", app="a") == ["picky"]
    assert names(mesh, scope_of, "default", app="b") == ["plain"]
    assert names(mesh, scope_of, "third", app="a") == []
    (service,) = mesh.registry.hosts.get("web.shop.com") or ()
    inbound = mesh.inbound_rule("default", service)
    assert inbound is not None
    assert inbound.configs[0].name == "plain"


def test_profiles_differ_only_by_labels_that_rules_mention(
    mesh_of: MeshOf, proxy_at: Callable[..., Any]
) -> None:
    plain = mesh_of(SERVICES)
    picky = mesh_of(SERVICES + rule("p", "a.com", "default", "  workloadSelector: {matchLabels: {app: a}}"))
    one, other = proxy_at(app="a", version="1"), proxy_at(app="b", version="2", address="10.9.9.8")
    assert plain.outbound_profile(one) == plain.outbound_profile(other)
    assert plain.scope(plain.outbound_profile(one)) is plain.scope(plain.outbound_profile(other))
    assert picky.outbound_profile(one).labels == (("app", "a"),)
    assert picky.outbound_profile(one) != picky.outbound_profile(other)
    # What no rule asks for by its value is as good as no label.
    assert picky.outbound_profile(other).labels == ()


def test_labels_that_endpoints_are_compared_with_count_whatever_their_value(
    mesh_of: MeshOf, proxy_at: Callable[..., Any]
) -> None:
    failover = """
  trafficPolicy:
    loadBalancer: {localityLbSetting: {failoverPriority: [app]}}
    outlierDetection: {}
"""
    mesh = mesh_of(SERVICES + rule("p", "a.com", "default", failover))
    assert mesh.outbound_profile(proxy_at(app="a")).labels == (("app", "a"),)
    assert mesh.outbound_profile(proxy_at(app="b")).labels == (("app", "b"),)


POLICY = """
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 1}}
    outlierDetection: {consecutive5xxErrors: 1}
    tls: {mode: SIMPLE}
    tunnel: {protocol: CONNECT, targetHost: t.com, targetPort: 1}
    portLevelSettings:
    - port: {number: 81}
      loadBalancer: {simple: RANDOM}
    - port: {number: 83}
      connectionPool: {tcp: {maxConnections: 3}}
      outlierDetection: {consecutive5xxErrors: 3}
      tls: {mode: ISTIO_MUTUAL}
  subsets:
  - name: s
    trafficPolicy:
      connectionPool: {tcp: {maxConnections: 2}}
      portLevelSettings:
      - port: {number: 82}
        tls: {mode: DISABLE}
      - port: {number: 84}
        connectionPool: {tcp: {maxConnections: 4}}
        outlierDetection: {consecutive5xxErrors: 4}
        loadBalancer: {simple: RANDOM}
"""


def test_layers_of_the_traffic_policy(mesh_of: MeshOf, scope_of: Callable[..., Any]) -> None:
    text = rule("a", "web.shop.com", "shop", POLICY).replace("  subsets: [{name: a}]\n", "")
    found = scope_of(mesh_of(SERVICES + text)).destination_rule("web.shop.com")
    plain = MeshConfig()
    default = MeshConfig.of(
        default_traffic_policy={"connection_pool": {"tcp": {"max_connections": 9}}, "outlier_detection": {}}
    )

    def layers(port: int, subset: str, mesh_config: MeshConfig = plain) -> tuple[Any, ...]:
        policy = effective_traffic_policy(found, port, subset, mesh_config)
        pool = policy.connection_pool
        return (
            pool.tcp.max_connections if pool is not None else None,
            policy.outlier_detection is not None,
            policy.tls.mode if policy.tls is not None else None,
            policy.load_balancer is not None,
            policy.tunnel is not None,
        )

    assert layers(80, "") == (1, True, "SIMPLE", False, True)
    # portLevelSettings replace the blocks together, the tunnel is lost too.
    assert layers(81, "") == (None, False, None, True, False)
    assert layers(81, "", default) == (9, True, None, True, False)
    assert layers(80, "s") == (2, True, "SIMPLE", False, True)
    assert layers(83, "") == (3, True, "ISTIO_MUTUAL", False, False)
    assert layers(84, "s") == (4, True, None, True, True)
    assert layers(82, "s") == (None, False, "DISABLE", False, True)
    assert effective_traffic_policy(None, 80, "", default).connection_pool is not None


@pytest.mark.parametrize(
    ("block", "ours", "theirs"),
    [
        ("connectionPool", "{http: {maxRetries: 1}}", "{http: {maxRetries: 2}}"),
        ("outlierDetection", "{maxEjectionPercent: 1}", "{maxEjectionPercent: 2}"),
        ("loadBalancer", "{simple: RANDOM}", "{simple: ROUND_ROBIN}"),
        ("tls", "{mode: SIMPLE}", "{mode: DISABLE}"),
        (
            "tunnel",
            "{protocol: POST, targetHost: a.com, targetPort: 1}",
            "{targetHost: b.com, targetPort: 1}",
        ),
        ("proxyProtocol", "{version: V1}", "{version: V2}"),
        ("retryBudget", "{minRetryConcurrency: 1}", "{minRetryConcurrency: 2}"),
    ],
)
def test_a_subset_overrides_each_block_by_its_own(
    mesh_of: MeshOf, scope_of: Callable[..., Any], block: str, ours: str, theirs: str
) -> None:
    policy = f"""
  trafficPolicy: {{{block}: {ours}}}
  subsets:
  - {{name: own, trafficPolicy: {{{block}: {theirs}}}}}
  - name: other
    trafficPolicy: {{{"tls" if block != "tls" else "loadBalancer"}: {{}}}}
"""
    text = rule("a", "web.shop.com", "shop", policy).replace("  subsets: [{name: a}]\n", "")
    found = scope_of(mesh_of(SERVICES + text)).destination_rule("web.shop.com")
    attribute = re.sub("([A-Z])", r"_\1", block).lower()

    def block_of(policy: Any) -> Any:
        return getattr(policy, attribute)

    top = block_of(found.traffic_policy)
    assert top is not None
    assert block_of(effective_traffic_policy(found, 80, "", MeshConfig())) == top
    assert block_of(effective_traffic_policy(found, 80, "other", MeshConfig())) == top
    own = block_of(effective_traffic_policy(found, 80, "own", MeshConfig()))
    assert own == block_of(found.subset("own").traffic_policy) != top


@pytest.mark.parametrize(
    "spec",
    [
        "  trafficPolicy: {loadBalancer: {localityLbSetting: {failoverPriority: [rack]}}}",
        "  trafficPolicy: {loadBalancer: {localityLbSetting: {failoverPriority: ['rack=r1']}}}",
        "  trafficPolicy: {loadBalancer: {zoneAwareLbSetting: {failoverPriority: [rack]}}}",
        "  trafficPolicy: {portLevelSettings: [{port: {number: 80},"
        " loadBalancer: {localityLbSetting: {failoverPriority: [rack]}}}]}",
        "  subsets: [{name: s, trafficPolicy:"
        " {loadBalancer: {localityLbSetting: {failoverPriority: [rack]}}}}]",
    ],
)
def test_labels_that_failover_compares_tell_clients_apart(
    mesh_of: MeshOf, proxy_at: Callable[..., Any], changed: Callable[..., Any], spec: str
) -> None:
    text = rule("a", "web.shop.com", "shop", spec)
    if "subsets" in spec:
        text = text.replace("  subsets: [{name: a}]\n", "")
    one, other = proxy_at(rack="r1", app="a"), proxy_at(rack="r2", app="a", address="10.9.9.8")
    mesh = mesh_of(SERVICES + text)
    assert mesh.outbound_profile(one).labels == (("rack", "r1"),)
    assert mesh.outbound_profile(other).labels == (("rack", "r2"),)
    # The same where the rule came later, and no more once it is gone.
    later, _ = changed(mesh_of(SERVICES), text.removeprefix("\n---\n"))
    assert later.outbound_profile(one).labels == (("rack", "r1"),)
    gone, _ = changed(mesh, removed=(("DestinationRule", "shop", "a"),))
    assert gone.outbound_profile(one) == gone.outbound_profile(other)
