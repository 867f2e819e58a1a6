"""The table of secrets. It shows only public facts: names, files, and the fields of certificates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cryptography import x509

from mizzen.explain.missing_secrets import MissingSecret
from mizzen.explain.tables.row import Row
from mizzen.explain.tables.sent import Sent
from mizzen.xds.type_urls import SECRET

_CERTIFICATE: Final = "certificate"
_AUTHORITY: Final = "trusted authority"
_UNKNOWN: Final[Mapping[str, str]] = {"FOR": "-", "VALID UNTIL": "-", "SERIAL": "-"}


def secret_rows(sent: Sent) -> Iterator[Row]:
    """Yield a row for each secret that the proxy is sent, then for each missing secret."""
    for resource, secret, state in sent.of("secrets"):
        kind, chain = _kind(secret)
        name = str(secret.name)
        yield Row(
            {"NAME": name, "KIND": kind, **_certificate(chain)},
            sent.places(resource, lambda origins, name=name: origins.resource(SECRET, name)),  # type: ignore[misc]
            name,
            state,
        )

    for missing in sent.missing_secrets():
        yield _missing(sent, missing)


def _missing(sent: Sent, secret: MissingSecret) -> Row:
    asking, name = secret.asked_by, secret.name
    return Row(
        {"NAME": name, "KIND": _AUTHORITY if secret.authority else _CERTIFICATE, **_UNKNOWN},
        sent.places(asking, lambda origins: origins.credential(asking.type_url, asking.name, name)),
        name,
        f"missing: {secret.reason}",
    )


def _kind(secret: Any) -> tuple[str, Any | None]:
    """Return the kind of a Secret, and the DataSource of its certificates."""
    which = secret.WhichOneof("type")
    if which == "tls_certificate":
        return _CERTIFICATE, secret.tls_certificate.certificate_chain
    if which == "validation_context":
        return _AUTHORITY, secret.validation_context.trusted_ca
    return (which or "empty").replace("_", " "), None


def _certificate(source: Any | None) -> Mapping[str, str]:
    """Return the fields of the first certificate, by column."""
    if source is None:
        return _UNKNOWN
    if source.filename:
        return {**_UNKNOWN, "FOR": f"in {source.filename}"}
    try:
        found = x509.load_pem_x509_certificates(source.inline_bytes or source.inline_string.encode())[0]
    except (ValueError, IndexError):
        return {**_UNKNOWN, "FOR": "no certificate can be read"}
    until = f"{found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    return {"FOR": _names(found), "VALID UNTIL": until, "SERIAL": f"{found.serial_number:x}"}


def _names(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return certificate.subject.rfc4514_string() or "-"
    texts = [str(each.value) for each in names if isinstance(each.value, str)]
    return ", ".join(texts) or certificate.subject.rfc4514_string() or "-"
