"""Secrets: what of a Secret document reaches a proxy, and what a user is told of one that cannot."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from mizzen.config.document import Config
from mizzen.config.kubernetes import Secret
from mizzen.translator.base.memo import Memo
from mizzen.translator.tls.secret_names import file_certificate_name
from mizzen.translator.tls.secret_references import SecretNames, all_secrets
from mizzen.translator.tls.secrets import SYSTEM_ROOTS_FILE, secrets
from tests.unit.translator.clusters.cluster_scenes import secret_document
from tests.unit.translator.tls.certificates import certificate_pem, key_pem, make_key

KEY = make_key()
CERTIFICATE, PRIVATE_KEY = certificate_pem(KEY), key_pem(KEY)
PAIR = {"tls.crt": CERTIFICATE, "tls.key": PRIVATE_KEY}


def asked(*names: str) -> SecretNames:
    roots = frozenset(name for name in names if name.endswith("-cacert"))
    return SecretNames(frozenset(names) - roots, roots)


def serve(
    *names: str, roots: tuple[str, ...] = (), memo: Memo | None = None, **documents: Config[Secret]
) -> tuple[Any, Any]:
    by_name = {name.replace("_", "-"): document for name, document in documents.items()}
    wanted = all_secrets((asked(*names), SecretNames(roots=frozenset(roots))))
    resources, diagnostics = secrets(wanted, by_name.get, memo or Memo(), namespace="default")
    return {each.name: secret_pb2.Secret.FromString(each.value) for each in resources}, diagnostics


def only(data: dict[str, bytes], name: str = "kubernetes://shop") -> Any:
    served, diagnostics = serve(name, shop=secret_document("shop", data))
    assert diagnostics == ()
    return served[name]


@pytest.mark.parametrize("names", [("tls.crt", "tls.key"), ("cert", "key")])
def test_a_pair_under_either_of_istios_names(names: tuple[str, str]) -> None:
    secret = only({names[0]: CERTIFICATE, names[1]: PRIVATE_KEY, "tls.ocsp-staple": b"staple"})

    assert secret.tls_certificate.certificate_chain.inline_bytes == CERTIFICATE
    assert secret.tls_certificate.private_key.inline_bytes == PRIVATE_KEY
    assert secret.tls_certificate.ocsp_staple.inline_bytes == b"staple"


@pytest.mark.parametrize(("roots", "crl"), [("ca.crt", "ca.crl"), ("cacert", "crl")])
def test_roots_stand_beside_the_pair(roots: str, crl: str) -> None:
    secret = only(PAIR | {roots: CERTIFICATE, crl: b"revoked"}, "kubernetes://shop-cacert")

    assert secret.validation_context.trusted_ca.inline_bytes == CERTIFICATE
    assert secret.validation_context.crl.inline_bytes == b"revoked"
    assert not secret.HasField("tls_certificate")


def test_roots_of_their_own_go_first() -> None:
    other = certificate_pem(make_key())
    own = secret_document("shop-cacert", {"ca.crt": other})

    served, _ = serve(
        "kubernetes://shop-cacert",
        shop=secret_document("shop", PAIR | {"ca.crt": CERTIFICATE}),
        shop_cacert=own,
    )

    assert served["kubernetes://shop-cacert"].validation_context.trusted_ca.inline_bytes == other


def test_roots_of_any_name() -> None:
    clients = secret_document("clients", {"ca.crt": CERTIFICATE})
    served, _ = serve(roots=("kubernetes://clients",), clients=clients)

    assert served["kubernetes://clients"].validation_context.trusted_ca.inline_bytes == CERTIFICATE


def test_a_secret_is_not_asked_for_as_certificate_and_as_roots() -> None:
    """Envoy would take a certificate for roots that are empty, and believe every client."""
    served, (diagnostic,) = serve(
        "kubernetes://shop",
        roots=("kubernetes://shop",),
        shop=secret_document("shop", PAIR | {"ca.crt": CERTIFICATE}),
    )

    assert served == {}
    assert diagnostic.code == "MZ0300"
    assert "write caCertCredentialName: shop-cacert" in diagnostic.message


def test_only_secrets_of_the_proxys_namespace_are_served() -> None:
    document = secret_document("shop", PAIR)

    served, diagnostics = serve(
        "kubernetes://default/shop", "kubernetes://other/shop", "default", "ROOTCA", shop=document
    )

    assert list(served) == ["kubernetes://default/shop"]
    assert diagnostics == ()


def test_a_secret_that_does_not_exist_is_left_out() -> None:
    assert serve("kubernetes://shop", "kubernetes://shop-cacert") == ({}, ())


def test_files_are_named_and_their_folder_is_watched() -> None:
    served, _ = serve("file-cert:/c/tls.crt~/c/tls.key", "file-root:/r/ca.crt", "file-root:system")

    certificate = served["file-cert:/c/tls.crt~/c/tls.key"].tls_certificate
    assert certificate.certificate_chain.filename == "/c/tls.crt"
    assert certificate.private_key.filename == "/c/tls.key"
    assert certificate.watched_directory.path == "/c"
    roots = served["file-root:/r/ca.crt"].validation_context
    assert (roots.trusted_ca.filename, roots.watched_directory.path) == ("/r/ca.crt", "/r")
    assert served["file-root:system"].validation_context.trusted_ca.filename == SYSTEM_ROOTS_FILE


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("file-cert:/c/tls.crt~/c/tls.key", ("/c/./tls.crt", "/c/./tls.key")),
        ("file-root:ca.crt", ("./ca.crt",)),
    ],
)
def test_files_are_asked_for_again_by_other_bytes(name: str, spelt: tuple[str, ...]) -> None:
    """Envoy accepts what it has refused without a look at the files, if the same bytes come again."""
    [resource], _ = secrets(asked(name), lambda _: None, Memo(), namespace="default")
    again = resource.again
    assert again is not None
    assert again.name == name
    message = secret_pb2.Secret.FromString(again.value)
    certificate, roots = message.tls_certificate, message.validation_context
    files = (certificate.certificate_chain, certificate.private_key, roots.trusted_ca)
    assert tuple(each.filename for each in files if each.filename) == spelt


@pytest.mark.parametrize("certificate", ["/c~old/tls.crt", "~/tls.crt", "/c%7Eold/tls.crt", "/100%/tls.crt"])
def test_a_path_may_have_what_parts_the_paths_of_a_name(certificate: str) -> None:
    name = file_certificate_name(certificate, "/c~/tls.key")
    made = serve(name)[0][name].tls_certificate
    assert (made.certificate_chain.filename, made.private_key.filename) == (certificate, "/c~/tls.key")


RSA1024 = make_key("rsa1024")
CURVE = make_key("secp224r1")

UNUSABLE = [
    ({}, "Secret default/shop is no certificate; add tls.crt and tls.key (it is empty)"),
    ({"tls.crt": CERTIFICATE, "token": b"x"}, "add tls.crt and tls.key (found: tls.crt, token)"),
    (PAIR | {"tls.crt": b"rubbish"}, 'data["tls.crt"]: is not a certificate in PEM form'),
    (PAIR | {"tls.key": b"rubbish"}, 'data["tls.key"]: is not a private key in PEM form'),
    (PAIR | {"tls.key": key_pem(KEY, b"sesame")}, 'data["tls.key"]: is encrypted; give the key without'),
    (PAIR | {"tls.key": key_pem(make_key())}, "does not belong to the certificate in tls.crt"),
    ({"tls.crt": certificate_pem(RSA1024), "tls.key": key_pem(RSA1024)}, "is an RSA key of 1024 bits"),
    ({"tls.crt": certificate_pem(CURVE), "tls.key": key_pem(CURVE)}, "is of a kind that Envoy does not take"),
]


@pytest.mark.parametrize(("data", "words"), UNUSABLE)
def test_an_unusable_secret_is_named_and_not_served(data: dict[str, bytes], words: str) -> None:
    served, (diagnostic,) = serve("kubernetes://shop", shop=secret_document("shop", data))

    assert served == {}
    assert str(diagnostic).startswith("secrets.yaml:1: ")
    assert words in str(diagnostic)
    assert all(text.decode() not in str(diagnostic) for text in data.values() if len(text) > 10)


def test_roots_must_be_certificates() -> None:
    served, (diagnostic,) = serve("kubernetes://shop-cacert", shop=secret_document("shop", PAIR))
    broken, (other,) = serve("kubernetes://shop-cacert", shop=secret_document("shop", {"ca.crt": b"rubbish"}))

    assert served == broken == {}
    assert "has no roots; add ca.crt (found: tls.crt, tls.key)" in str(diagnostic)
    assert 'data["ca.crt"]: is not a certificate' in str(other)


def test_nothing_shows_the_key() -> None:
    document = secret_document("shop", PAIR)
    (resource,), _ = secrets(asked("kubernetes://shop"), lambda _: document, Memo())

    shown = repr(resource) + repr(document)

    body = b"".join(PRIVATE_KEY.splitlines()[1:-1]).decode()
    assert body[:40] not in shown
    assert b64encode(PRIVATE_KEY).decode()[:40] not in shown


def test_a_secret_is_read_once() -> None:
    memo, document = Memo(), secret_document("shop", PAIR)

    first, second = [secrets(asked("kubernetes://shop"), lambda _: document, memo)[0][0] for _ in range(2)]

    assert first is second
