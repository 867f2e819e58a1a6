"""Small edits, and what the plan says of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.plan import Pair, Plan, fleet, plan, plan_markdown, plan_text
from mizzen.sources.two_versions import read_files, read_two_versions
from tests.self_signed import certificate_and_key

MESH = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  clusterIP: 10.1.0.1
  ports:
  - {name: http, port: 80}
  - {name: tcp, port: 90}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.2.0.1, labels: {app: shop, version: v1}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-2}
spec: {address: 10.2.0.2, labels: {app: shop, version: v2}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: client}
spec: {address: 10.2.0.9}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  trafficPolicy: {connectionPool: {tcp: {connectTimeout: 3s}}}
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop]
  http:
  - name: beta
    match: [{headers: {beta: {exact: "yes"}}}]
    route: [{destination: {host: shop, subset: v2, port: {number: 80}}}]
  - name: rest
    timeout: 3s
    route:
    - {destination: {host: shop, subset: v1, port: {number: 80}}, weight: 90}
    - {destination: {host: shop, subset: v2, port: {number: 80}}, weight: 10}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out}
spec:
  hosts: [out.example]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 443, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: out}
spec:
  host: out.example
  trafficPolicy: {tls: {mode: SIMPLE, sni: out.example}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {app: edge}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: [shop.example]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: [shop.example]
  gateways: [edge]
  http: [{route: [{destination: {host: shop, port: {number: 80}}}]}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict}
spec: {selector: {matchLabels: {version: v2}}, mtls: {mode: STRICT}}
"""
EVERYBODY = "1 gateway: edge.default; 3 sidecars: client.default, shop-1.default, shop-2.default"
SIDECARS = "3 sidecars: client.default, shop-1.default, shop-2.default"
GATEWAY = "1 gateway: edge.default"

