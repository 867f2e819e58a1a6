"""TLS of a gateway's servers and of a workload's ports."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from google.protobuf import json_format

from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import Server
from mizzen.translator.tls.downstream import gateway_transport_socket, inbound_transport_socket
from tests.unit.translator.clusters.cluster_scenes import contains


def plain(socket: Any) -> dict[str, Any]:
    made: dict[str, Any] = json_format.MessageToDict(socket, preserving_proto_field_name=True)
    assert made["name"] == "envoy.transport_sockets.tls"
    return dict(made["typed_config"])


def server(tls: str, mesh: str = "{}", *, is_http: bool = True) -> dict[str, Any]:
    asked = Server.model_validate({"tls": yaml.safe_load(tls)})
    socket = gateway_transport_socket(asked, MeshConfig.model_validate(yaml.safe_load(mesh)), is_http=is_http)
    assert socket is not None
    return plain(socket)


@pytest.mark.parametrize("tls", ["{mode: PASSTHROUGH}", "{mode: AUTO_PASSTHROUGH}", "{httpsRedirect: true}"])
def test_who_does_not_terminate_tls(tls: str) -> None:
    asked = Server.model_validate({"tls": yaml.safe_load(tls)})

    assert gateway_transport_socket(asked, MeshConfig()) is None
    assert gateway_transport_socket(Server(), MeshConfig()) is None


def test_simple_by_credential() -> None:
    made = server("{mode: SIMPLE, credentialName: shop}")

    assert made["require_client_certificate"] is False
    shared = made["common_tls_context"]
    assert shared["alpn_protocols"] == ["h2", "http/1.1"]
    (certificate,) = shared["tls_certificate_sds_secret_configs"]
    assert certificate == {
        "name": "kubernetes://shop",
        "sds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "15s"},
    }
    assert set(shared) == {"alpn_protocols", "tls_certificate_sds_secret_configs"}


CERTIFICATES = [
    ("credentialName: kubernetes://ns/shop", ["kubernetes://ns/shop"]),
    ("credentialNames: [rsa, ecdsa]", ["kubernetes://rsa", "kubernetes://ecdsa"]),
    ("{serverCertificate: /c, privateKey: /k}", ["file-cert:/c~/k"]),
    ("tlsCertificates: [{serverCertificate: /c, privateKey: /k}, {serverCertificate: /d, privateKey: /l}]",
     ["file-cert:/c~/k", "file-cert:/d~/l"]),
]  # fmt: skip


@pytest.mark.parametrize(("where", "names"), CERTIFICATES)
def test_where_certificates_are(where: str, names: list[str]) -> None:
    made = server(yaml.safe_dump({"mode": "SIMPLE"} | yaml.safe_load(where)))

    found = made["common_tls_context"]["tls_certificate_sds_secret_configs"]
    assert [each["name"] for each in found] == names


ROOTS = [
    ("{credentialName: shop}", "kubernetes://shop-cacert"),
    ("{credentialName: shop, caCertCredentialName: roots}", "kubernetes://roots"),
    ("{credentialName: shop, caCertCredentialName: roots-cacert}", "kubernetes://roots-cacert"),
    ("{credentialName: shop, caCertCredentialName: shop}", "kubernetes://shop-cacert"),
    ("{credentialNames: [a, b]}", "kubernetes://a-cacert"),
    ("{serverCertificate: /c, privateKey: /k, caCertificates: /r}", "file-root:/r"),
    ("tlsCertificates: [{serverCertificate: /c, privateKey: /k, caCertificates: /r}]", "file-root:/r"),
]


@pytest.mark.parametrize(("where", "name"), ROOTS)
def test_where_the_roots_of_clients_are(where: str, name: str) -> None:
    made = server(yaml.safe_dump({"mode": "MUTUAL"} | yaml.safe_load(where)))

    validation = made["common_tls_context"]["combined_validation_context"]
    assert validation["validation_context_sds_secret_config"]["name"] == name
    assert made["require_client_certificate"] is True


def test_clients_may_be_asked_without_must() -> None:
    made = server("{mode: OPTIONAL_MUTUAL, credentialName: shop}")

    assert made["require_client_certificate"] is False
    assert "combined_validation_context" in made["common_tls_context"]


def test_what_is_asked_of_clients() -> None:
    made = server("""
        mode: MUTUAL
        credentialName: shop
        subjectAltNames: [a.example]
        verifyCertificateSpki: [spki]
        verifyCertificateHash: [hash]
        caCrl: /crl
        insecureSkipVerify: true
    """)

    assert made["common_tls_context"]["combined_validation_context"]["default_validation_context"] == {
        "match_subject_alt_names": [{"exact": "a.example"}],
        "verify_certificate_spki": ["spki"],
        "verify_certificate_hash": ["hash"],
        "crl": {"filename": "/crl"},
        "trust_chain_verification": "ACCEPT_UNTRUSTED",
    }


VERSIONS = [
    ("{}", "{}", None),
    ("{}", "tlsDefaults: {minProtocolVersion: TLSV1_3, cipherSuites: [AES128-SHA], ecdhCurves: [P-256]}",
     {"tls_minimum_protocol_version": "TLSv1_3", "cipher_suites": ["AES128-SHA"], "ecdh_curves": ["P-256"]}),
    ("{minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_3, cipherSuites: [AES256-SHA]}",
     "tlsDefaults: {minProtocolVersion: TLSV1_3, cipherSuites: [AES128-SHA]}",
     {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3",
      "cipher_suites": ["AES256-SHA"]}),
]  # fmt: skip


@pytest.mark.parametrize(("own", "mesh", "expected"), VERSIONS)
def test_the_servers_versions_go_before_the_meshs(own: str, mesh: str, expected: Any) -> None:
    made = server(yaml.safe_dump({"mode": "SIMPLE", "credentialName": "shop"} | yaml.safe_load(own)), mesh)

    assert made["common_tls_context"].get("tls_params") == expected


@pytest.mark.parametrize(
    ("is_http", "alpn"), [(True, ["h2", "http/1.1"]), (False, ["istio-peer-exchange", "h2", "http/1.1"])]
)
def test_istio_mutual_has_the_workloads_certificate(is_http: bool, alpn: list[str]) -> None:
    mesh = "tlsDefaults: {minProtocolVersion: TLSV1_3}"
    made = server("{mode: ISTIO_MUTUAL, subjectAltNames: [spiffe://a]}", mesh, is_http=is_http)

    assert contains(
        made,
        {
            "require_client_certificate": True,
            "common_tls_context": {
                "alpn_protocols": alpn,
                "tls_certificate_sds_secret_configs": [{"name": "default"}],
                "combined_validation_context": {
                    "validation_context_sds_secret_config": {"name": "ROOTCA"},
                    "default_validation_context": {"match_subject_alt_names": [{"exact": "spiffe://a"}]},
                },
            },
        },
    )
    assert "tls_params" not in made["common_tls_context"]


def test_a_workload_takes_identities_of_its_trust_domains() -> None:
    mesh = MeshConfig.model_validate({"trustDomain": "a@b", "trustDomainAliases": ["old.example"]})

    made = plain(inbound_transport_socket(mesh))

    assert made["require_client_certificate"] is True
    shared = made["common_tls_context"]
    assert shared["alpn_protocols"] == ["h2", "http/1.1"], "nobody here speaks istio-peer-exchange"
    assert shared["combined_validation_context"]["default_validation_context"] == {
        "match_subject_alt_names": [
            {"prefix": "spiffe://a.b/"},
            {"prefix": "spiffe://old.example/"},
        ]
    }
    assert shared["tls_params"]["tls_minimum_protocol_version"] == "TLSv1_2"
    assert shared["tls_params"]["tls_maximum_protocol_version"] == "TLSv1_3"
    assert len(shared["tls_params"]["cipher_suites"]) == 6


def test_the_meshs_words_on_mutual_tls() -> None:
    mesh = MeshConfig.model_validate(
        {"meshMTLS": {"minProtocolVersion": "TLSV1_3", "cipherSuites": ["AES128-SHA"]}}
    )

    parameters = plain(inbound_transport_socket(mesh))["common_tls_context"]["tls_params"]

    assert parameters["tls_minimum_protocol_version"] == "TLSv1_3"
    assert parameters["cipher_suites"] == ["AES128-SHA"]

    only_curves = MeshConfig.model_validate({"meshMTLS": {"ecdhCurves": ["P-256"]}})
    parameters = plain(inbound_transport_socket(only_curves))["common_tls_context"]["tls_params"]
    assert parameters["tls_minimum_protocol_version"] == "TLSv1_2"
    assert parameters["ecdh_curves"] == ["P-256"]
    assert len(parameters["cipher_suites"]) == 6


def test_pins_hold_with_certificates_from_files_too() -> None:
    made = server("""
        mode: MUTUAL
        serverCertificate: /c
        privateKey: /k
        caCertificates: /r
        verifyCertificateSpki: [spki]
        verifyCertificateHash: [hash]
    """)

    assert made["common_tls_context"]["combined_validation_context"]["default_validation_context"] == {
        "verify_certificate_spki": ["spki"],
        "verify_certificate_hash": ["hash"],
    }


def test_https_redirect_does_not_switch_tls_off() -> None:
    assert server("{mode: SIMPLE, credentialName: shop, httpsRedirect: true}") == server(
        "{mode: SIMPLE, credentialName: shop}"
    )
