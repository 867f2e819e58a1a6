"""Which changes lead calls nowhere that led somewhere, and which do not."""

from __future__ import annotations

import pytest

from mizzen.config import ConfigChange, ConfigKey, group_kinds
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.dead_ends import has_new_dead_ends
from mizzen.mesh.snapshot import Mesh
from tests.unit.mesh.conftest import load

ENTRY = """
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1, labels: {version: blue}}]
"""
SELECTING = ENTRY.replace("endpoints: [{address: 10.0.0.1, labels: {version: blue}}]", "").replace(
    "resolution: STATIC", "resolution: STATIC\n  workloadSelector: {labels: {app: web}}"
)
WORKLOAD = """
kind: WorkloadEntry
metadata: {name: w}
spec: {address: 10.0.0.1, labels: {app: web, version: blue}}
"""
RULE = """
kind: DestinationRule
metadata: {name: rule}
spec:
  host: web.com
  subsets: [{name: blue, labels: {version: blue}}, {name: green, labels: {version: green}}]
"""
ROUTE = """
kind: VirtualService
metadata: {name: route}
spec:
  hosts: [web.com]
  gateways: [mesh, gw]
  http:
  - route: [{destination: {host: web.com, subset: blue}}]
"""
GATEWAY = """
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: gw}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ["*"]
"""
TLS_GATEWAY = GATEWAY.replace("HTTP}", "HTTPS}") + "    tls: {mode: SIMPLE, credentialName: cert}\n"
ROOT = """
kind: VirtualService
metadata: {name: root}
spec:
  hosts: [root.com]
  http: [{delegate: {name: child}}]
"""
CHILD = (
    "kind: VirtualService\nmetadata: {name: child}\nspec: {http: [{route: [{destination: {host: web.com}}]}]}"
)
WHOLE = (ENTRY, RULE, ROUTE, GATEWAY)


def leads_nowhere(before: tuple[str, ...], *steps: str | ConfigKey) -> bool:
    """Judge changes made one after the other: documents that are written, and keys of those that go."""
    served = mesh = Mesh.build(load("\n---".join(before)))
    deltas = []
    for step in steps:
        change = (
            ConfigChange((), (step,)) if isinstance(step, ConfigKey) else ConfigChange(tuple(load(step)), ())
        )
        mesh, delta = mesh.updated(change)
        deltas.append(delta)
    return has_new_dead_ends(served, mesh, MeshDelta.joined(deltas))


GREEN_ENTRY = ENTRY.replace("blue", "green")
GREEN_ROUTE = ROUTE.replace("subset: blue", "subset: green")


@pytest.mark.parametrize(
    ("before", "steps"),
    [
        (WHOLE, (GREEN_ENTRY,)),
        (WHOLE, (GREEN_ROUTE,)),
        (WHOLE, (ENTRY.replace("endpoints: [", "endpoints: []\n  #"),)),
        ((SELECTING, WORKLOAD, RULE, ROUTE), (WORKLOAD.replace("blue", "green"),)),
        ((SELECTING, WORKLOAD), (WORKLOAD.replace("app: web", "app: other"),)),
        ((SELECTING, WORKLOAD), (group_kinds.WORKLOAD_ENTRY.key("default", "w"),)),
        (WHOLE, (RULE.replace("name: blue", "name: other"),)),
        (WHOLE, (RULE.replace("version: blue", "version: other"),)),
        (WHOLE, (group_kinds.DESTINATION_RULE.key("default", "rule"),)),
        (WHOLE, (ROUTE.replace("subset: blue", "subset: other"),)),
        (WHOLE, (ROUTE.replace("{host: web.com, subset: blue}", "{host: other.com}"),)),
        (WHOLE, (ROUTE.replace("gw]", "other]"),)),
        (WHOLE, (group_kinds.GATEWAY.key("default", "gw"),)),
        ((ENTRY, CHILD, ROOT), (group_kinds.VIRTUAL_SERVICE.key("default", "child"),)),
        ((ENTRY, CHILD, ROOT), (CHILD.replace("web.com", "other.com"),)),
        ((ENTRY, CHILD, ROOT), (ROOT.replace("name: child", "name: other"),)),
        ((GATEWAY,), (TLS_GATEWAY,)),
        ((ENTRY,), (GREEN_ROUTE,)),
    ],
)
def test_what_breaks_calls(before: tuple[str, ...], steps: tuple[str | ConfigKey, ...]) -> None:
    assert leads_nowhere(before, *steps)


LOST = ROUTE.replace("name: route", "name: lost").replace("web.com", "lost.com")


@pytest.mark.parametrize(
    ("before", "steps"),
    [
        (WHOLE, (ENTRY.replace("10.0.0.1", "10.0.0.2"),)),
        (WHOLE, (ROUTE.replace("- route", "- timeout: 3s\n    route"),)),
        (WHOLE, (RULE.replace("}}]", "}}, {name: more, labels: {version: none}}]"),)),
        (WHOLE, (group_kinds.VIRTUAL_SERVICE.key("default", "route"),)),
        (WHOLE, (RULE.replace("name: green", "name: other"),)),
        ((*WHOLE, LOST), (LOST.replace("- route", "- timeout: 3s\n    route"),)),
        (WHOLE, (GATEWAY.replace("name: gw", "name: gw2"), ROUTE.replace("gw]", "gw2]"))),
        ((GATEWAY,), (group_kinds.GATEWAY.key("default", "gw"),)),
        ((TLS_GATEWAY,), (TLS_GATEWAY.replace("number: 80", "number: 443"),)),
        ((ENTRY.replace("STATIC", "NONE").replace("endpoints", "#"), GATEWAY, RULE), (ROUTE,)),
    ],
)
def test_what_breaks_nothing_or_was_broken_before(
    before: tuple[str, ...], steps: tuple[str | ConfigKey, ...]
) -> None:
    assert not leads_nowhere(before, *steps)


@pytest.mark.parametrize("turned", [False, True])
def test_each_half_of_a_move_is_a_dead_end_and_the_whole_is_none(turned: bool) -> None:
    rule = RULE.replace(", {name: green, labels: {version: green}}", "")
    before = (ENTRY, rule, ROUTE, GATEWAY)
    files = [rule.replace("blue", "green") + "\n---" + GREEN_ENTRY, GREEN_ROUTE]
    if turned:
        files.reverse()
    assert leads_nowhere(before, files[0])
    assert not leads_nowhere(before, *files)