EDITS: dict[str, tuple[str, str, list[str]]] = {
    "weights": (
        "weight: 90}\n    - {destination: {host: shop, subset: v2, port: {number: 80}}, weight: 10}",
        "weight: 75}\n    - {destination: {host: shop, subset: v2, port: {number: 80}}, weight: 25}",
        [
            SIDECARS,
            "  ~ route shop.default (routes 80), everything (rest)",
            "      weights: shop.default:80 v1 90 to 75, shop.default:80 v2 10 to 25",
        ],
    ),
    "a timeout": (
        "timeout: 3s\n    route",
        "timeout: 5s\n    route",
        [SIDECARS, "  ~ route shop.default (routes 80), everything (rest)", "      timeout 3s to 5s"],
    ),
    "another match under the same name": (
        'beta: {exact: "yes"}',
        'beta: {exact: "no"}',
        [
            SIDECARS,
            "  ~ route shop.default (routes 80), header beta = no (beta)",
            "      matches header beta = yes to header beta = no",
        ],
    ),
    "a route is added": (
        "  http:\n  - name: beta",
        "  http:\n  - {name: old, match: [{uri: {exact: /old}}], redirect: {uri: /new}}\n  - name: beta",
        [SIDECARS, "  + route shop.default (routes 80), path /old (old): to redirects 301 to /new"],
    ),
    "a route is removed": (
        '  - name: beta\n    match: [{headers: {beta: {exact: "yes"}}}]\n'
        "    route: [{destination: {host: shop, subset: v2, port: {number: 80}}}]\n",
        "",
        [SIDECARS, "  - route shop.default (routes 80), header beta = yes (beta)"],
    ),
    "nothing takes the rest": (
        "  - name: rest\n",
        "  - name: rest\n    match: [{uri: {prefix: /only}}]\n",
        [
            SIDECARS,
            "  ~ route shop.default (routes 80), path prefix /only (rest)",
            "      matches everything to path prefix /only",
        ],
    ),
    "a host of a gateway loses its routes": (
        "hosts: [shop.example]\n  gateways",
        "hosts: [www.shop.example]\n  gateways",
        [
            GATEWAY,
            "! - host shop.example (routes http.8080): no virtual host is for it any more; calls to it are "
            "taken by the virtual host blackhole:8080 (answers 404)",
        ],
    ),
    "a destination without endpoints": (
        "address: 10.2.0.1, labels: {app: shop, version: v1}",
        "address: 10.2.0.1, labels: {app: shop, version: v3}",
        [
            EVERYBODY,
            f"\n{SIDECARS}\n",
            "! ~ destination shop.default:80 v1: calls to it fail with 503: it has no endpoints",
            "  ~ endpoints shop.default:80 v1: from 1 to 0",
            "      without 10.2.0.1:80",
            "  ~ endpoints shop.default:90 v1: from 1 to 0",
            "      without 10.2.0.1:90",
        ],
    ),
    "a cluster is replaced": (
        "connectTimeout: 3s",
        "connectTimeout: 4s",
        [
            EVERYBODY,
            *(
                line
                for port in (80, 90)
                for subset in ("", " v1", " v2")
                for line in (
                    f"  ~ cluster shop.default:{port}{subset}: is replaced: new connections",
                    "      connect_timeout: 3s to 4s",
                )
            ),
        ],
    ),
    "traffic becomes plaintext": (
        "trafficPolicy: {tls: {mode: SIMPLE, sni: out.example}}",
        "trafficPolicy: {tls: {mode: DISABLE}}",
        [
            EVERYBODY,
            "! ~ cluster out.example:443: is replaced: new connections",
            "      speaks TLS to plaintext",
        ],
    ),
    "a listener drains": (
        "port: {number: 8080,",
        "port: {number: 8081,",
        [
            GATEWAY,
            "! - routes http.8080: for shop.example; what asks for them is not served there any more",
            "! - listener 0.0.0.0_8080: drains: its connections are cut",
            "  + listener 0.0.0.0_8081: listens at 0.0.0.0:8081",
        ],
    ),
    "plain text is redirected": (
        "{port: {number: 8080, name: http, protocol: HTTP}, hosts: [shop.example]}",
        "{port: {number: 8080, name: http, protocol: HTTP}, hosts: [shop.example], "
        "tls: {httpsRedirect: true}}",
        [GATEWAY, "  ~ virtual host shop.example (routes http.8080): redirects plain text to HTTPS (301)"],
    ),
    "a secret is asked for that is not there": (
        "{port: {number: 8080, name: http, protocol: HTTP}, hosts: [shop.example]}",
        "{port: {number: 8080, name: http, protocol: HTTPS}, hosts: [shop.example], "
        "tls: {mode: SIMPLE, credentialName: shop}}",
        [
            GATEWAY,
            "! ~ secret kubernetes://shop: is asked for, and is not there: what uses it refuses connections",
        ],
    ),
    "what was refused without mutual TLS is served": (
        "mtls: {mode: STRICT}",
        "mtls: {mode: PERMISSIVE}",
        ["1 sidecar: shop-2.default", "what was refused without TLS is served"],
    ),
    "a workload goes": (
        "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: client}\n"
        "spec: {address: 10.2.0.9}\n---\n",
        "",
        ["nothing changes for 3 proxies", "gone: 1 sidecar: client.default"],
    ),
    "only lines move": (
        "kind: Gateway\n",
        "# above\n# it\nkind: Gateway\n",
        ["nothing changes for 4 proxies"],
    ),
    "a document is refused and stays": (
        "connectTimeout: 3s",
        "connectTimeout: -3s",
        ["nothing changes for 4 proxies"],
    ),
}


PUBLIC = """\
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public}
spec:
  selector: {istio: public}
  servers: [{port: {number: 8081, name: http, protocol: HTTP}, hosts: [shop.example]}]
"""

ITS_WORKLOAD = """\
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: public-1}
spec: {address: 10.2.0.8, labels: {istio: public}}
"""


@pytest.mark.parametrize(("workload", "name"), [("", "public"), (ITS_WORKLOAD, "public-1")])
def test_a_gateway_whose_only_gateway_document_goes_stays_and_serves_less(
    workload: str, name: str, tmp_path: Path
) -> None:
    found = planned(tmp_path, MESH + workload + PUBLIC, MESH + workload)
    text = plan_text(found)
    assert f"1 gateway: {name}.default\n" in text
    assert "! - listener 0.0.0.0_8081: drains: its connections are cut" in text
    assert found.breaks
    assert not found.departed
    assert not found.arrived


def test_a_gateway_goes_with_its_workload(tmp_path: Path) -> None:
    found = planned(tmp_path, MESH + ITS_WORKLOAD + PUBLIC, MESH)
    assert found.departed == ("gateway public-1.default",)
    assert not found.breaks


