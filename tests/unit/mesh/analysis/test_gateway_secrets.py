"""Secrets that Gateways name: where they are looked for, and what they must hold."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mizzen.config import Severity
from mizzen.mesh.analysis import analyze
from mizzen.mesh.snapshot import Mesh
from tests.unit.mesh.analysis.documents import CERTIFICATE, EDGE_VM, GATEWAY, TLS_GATEWAY, other

MeshOf = Callable[..., Mesh]


@pytest.mark.parametrize("namespace", ["default", "far"])
def test_a_credential_may_be_beside_proxies_that_nobody_has_written_down(
    mesh_of: MeshOf, namespace: str
) -> None:
    """Istio's own pages have the Gateway in one namespace, its proxies and its Secret in another."""
    secret = CERTIFICATE.replace("{name: cert", f"{{name: cert, namespace: {namespace}")
    found = analyze(mesh_of(TLS_GATEWAY + "---" + secret))
    assert [one.code for one in found if one.severity is not Severity.INFO] == ["IST0161"], found
    assert ("MZ0222" in [one.code for one in found]) is (namespace == "far")


@pytest.mark.parametrize("written", ["cert", "kubernetes://cert"])
def test_a_service_tells_where_the_proxies_are(mesh_of: MeshOf, written: str) -> None:
    gateway = TLS_GATEWAY.replace("credentialName: cert", f"credentialName: '{written}'")
    service = (
        "kind: Service\nmetadata: {name: edge, namespace: edge}\nspec: {selector: {istio: gw, app: gw}}\n"
    )
    codes = [one.code for one in analyze(mesh_of("---\n".join((gateway, service, CERTIFICATE))))]
    assert "IST0101" in codes
    beside = CERTIFICATE.replace("{name: cert", "{name: cert, namespace: edge")
    codes = [one.code for one in analyze(mesh_of("---\n".join((gateway, service, beside))))]
    assert "IST0101" not in codes
    assert "MZ0222" not in codes


def test_a_credential_may_name_a_namespace_that_is_the_proxies(mesh_of: MeshOf) -> None:
    gateway = TLS_GATEWAY.replace("credentialName: cert", "credentialName: 'kubernetes://far/cert'")
    secret = CERTIFICATE.replace("{name: cert", "{name: cert, namespace: far")
    [found] = [one for one in analyze(mesh_of(gateway + EDGE_VM + secret)) if one.code == "IST0101"]
    assert "kubernetes://far/cert names a Secret that proxies of its namespace alone get" in found.message
    assert "in namespace edge; put the Secret there" in found.message
    beside = EDGE_VM.replace("namespace: edge", "namespace: far")
    for mesh in (mesh_of(gateway + beside + secret), mesh_of(gateway + "---" + secret)):
        assert "IST0101" not in [one.code for one in analyze(mesh)]


def test_a_secret_of_nearly_that_name_is_named(mesh_of: MeshOf) -> None:
    [found] = analyze(mesh_of(TLS_GATEWAY + "---" + CERTIFICATE.replace("cert", "certs")))
    assert found.message == "there is no Secret cert; did you mean default/certs?"


def pem_pair() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_credentials(mesh_of: MeshOf) -> None:
    certificate, key = pem_pair()
    _, foreign = pem_pair()

    def problems(mode: str = "SIMPLE", **data: bytes) -> list[str]:
        encoded = ", ".join(
            f"{name.replace('_', '.')}: {base64.b64encode(value).decode()}" for name, value in data.items()
        )
        mesh = mesh_of(
            GATEWAY.replace("HTTP}", "HTTPS}")
            + f"    tls: {{mode: {mode}, credentialName: cert}}\n---\n"
            + f"kind: Secret\nmetadata: {{name: cert}}\ndata: {{{encoded}}}\n"
        )
        found = [one for one in analyze(mesh) if one.code == "IST0161"]
        assert not any(key.decode() in str(one) for one in found)
        return [one.message for one in found]

    assert problems(tls_crt=certificate, tls_key=key) == []
    assert problems(cert=certificate, key=key) == []
    assert "has no certificate and key" in problems(tls_crt=certificate)[0]
    assert "has no certificate and key" in problems(tls_key=key)[0]
    assert "is not the certificate's" in problems(tls_crt=certificate, tls_key=foreign)[0]
    assert "certificate that is not in PEM form" in problems(tls_crt=b"x", tls_key=key)[0]
    assert "private key that is not in PEM form" in problems(tls_crt=certificate, tls_key=b"x")[0]
    assert "has no CA" in problems("MUTUAL", tls_crt=certificate, tls_key=key)[0]
    assert problems("MUTUAL", tls_crt=certificate, tls_key=key, ca_crt=certificate) == []


def test_the_secret_of_caCertCredentialName(mesh_of: MeshOf) -> None:
    certificate, key = (base64.b64encode(each).decode() for each in pem_pair())

    def found(*secrets: str) -> list[tuple[str, str]]:
        documents = (
            GATEWAY.replace("HTTP}", "HTTPS}")
            + "    tls: {mode: MUTUAL, credentialName: cert, caCertCredentialName: clients}",
            f"kind: Secret\nmetadata: {{name: cert}}\ndata: {{tls.crt: {certificate}, tls.key: {key}}}",
            *(f"kind: Secret\n{each}" for each in secrets),
        )
        wanted = ("IST0101", "IST0161")
        mesh = mesh_of("\n---\n".join(documents) + "\n")
        return [(one.path, one.message) for one in analyze(mesh) if one.code in wanted]

    ((path, message),) = found()
    assert path == "spec.servers[0].tls.caCertCredentialName"
    assert "there is no Secret clients" in message
    ((_, message),) = found(f"metadata: {{name: clients}}\ndata: {{tls.crt: {certificate}}}")
    assert "has no CA for clients' certificates" in message
    assert found(f"metadata: {{name: clients}}\ndata: {{ca.crt: {certificate}}}") == []


def test_one_certificate_in_two_gateways(mesh_of: MeshOf) -> None:
    secure = GATEWAY.replace("HTTP}", "HTTPS}") + "    tls: {mode: SIMPLE, credentialName: cert}\n"
    mesh = mesh_of(secure + "---" + other(secure, "second").replace("[web.com]", "[b.com]"))
    (found,) = [one for one in analyze(mesh) if one.code == "IST0138"]
    assert found.path == "spec.servers[0].tls.credentialName"
