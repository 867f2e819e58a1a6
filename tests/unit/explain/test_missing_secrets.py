"""Secrets that are asked for and not there: the call fails, and answer, mesh test and table name them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

import mizzen
from mizzen.explain.answer import Answer, Step
from mizzen.explain.missing_secrets import MissingSecrets
from mizzen.explain.origins import PartOrigins
from mizzen.explain.question import Question
from mizzen.explain.tables.row import Row
from mizzen.explain.tables.rows import rows
from mizzen.explain.tables.sent import Sent
from mizzen.explain.why import ServedMesh, why
from mizzen.mesh_tests import MeshUnderTest, read_mesh_tests, result_text
from mizzen.translator.translate_result import TYPE_URLS
from mizzen.translator.translation import Translation
from tests.self_signed import certificate_and_key

MESH = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [shop.example]
    tls:
      mode: SIMPLE
      credentialName: shop-cert
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec:
  hosts: [shop.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 192.0.2.7}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop.example]
  gateways: [edge]
  http: [{route: [{destination: {host: shop.example}}]}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: edge}
spec: {address: 10.0.0.1, labels: {istio: ingressgateway}}
"""
ORIGINATES = """\
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop.example
  trafficPolicy:
    tls:
      mode: SIMPLE
      credentialName: outside
"""


CERTIFICATE, KEY = certificate_and_key()
PAIR = {"tls.crt": CERTIFICATE, "tls.key": KEY}


def secret(name: str, namespace: str = "default", data: Mapping[str, str] = PAIR) -> str:
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}}
    return f"---\n{yaml.safe_dump({**head, 'stringData': dict(data)}, sort_keys=False)}"


def ask(folder: Path, *more: str) -> Answer:
    (folder / "m.yaml").write_text(MESH + "".join(more), encoding="utf-8")
    serving = ServedMesh(mizzen.load(folder))
    question = Question.of_request("GET", "https://shop.example/")
    return why(question, serving.callers.gateway("edge"), serving)


def step(answer: Answer, kind: str) -> Step:
    [found] = [each for each in answer.hops[0].steps if each.kind == kind]
    return found


def lines(step: Step) -> list[str]:
    return [each.rpartition("/")[2] for each in step.origins]


def test_a_call_to_a_gateway_without_its_certificate_fails(tmp_path: Path) -> None:
    answer = ask(tmp_path)
    [gateway] = answer.hops
    assert gateway.conclusion == "the call fails, since a secret that its TLS needs is not there: shop-cert"
    assert gateway.status is None
    missing = step(answer, "secret")
    assert missing.details == ("missing: there is no Secret shop-cert in namespace default",)
    assert lines(missing) == ["m.yaml:11"]
    assert Answer.from_dict(answer.as_dict()) == answer


def test_with_its_certificate_it_goes_on(tmp_path: Path) -> None:
    answer = ask(tmp_path, secret("shop-cert"))
    assert answer.hops[0].conclusion == "it goes to outbound|80||shop.example"
    assert not [each for each in answer.hops[0].steps if each.kind == "secret"]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (secret("shop-cert", "bank"), "Secret shop-cert is in namespace bank ("),
        (secret("shop-cert", data={"tls.crt": "nonsense"}), "is no certificate; add tls.crt and tls.key"),
    ],
)
def test_a_secret_that_is_of_no_use_is_named(tmp_path: Path, other: str, words: str) -> None:
    [said] = step(ask(tmp_path, other), "secret").details
    assert words in said
    assert "m.yaml:" in said


def test_a_cluster_without_its_authority_answers_503(tmp_path: Path) -> None:
    answer = ask(tmp_path, secret("shop-cert"), ORIGINATES)
    assert answer.hops[0].conclusion == (
        "the call fails with status 503, since a secret that its TLS needs is not there: outside-cacert"
    )
    missing = step(answer, "secret")
    assert missing.details == ("missing: there is no Secret outside-cacert or outside in namespace default",)
    at = (tmp_path / "m.yaml").read_text(encoding="utf-8").splitlines().index("      credentialName: outside")
    assert lines(missing) == [f"m.yaml:{at + 1}"]
    authority = secret("outside", data={"ca.crt": CERTIFICATE})
    goes_on = ask(tmp_path, secret("shop-cert"), ORIGINATES, authority)
    assert goes_on.hops[0].conclusion == "it goes to outbound|80||shop.example"


def test_without_an_authority_nobody_has_a_certificate_of_the_mesh(tmp_path: Path) -> None:
    text = MESH.replace("mode: SIMPLE", "mode: ISTIO_MUTUAL").replace("      credentialName: shop-cert\n", "")
    (tmp_path / "m.yaml").write_text(text, encoding="utf-8")
    question = Question.of_request("GET", "https://shop.example/")
    serving = ServedMesh(mizzen.load(tmp_path, certificates_served=False))
    answer = why(question, serving.callers.gateway("edge"), serving)
    details = [each.details for each in answer.hops[0].steps if each.kind == "secret"]
    assert details == [("missing: workloads get no certificates",)] * 2


def test_a_mesh_test_says_it_too(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MESH, encoding="utf-8")
    text = (
        "tests:\n- name: works\n  gateway: edge\n  request: https://shop.example/\n"
        "  expect: {destination: {host: shop.example}}\n"
    )
    mesh = MeshUnderTest(mizzen.load(tmp_path))
    [works] = read_mesh_tests(text.encode(), "t.mesh-test.yaml").tests
    said = result_text(mesh.run(works))
    assert "happened  the call fails, since a secret that its TLS needs is not there: shop-cert\n" in said
    assert "missing: there is no Secret shop-cert in namespace default\n" in said
    assert "m.yaml:11\n" in said
    closed = text.replace("destination: {host: shop.example}", "closed: true").encode()
    [test] = read_mesh_tests(closed, "t.mesh-test.yaml").tests
    assert mesh.run(test).passed


def table(folder: Path, *more: str) -> list[Row]:
    (folder / "m.yaml").write_text(MESH + "".join(more), encoding="utf-8")
    serving = ServedMesh(mizzen.load(folder))
    proxy = serving.callers.gateway("edge")
    translation = Translation(mizzen.load(folder))
    snapshot = translation.snapshot(proxy)
    sent = {url: snapshot.collection(url).resources for url in TYPE_URLS.values()}
    missing = MissingSecrets(translation, proxy)
    return list(rows("secrets", Sent(sent, PartOrigins(translation, proxy), missing=missing)))


def test_the_table_of_secrets_has_those_that_are_missing(tmp_path: Path) -> None:
    certificate, authority = table(tmp_path, ORIGINATES)
    assert certificate.cells["NAME"] == "kubernetes://shop-cert"
    assert certificate.cells["KIND"] == "certificate"
    assert certificate.state == "missing: there is no Secret shop-cert in namespace default"
    assert [each.rpartition("/")[2] for each in certificate.origins] == ["m.yaml:11"]
    assert (authority.cells["NAME"], authority.cells["KIND"]) == (
        "kubernetes://outside-cacert",
        "trusted authority",
    )
    [there] = table(tmp_path, secret("shop-cert"))
    assert there.state == ""