def test_a_workload_that_a_new_gateway_selects_is_called_a_gateway(tmp_path: Path) -> None:
    before = MESH + ITS_WORKLOAD + ITS_WORKLOAD.replace("public", "other")
    gone = ITS_WORKLOAD.replace("public", "gone")
    found = planned(tmp_path, before + gone, before + PUBLIC)
    assert found.made_gateways == ("public-1.default",)
    assert found.as_dict()["made_gateways"] == ["public-1.default"]
    words = "public-1.default, since a Gateway selects it; the calls of its sidecar are not compared\n"
    assert f"\ngone: 1 sidecar: gone-1.default\nnow a gateway: {words}" in plan_text(found)
    assert "new:" not in plan_text(found)
    assert f"\nNow a gateway: {words}" in plan_markdown(found)
    same = planned(tmp_path, before + PUBLIC, before + PUBLIC)
    assert not same.made_gateways
    assert "now a gateway" not in plan_text(same)


def test_what_was_redirected_to_https_and_is_served_breaks(tmp_path: Path) -> None:
    served, redirected, _ = EDITS["plain text is redirected"]
    found = planned(tmp_path, MESH.replace(served, redirected), MESH)
    assert "! ~ virtual host shop.example (routes http.8080): serves plain text too" in plan_text(found)
    assert [told.change.danger for told in found.changes] == ["plaintext"]


def test_that_no_proxy_is_left_breaks_everything() -> None:
    found = Plan(0, (), departed=("sidecar a.default", "gateway b.default"))
    assert found.breaks == 1
    for told in (plan_text(found), plan_markdown(found)):
        assert "no proxy is left: 2 proxies are gone, and the new version declares none" in told
    assert not Plan(0, ()).breaks
    assert not Plan(0, (), arrived=("sidecar a.default",), departed=("sidecar b.default",)).breaks


def planned(folder: Path, before: str, after: str, nodes: tuple[Proxy, ...] = ()) -> Plan:
    return plan(pairs_of(folder, before, after, nodes))


def pairs_of(folder: Path, before: str, after: str, nodes: tuple[Proxy, ...] = ()) -> list[Pair]:
    for name, text in (("old", before), ("new", after)):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "mesh.yaml").write_text(text, encoding="utf-8")
    old, new = read_files(folder / "old", "mesh"), read_files(folder / "new", "mesh")
    versions = read_two_versions(old, new)
    mesh = Mesh.build(versions.configs, versions.settings)
    changed, _ = mesh.updated(versions.change, versions.new_settings)
    return list(
        fleet(mesh, changed, nodes, old_file=old.known_as, new_file=new.known_as),
    )


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_said_in_words(edit: str, tmp_path: Path) -> None:
    before, after, expected = EDITS[edit]
    assert MESH.count(before) == 1
    found = planned(tmp_path, MESH, MESH.replace(before, after))
    text = plan_text(found)
    for line in expected:
        assert line in text, text
    marked = {line for line in text.splitlines() if line.startswith("!")}
    assert len(marked) == found.breaks
    if not any(line.startswith("!") or "without TLS" in line for line in expected):
        assert not marked, text


def test_routes_that_change_places_are_told_once(tmp_path: Path) -> None:
    first = "  - {name: old, match: [{uri: {exact: /old}}], redirect: {uri: /new}}\n"
    second = "  - {name: former, match: [{uri: {exact: /former}}], redirect: {uri: /new}}\n"
    mesh = MESH.replace("  http:\n  - name: beta", f"  http:\n{first}{second}  - name: beta")
    text = plan_text(planned(tmp_path, mesh, mesh.replace(first + second, second + first)))
    told = (
        "  ~ route shop.default (routes 80), path /former (former): stands before others that it stood behind"
    )
    assert told in text
    assert text.count("  ~ ") == 1


def test_both_sides_have_their_lines(tmp_path: Path) -> None:
    before, after, _ = EDITS["weights"]
    found = planned(tmp_path, MESH, "# a comment\n" + MESH.replace(before, after))
    line = next(n for n, text in enumerate(MESH.splitlines(), 1) if "- name: rest" in text)
    (told,) = found.changes
    assert told.before == (f"{tmp_path}/old/mesh.yaml:{line}",)
    assert told.after == (f"{tmp_path}/new/mesh.yaml:{line + 1}",)


