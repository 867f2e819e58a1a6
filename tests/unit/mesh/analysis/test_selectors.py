"""Selectors with labels that no workload has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.mesh.analysis import analyze
from mizzen.mesh.snapshot import Mesh
from tests.unit.mesh.analysis.documents import ENTRY, GATEWAY, SELECTING, SELECTOR, VM

MeshOf = Callable[..., Mesh]
Found = Callable[..., list[tuple[str, str]]]


def test_a_selector_of_labels_that_nothing_in_the_files_has_may_be_right(mesh_of: MeshOf) -> None:
    found = analyze(mesh_of(VM + SELECTOR.replace("VALUE", "ingress")))
    assert "IST0101" not in [one.code for one in found]


def policy(kind: str, labels: str, namespace: str = "default") -> str:
    return f"""
kind: {kind}
metadata: {{name: policy, namespace: {namespace}}}
spec: {{selector: {{matchLabels: {{{labels}}}}}}}
"""


def sidecar(labels: str) -> str:
    return SELECTING.replace("{app: a}", f"{{{labels}}}")


@pytest.fixture
def found(mesh_of: MeshOf) -> Found:
    """Return code and right answer of what is found on selectors."""

    def build(*documents: str) -> list[tuple[str, str]]:
        mesh = mesh_of("\n---\n".join(one.removesuffix("---\n") for one in documents))
        return [
            (one.code, one.message.rpartition("; ")[2])
            for one in analyze(mesh)
            if one.code in ("IST0127", "IST0101")
        ]

    return build


REVIEWS = VM.replace("app: a", "app: reviews")
CORRECT = ("IST0127", "correct the label, or declare a workload with it")
MEANT = ("IST0127", "did you mean app=reviews?")


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"])
def test_a_policy_for_labels_that_no_workload_has(found: Found, kind: str) -> None:
    assert found(REVIEWS, policy(kind, "app: reviwes")) == [MEANT]
    assert found(REVIEWS, policy(kind, "app: cart")) == [CORRECT]
    assert found(REVIEWS, policy(kind, "app: reviews, tier: b")) == []
    assert found(REVIEWS, policy(kind, "app: reviews, tier: x")) == [CORRECT]


KNOWN = {
    "Service": "kind: Service\nmetadata: {name: cart}\nspec: {selector: {app: cart}}\n",
    "endpoint": ENTRY.replace("version: v1", "app: cart"),
    "Gateway": GATEWAY.replace("istio: gw", "app: cart"),
}


@pytest.mark.parametrize("known", KNOWN)
def test_workloads_need_no_document_of_their_own(found: Found, known: str) -> None:
    assert CORRECT not in found(REVIEWS, policy("AuthorizationPolicy", "app: cart"), KNOWN[known])


def test_labels_that_nothing_has_may_be_those_of_machines_that_join_later(found: Found) -> None:
    assert found(REVIEWS, policy("AuthorizationPolicy", "role: cart")) == []
    assert found(REVIEWS, policy("AuthorizationPolicy", "app: reviwes", "far")) == []


def test_a_policy_in_the_wrong_namespace(found: Found) -> None:
    far = [("IST0127", "did you mean namespace default?")]
    assert found(REVIEWS, policy("AuthorizationPolicy", "app: reviews", "far")) == far
    assert found(REVIEWS, policy("AuthorizationPolicy", "app: reviews, tier: b", "far")) == far
    assert found(REVIEWS, policy("AuthorizationPolicy", "app: reviews, tier: x", "far")) == []
    of_gateway = GATEWAY.replace("istio: gw", "app: reviews")
    assert found(REVIEWS, of_gateway, policy("AuthorizationPolicy", "app: reviews", "far")) == []
    there = REVIEWS.replace("name: ", "namespace: far, name: ").replace("reviews", "cart")
    assert found(REVIEWS, there, policy("AuthorizationPolicy", "app: reviews", "far")) == [CORRECT]


def test_a_label_with_almost_the_name(found: Found) -> None:
    assert found(REVIEWS, policy("AuthorizationPolicy", "ap: reviews")) == [MEANT]
    assert found(REVIEWS, policy("AuthorizationPolicy", "ap: cart")) == []
    assert found(REVIEWS, SELECTOR.replace("istio: VALUE", "appp: reviews")) == [
        ("IST0101", "did you mean app=reviews?")
    ]


def test_a_policy_of_the_root_namespace_is_for_workloads_of_all(found: Found) -> None:
    assert found(REVIEWS, policy("PeerAuthentication", "app: reviews", "istio-system")) == []
    assert found(REVIEWS, policy("PeerAuthentication", "app: reviwes", "istio-system")) == [MEANT]


def test_a_label_that_many_namespaces_have_is_meant_too(found: Found) -> None:
    many = [REVIEWS.replace("name: ", f"namespace: n{number}, name: ") for number in range(60)]
    assert found(*many, policy("PeerAuthentication", "app: reviwes", "istio-system")) == [MEANT]
    assert found(*many, policy("PeerAuthentication", "ap: reviews", "istio-system")) == [MEANT]


def test_a_sidecar_may_be_for_callers_that_nobody_writes_down(found: Found) -> None:
    assert found(REVIEWS, sidecar("app: reviwes")) == [("IST0101", "did you mean app=reviews?")]
    assert found(REVIEWS, sidecar("app: shop")) == []
    assert found(REVIEWS.replace("reviews", "reviews-v1"), sidecar("app: reviews-v2")) == []
