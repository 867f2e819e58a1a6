"""What a plan says of security policies: whom they let in, and where that is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.mesh.snapshot import Mesh
from mizzen.plan import Plan, fleet, new_refusals, plan, plan_markdown, plan_text
from mizzen.sources.two_versions import read_files, read_two_versions

SHOP = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{name: http, port: 80}, {name: tcp, port: 90}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.2.0.1, serviceAccount: shop, labels: {app: shop, version: v1}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-2}
spec: {address: 10.2.0.2, serviceAccount: shop, labels: {app: shop, version: v2}}
"""
READERS = """\
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers}
spec:
  selector: {matchLabels: {app: shop}}
  rules:
  - to: [{operation: {methods: [GET]}}]
"""
SECOND = """\
  - from: [{source: {principals: [cluster.local/ns/default/sa/writer]}}]
    to: [{operation: {paths: [/a, /b]}}]
"""
NO_ADMIN = """\
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin}
spec:
  action: DENY
  rules:
  - to: [{operation: {paths: [/admin]}}]
"""
TOKENS = """\
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec:
  jwtRules:
  - issuer: us.example
    jwks: '{"keys":[]}'
"""
PEERS = """\
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: peers}
spec: {mtls: {mode: STRICT}}
"""
PLAIN = """\
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  trafficPolicy: {tls: {mode: DISABLE}}
"""
BOTH = "2 sidecars: shop-1.default, shop-2.default"
FORMER = "policy readers.default, rules[0]"

EDITS: dict[str, tuple[str, str, list[str]]] = {
    "the first that allows": (
        SHOP,
        SHOP + READERS,
        [
            BOTH,
            "! + policies of action ALLOW: what no rule allows is denied now\n      from new/mesh.yaml:16",
            f"  + {FORMER}: allows method GET\n      from new/mesh.yaml:22",
            "their policies change",
        ],
    ),
    "one more that allows": (
        SHOP + READERS,
        SHOP + READERS + SECOND,
        [
            "  + policy readers.default, rules[1]: allows principal "
            "spiffe://cluster.local/ns/default/sa/writer, path /a or /b\n      from new/mesh.yaml:23",
        ],
    ),
    "one less that allows": (
        SHOP + READERS + SECOND,
        SHOP + READERS,
        ["! - policy readers.default, rules[1]: no longer allows principal"],
    ),
    "none that allows any more": (
        SHOP + READERS,
        SHOP,
        [
            "  - policies of action ALLOW: what no rule denies is allowed now\n      from old/mesh.yaml:16",
            f"  - {FORMER}: no longer allows method GET\n      from old/mesh.yaml:22",
        ],
    ),
    "what is allowed changes": (
        SHOP + READERS,
        SHOP + READERS.replace("GET", "HEAD"),
        [
            f"! ~ {FORMER}: allows method HEAD, before: method GET\n"
            "      from old/mesh.yaml:22 to new/mesh.yaml:22",
        ],
    ),
    "one that denies": (
        SHOP,
        SHOP + NO_ADMIN,
        ["! + policy no-admin.default, rules[0]: denies path /admin\n      from new/mesh.yaml:22"],
    ),
    "one that denies goes": (
        SHOP + NO_ADMIN,
        SHOP,
        ["  - policy no-admin.default, rules[0]: no longer denies path /admin\n"],
    ),
    "one that is tried out": (
        SHOP,
        SHOP
        + NO_ADMIN.replace("{name: no-admin}", "{name: no-admin, annotations: {istio.io/dry-run: 'true'}}"),
        ["  + policy no-admin.default, rules[0]: would be one that denies (dry run) path /admin"],
    ),
    "tokens": (
        SHOP,
        SHOP + TOKENS,
        [
            "! + tokens of us.example: are looked for; a request with one that is not valid is refused "
            "(401)\n      from new/mesh.yaml:21",
        ],
    ),
    "tokens for an audience": (
        SHOP + TOKENS,
        SHOP + TOKENS + "    audiences: [shop]\n",
        ["! ~ tokens of us.example\n      audiences: with shop\n"],
    ),
    "STRICT": (
        SHOP,
        SHOP + PEERS,
        [
            "! ~ mutual TLS of all ports: PERMISSIVE to STRICT: plain text is refused now\n"
            "      from new/mesh.yaml:16",
        ],
    ),
    "STRICT on a port": (
        SHOP,
        SHOP
        + PEERS.replace("mtls:", "selector: {matchLabels: {app: shop}}, portLevelMtls: {90:").replace(
            "}}\n", "}}}\n"
        ),
        ["! ~ mutual TLS of port 90: PERMISSIVE to STRICT: plain text is refused now"],
    ),
    "PERMISSIVE again": (
        SHOP + PEERS,
        SHOP,
        ["! ~ mutual TLS of all ports: STRICT to PERMISSIVE: plain text is taken too"],
    ),
    "no mutual TLS": (
        SHOP,
        SHOP + PEERS.replace("STRICT", "DISABLE"),
        ["! ~ mutual TLS of all ports: PERMISSIVE to DISABLE: mutual TLS is refused now"],
    ),
    "clients that are refused": (
        SHOP + PEERS,
        SHOP + PEERS + PLAIN,
        [
            "\nclients speak what workloads refuse\n! new/mesh.yaml:26: spec.trafficPolicy.tls.mode: clients "
            "of shop.default.svc.cluster.local speak plain text, and workloads refuse that (shop-1, shop-2), "
            "as the PeerAuthentication at new/mesh.yaml:16 says",
        ],
    ),
}


def planned(folder: Path, before: str, after: str) -> Plan:
    for name, text in (("old", before), ("new", after)):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "mesh.yaml").write_text(text, encoding="utf-8")
    old, new = read_files(folder / "old", "mesh"), read_files(folder / "new", "mesh")
    versions = read_two_versions(old, new)
    mesh = Mesh.build(versions.configs, versions.settings, certificates_served=True)
    changed, _ = mesh.updated(versions.change, versions.new_settings)
    pairs = fleet(mesh, changed, old_file=old.known_as, new_file=new.known_as)
    return plan(pairs, new_refusals(mesh, changed, new.known_as))


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_said_in_words(edit: str, tmp_path: Path) -> None:
    before, after, expected = EDITS[edit]
    found = planned(tmp_path, before, after)
    text = plan_text(found).replace(f"{tmp_path}/", "")
    for line in expected:
        assert line in text, text
    assert "rbac" not in text
    assert "jwt_authn" not in text
    assert plan_markdown(found).count("⚠️") == found.as_dict()["breaks"] == found.breaks


def test_what_was_refused_before_is_no_change(tmp_path: Path) -> None:
    before = SHOP + PEERS + PLAIN
    moved = "# a comment\n" + before.replace(
        "metadata: {name: shop-2}", "# another\nmetadata: {name: shop-2}"
    )
    found = planned(tmp_path, before, moved)
    assert found.is_empty
    assert found.refused == ()


def test_workloads_with_other_ports_are_told_of_together(tmp_path: Path) -> None:
    more = SHOP.replace("shop", "bank").replace("10.2.0", "10.2.1").replace("port: 90", "port: 91")
    found = planned(tmp_path, f"{SHOP}---\n{more}", f"{SHOP}---\n{more}{PEERS}")
    [group] = [
        each for each in found.groups if any(told.change.kind == "mutual TLS" for told in each.changes)
    ]
    assert len(group.proxies) == 4


def test_a_certificate_of_the_mesh_is_no_missing_secret(tmp_path: Path) -> None:
    found = planned(tmp_path, SHOP + PLAIN, SHOP)
    assert "secret" not in plan_text(found)