def test_like_proxies_are_one_line(tmp_path: Path) -> None:
    more = "".join(
        "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\n"
        f"metadata: {{name: more-{number}}}\nspec: {{address: 10.3.0.{number}}}\n"
        for number in range(50)
    )
    before, after, _ = EDITS["weights"]
    found = planned(tmp_path, MESH + more, MESH.replace(before, after) + more)
    assert len(found.groups) == len(found.changes) == 1
    assert "53 sidecars: client.default, more-0.default, more-1.default and 50 more" in plan_text(found)


def test_only_the_proxies_that_are_named(tmp_path: Path) -> None:
    before, after, _ = EDITS["a listener drains"]
    client = Proxy.from_node({"id": "sidecar~10.2.0.9~client.default~default.svc.cluster.local"})
    assert planned(tmp_path, MESH, MESH.replace(before, after), (client,)).is_empty


def test_keys_are_never_told(tmp_path: Path) -> None:
    secret = "---\n" + json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "shop"},
            "type": "kubernetes.io/tls",
            "stringData": dict(zip(("tls.crt", "tls.key"), certificate_and_key(), strict=True)),
        }
    )
    other = "---\n" + json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "shop"},
            "type": "kubernetes.io/tls",
            "stringData": dict(zip(("tls.crt", "tls.key"), certificate_and_key(), strict=True)),
        }
    )
    plain, encrypted, _ = EDITS["a secret is asked for that is not there"]
    mesh = MESH.replace(plain, encrypted)
    found = planned(tmp_path, mesh + secret, mesh + other)
    text = plan_text(found) + plan_markdown(found) + json.dumps(found.as_dict())
    assert "  ~ secret kubernetes://shop: has another content" in text
    assert "PRIVATE" not in text
    assert "CERTIFICATE" not in text
    assert [told.change.danger for told in planned(tmp_path, mesh + secret, mesh).changes] == ["no secret"]


@pytest.mark.parametrize("kind", ["oct", "RSA"])
def test_keys_of_tokens_that_could_sign_are_never_told(kind: str, tmp_path: Path) -> None:
    """Of a key set only public keys may be seen: whoever has a symmetric or private key signs tokens."""

    def with_key(number: int, *, secret: bool = True) -> str:
        key = {"kty": kind, "kid": f"key-{number}", "k": f"hush{number}"}
        if kind == "RSA":
            key = {"kty": kind, "kid": f"key-{number}", "n": f"public{number}", "e": "AQAB"}
            key |= {"d": f"hush{number}"} if secret else {}
        jwks = json.dumps(json.dumps({"keys": [key]}))
        return MESH + (
            "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: tokens}\n"
            f"spec: {{jwtRules: [{{issuer: https://issuer.example, jwks: {jwks}}}]}}\n"
        )

    for before, after in (
        (MESH, with_key(1)),
        (with_key(1), with_key(2)),
        (with_key(1), MESH),
        (with_key(1, secret=False), with_key(2)),
        (with_key(1), with_key(2, secret=False)),
    ):
        found = planned(tmp_path, before, after)
        told = plan_text(found) + plan_markdown(found) + json.dumps(found.as_dict())
        assert "hush" not in told
        assert not found.is_empty
    changed = planned(tmp_path, with_key(1), with_key(2))
    assert "local_jwks.inline_string: changed" in plan_text(changed)
    if kind == "RSA":
        told = plan_text(planned(tmp_path, with_key(1, secret=False), with_key(2, secret=False)))
        assert "public1" in told


def test_markdown_and_json_say_the_same(tmp_path: Path) -> None:
    before, after, _ = EDITS["a listener drains"]
    found = planned(tmp_path, MESH, MESH.replace(before, after))
    markdown, values = plan_markdown(found), found.as_dict()
    assert markdown.startswith("**")
    assert markdown.count("⚠️") == values["breaks"] == found.breaks
    assert len([line for line in markdown.splitlines() if line.startswith(("| `", "| ⚠️"))]) == len(
        found.changes
    )
    assert values["groups"][0]["changes"][0]["breaks"] == "no route"


def test_only_what_a_change_concerns_is_compared(tmp_path: Path) -> None:
    """A change of a Gateway is none for sidecars."""
    before, after, _ = EDITS["a listener drains"]
    pairs = pairs_of(tmp_path, MESH, MESH.replace(before, after))
    assert {pair.name for pair in pairs if pair.differing} == {"gateway edge.default"}
    assert len(pairs) == 4
