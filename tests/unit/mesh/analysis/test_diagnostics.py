"""Each diagnostic: a mesh that has it, and the same mesh put right."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from mizzen.config import Severity
from mizzen.mesh.analysis import analyze
from mizzen.mesh.snapshot import Mesh
from tests.unit.mesh.analysis.cases_of_documents import DOCUMENTS
from tests.unit.mesh.analysis.cases_of_gateways import GATEWAYS
from tests.unit.mesh.analysis.cases_of_references import REFERENCES
from tests.unit.mesh.analysis.documents import ALIAS, ENTRY, GATEWAY, ROUTE, RULE, STRICT_PORT, other

MeshOf = Callable[..., Mesh]
CASES = {**REFERENCES, **GATEWAYS, **DOCUMENTS}


@pytest.mark.parametrize("case", CASES)
def test_diagnostic(mesh_of: MeshOf, case: str) -> None:
    code, path, words, wrong, right = CASES[case]
    (found,) = [one for one in analyze(mesh_of(wrong)) if one.code == code]
    assert found.path == path
    assert words in found.message
    assert found.origin.line > 1
    assert "; " in found.message
    assert not [
        str(one)
        for one in analyze(mesh_of(right))
        if one.code == code or (one.severity is Severity.ERROR and one.code != "IST0161")
    ]


def test_a_rule_below_a_wildcard_service_is_for_a_known_host(mesh_of: MeshOf) -> None:
    wide = ENTRY.replace("hosts: [web.com]", "hosts: ['*.com']").replace("STATIC", "NONE")
    wide = wide.replace("  endpoints: [{address: 10.0.0.1, labels: {version: v1}}]\n", "")
    assert not [one for one in analyze(mesh_of(wide + RULE)) if one.code in ("IST0174", "IST0173")]


def test_a_gateway_may_serve_a_host_for_several_namespaces(mesh_of: MeshOf) -> None:
    bound = ROUTE.replace("  http:", "  gateways: [gw]\n  http:")
    for hosts in ("[default/web.com, far/web.com]", "[far/web.com, default/web.com]"):
        mesh = mesh_of(ENTRY + bound + "---" + GATEWAY.replace("[web.com]", hosts))
        assert not [one for one in analyze(mesh) if one.code == "IST0132"]


def test_what_a_wildcard_finds_does_not_depend_on_what_came_first(mesh_of: MeshOf) -> None:
    aliases = [other(ALIAS.replace("TARGET", f"{name}.com"), name) for name in ("c", "a", "b")]
    rule = RULE.replace("host: web.com", "host: '*'")
    for order in itertools.permutations(aliases):
        (found,) = [one for one in analyze(mesh_of("".join(order) + rule)) if one.code == "IST0174"]
        assert found.message.startswith("host * stands for a.com")


def test_diagnostics_of_the_mesh_itself_are_among_them(mesh_of: MeshOf) -> None:
    mesh = mesh_of(ENTRY + ROUTE + "  - delegate: {name: gone}\n    match: [{uri: {prefix: /x}}]\n")
    assert [one.code for one in analyze(mesh)] == ["MZ0203"]


def test_mutual_tls_is_no_diagnostic_where_certificates_are_issued(mesh_of: MeshOf) -> None:
    text = ENTRY + STRICT_PORT
    assert "MZ0220" in {one.code for one in analyze(mesh_of(text))}
    assert "MZ0220" not in {one.code for one in analyze(mesh_of(text, enable_auto_mtls=True))}
