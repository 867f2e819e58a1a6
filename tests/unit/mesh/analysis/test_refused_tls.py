"""Clients that speak what workloads refuse are found, and a changing mesh finds them as a new one does."""

from __future__ import annotations

import pytest

from mizzen.config import MeshConfig, Severity
from mizzen.config.diagnostics import Diagnostic
from mizzen.config.group_kinds import PEER_AUTHENTICATION
from mizzen.mesh.analysis import Analysis, analyze
from mizzen.mesh.snapshot import Mesh
from tests.unit.mesh.analysis.test_incremental_analysis import found, one_by_one
from tests.unit.mesh.conftest import load

SHOP = """
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 90}]}
---
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.0.0.1, serviceAccount: shop, labels: {app: shop, version: v1}}
---
kind: WorkloadEntry
metadata: {name: shop-2}
spec: {address: 10.0.0.2, serviceAccount: shop, labels: {app: shop, version: v2}}
"""
POLICY = """---
kind: PeerAuthentication
metadata: {name: peers}
spec: {mtls: {mode: STRICT}}
"""
RULE = """---
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  trafficPolicy: {tls: {mode: DISABLE}}
"""
SUBSET = """---
kind: DestinationRule
metadata: {name: shop, namespace: far}
spec:
  host: shop.default.svc.cluster.local
  exportTo: [.]
  subsets:
  - {name: v1, labels: {version: v1}}
  - name: v2
    labels: {version: v2}
    trafficPolicy: {portLevelSettings: [{port: {number: 90}, tls: {mode: SIMPLE}}]}
"""
ONE = "spec: {selector: {matchLabels: {version: v2}}, portLevelMtls: {90: {mode: STRICT}}}\n"

# code, path, words, the mesh, the mesh put right
CASES = {
    "plain text to STRICT": (
        "IST0113",
        "spec.trafficPolicy.tls.mode",
        "clients of shop.default.svc.cluster.local speak plain text, and workloads refuse that "
        "(shop-1, shop-2), as the PeerAuthentication at mesh.yaml:",
        SHOP + POLICY + RULE,
        SHOP + POLICY + RULE.replace("DISABLE", "ISTIO_MUTUAL"),
    ),
    "mutual TLS to DISABLE": (
        "IST0113",
        "spec.trafficPolicy.tls.mode",
        "speak mutual TLS, and workloads refuse that (shop-1, shop-2)",
        SHOP + POLICY.replace("STRICT", "DISABLE") + RULE.replace("DISABLE", "ISTIO_MUTUAL"),
        SHOP + POLICY.replace("STRICT", "PERMISSIVE") + RULE.replace("DISABLE", "ISTIO_MUTUAL"),
    ),
    "STRICT of the whole mesh": (
        "IST0113",
        "spec.trafficPolicy.tls.mode",
        "speak plain text",
        SHOP + POLICY.replace("peers", "peers, namespace: istio-system") + RULE,
        SHOP
        + POLICY.replace("peers", "peers, namespace: istio-system")
        + POLICY.replace("STRICT", "PERMISSIVE")
        + RULE,
    ),
    "one port of a subset, for the clients of another namespace": (
        "IST0113",
        "spec.subsets[1].trafficPolicy.portLevelSettings[0].tls.mode",
        "speak TLS without a certificate of the mesh, and workloads refuse that (shop-2)",
        SHOP + POLICY.partition("spec")[0] + ONE + SUBSET,
        SHOP + POLICY.partition("spec")[0] + ONE.replace("90", "8080") + SUBSET,
    ),
    "nothing says that there is a proxy": (
        "MZ0223",
        "spec",
        "clients call it in plain text, and the PeerAuthentication at mesh.yaml:",
        SHOP.replace("serviceAccount: shop, labels: {app: shop, version: v1}", "labels: {app: shop}")
        + POLICY,
        SHOP + POLICY,
    ),
}

SELECTED = """---
kind: Gateway
metadata: {name: front}
spec: {selector: {app: shop}, servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""


def served(text: str) -> Mesh:
    return Mesh.build(load(text), MeshConfig(), certificates_served=True)


def of_code(diagnostics: list[Diagnostic], code: str) -> list[Diagnostic]:
    return [one for one in diagnostics if one.code == code]


@pytest.mark.parametrize("case", CASES)
def test_diagnostic(case: str) -> None:
    code, path, words, wrong, right = CASES[case]
    [one] = of_code(list(analyze(served(wrong))), code)
    assert one.path == path
    assert words in one.message
    assert one.severity is (Severity.ERROR if code == "IST0113" else Severity.WARNING)
    assert of_code(list(analyze(served(right))), code) == []


@pytest.mark.parametrize("case", CASES)
def test_it_comes_and_goes_with_its_documents(case: str) -> None:
    code, _, _, wrong, right = CASES[case]
    mesh = served(right)
    analysis = Analysis()
    assert found(analysis, mesh) == analyze(mesh)
    for text, count in ((wrong, 1), (right, 0), (wrong, 1)):
        for changed in one_by_one(mesh, text):
            mesh = changed
            assert found(analysis, mesh) == analyze(mesh)
        assert len(of_code(found(analysis, mesh), code)) == count


def test_what_a_rule_says_frees_a_workload_from_its_label() -> None:
    text = CASES["nothing says that there is a proxy"][3] + RULE.replace("DISABLE", "ISTIO_MUTUAL")
    assert of_code(list(analyze(served(text))), "MZ0223") == []


def test_a_gateway_takes_what_its_gateways_say() -> None:
    """A PeerAuthentication does not apply to a gateway, so calls to it in plain text are not refused."""
    for case, code in (("nothing says that there is a proxy", "MZ0223"), ("plain text to STRICT", "IST0113")):
        text = CASES[case][3]
        assert of_code(list(analyze(served(text))), code)
        assert of_code(list(analyze(served(text + SELECTED))), code) == []


def test_without_certificates_the_mode_itself_is_the_diagnostic() -> None:
    mesh = Mesh.build(load(SHOP + POLICY + RULE))
    assert {one.code for one in analyze(mesh)} == {"MZ0220"}


def shops(count: int) -> str:
    many = (
        SHOP.replace("shop", f"shop{number}").replace("10.0.0", f"10.0.{number}") for number in range(count)
    )
    return "---".join(many) + RULE.replace("shop", "shop1") + POLICY


def test_a_change_costs_what_it_touches_however_much_there_is() -> None:
    computed = []
    for count in (3, 50):
        mesh = served(shops(count))
        analysis = Analysis()
        assert len(of_code(found(analysis, mesh), "IST0113")) == 1
        for text, left in ((RULE.replace("shop", "shop2"), 2), (POLICY.replace("STRICT", "PERMISSIVE"), 0)):
            before = analysis.computed
            for mesh in one_by_one(mesh, shops(count) + text):  # noqa: B020
                assert len(of_code(found(analysis, mesh), "IST0113")) == left
            computed.append(analysis.computed - before)
    assert 0 < computed[0] == computed[2] < 20
    assert 0 < computed[1] == computed[3] < 20


VM = """---
kind: WorkloadEntry
metadata: {name: vm}
spec: {address: 10.0.0.1, labels: {app: vm}}
"""


def selecting(app: str, name: str = "", port: int = 80) -> str:
    """Return a Service that selects workloads by their label."""
    return f"""---
kind: Service
metadata: {{name: {name or app}}}
spec: {{selector: {{app: {app}}}, ports: [{{name: http, port: {port}}}]}}
"""


def strict(app: str, mtls: str = "mtls: {mode: STRICT}") -> str:
    return f"""---
kind: PeerAuthentication
metadata: {{name: of-{app}}}
spec: {{selector: {{matchLabels: {{app: {app}}}}}, {mtls}}}
"""


def named_policy(mesh: Mesh) -> str:
    """Return the name of the policy that the only MZ0223 names."""
    [one] = of_code(list(analyze(mesh)), "MZ0223")
    [name] = [
        each.name for each in mesh.configs(PEER_AUTHENTICATION) if f" {each.origin} refuses" in one.message
    ]
    return name


def test_a_pod_at_the_same_address_is_a_different_workload() -> None:
    pod = """
kind: Pod
metadata: {name: pod, labels: {app: pod}}
status: {podIP: 10.0.0.1, phase: Running}
"""
    text = pod + selecting("pod") + selecting("vm") + VM
    assert of_code(list(analyze(served(text + strict("pod")))), "MZ0223") == []
    assert named_policy(served(text + strict("pod") + strict("vm"))) == "of-vm"


def test_the_named_policy_does_not_depend_on_the_order_of_arrival() -> None:
    """Two services call different ports of a workload, for which different policies decide."""
    text = VM.removeprefix("---") + strict("vm", "portLevelMtls: {90: {mode: STRICT}}") + POLICY
    first, second = selecting("vm", "a"), selecting("vm", "b", 90)
    *_, mesh = one_by_one(served(text + second), text + second + first)
    assert named_policy(mesh) == "peers"
    assert named_policy(served(text + first + second)) == "peers"
