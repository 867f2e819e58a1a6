"""Secrets: certificates, keys and roots, as proxies fetch them by name.

A Secret document has the entries that Istio reads (pilot/pkg/credentials/kube): `tls.crt` and `tls.key`, or
`cert` and `key`. Roots are in `ca.crt` or `cacert`, in the same Secret or in one whose name ends in
`-cacert`. No message, repr or error contains the content of a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.document import Config
from mizzen.config.kubernetes import Secret
from mizzen.translator.base.memo import Memo
from mizzen.translator.tls.secret_names import (
    CA_SUFFIX,
    FILE_CERTIFICATE,
    FILE_ROOT,
    KUBERNETES,
    SYSTEM_ROOTS,
    files_of,
)
from mizzen.translator.tls.secret_references import SecretNames
from mizzen.translator.tls.unusable_secret import UnusableSecretError
from mizzen.xds.resource import Resource

SYSTEM_ROOTS_FILE = "/etc/ssl/certs/ca-certificates.crt"
"""The file of the roots that the system trusts, on Debian, Ubuntu and in Envoy's own images."""

UNUSABLE_SECRET = "MZ0300"  # noqa: S105 - the code of a diagnostic
"""A Secret that a proxy asks for, but that no proxy could use."""

WITHHELD_SECRET = "MZ0301"  # noqa: S105 - the code of a diagnostic
"""A Secret that a proxy asks for without proving its identity."""

MANY_FILES = "MZ0302"
"""More certificate files than an Envoy may be able to watch."""

_Lookup = Callable[[str], Config[Secret] | None]

_CERTIFICATE_KEYS = (("cert", "key"), ("tls.crt", "tls.key"))
_ROOT_KEYS = ("cacert", "ca.crt")
_CRL_KEYS = ("crl", "ca.crl")
_STAPLE_KEY = "tls.ocsp-staple"


def secrets(
    names: SecretNames, lookup: _Lookup, memo: Memo, *, namespace: str = ""
) -> tuple[tuple[Resource, ...], tuple[Diagnostic, ...]]:
    """Return the secrets of `names`, sorted and without repetition, and diagnostics for unusable ones.

    `lookup` finds a Secret by its name in `namespace`, the proxy's own; names with a different namespace get
    no secret. Names of files need no document. A name without a Secret is left out, because the analysis of
    the mesh reports it. A name with an unusable Secret is left out and gets a diagnostic.
    """
    made: list[Resource | Diagnostic] = []
    for name in sorted(names.certificates | names.roots):
        if name.startswith((FILE_CERTIFICATE, FILE_ROOT)):
            made.append(memo(_of_files, name))
            continue
        roots = name in names.roots
        own_name = own_secret_name(name, namespace)
        config = None if own_name is None else _find(own_name, lookup, roots=roots)
        if config is None:
            continue
        if roots and name in names.certificates:
            made.append(_both(config))
        else:
            try:
                made.append(memo(_of_document, name, config, roots))
            except UnusableSecretError as error:
                made.append(_diagnostic(config, error))
    resources = tuple(each for each in made if isinstance(each, Resource))
    return resources, tuple(each for each in made if isinstance(each, Diagnostic))


def _both(config: Config[Secret]) -> Diagnostic:
    """Return the diagnostic for a name that stands for a certificate and for roots at once.

    Envoy fetches a name once and uses the answer for both. A certificate gives it no roots, and then it would
    trust every client.
    """
    name = config.name
    return Diagnostic(
        Severity.ERROR,
        UNUSABLE_SECRET,
        f"Secret {config.namespace}/{name} is the certificate of one server and the caCertCredentialName of "
        f"another of the same proxy, which is sent neither; put the CA into a Secret {name}{CA_SUFFIX} and "
        f"write caCertCredentialName: {name}{CA_SUFFIX}",
        config.origin,
    )


def _of_document(name: str, config: Config[Secret], roots: bool) -> Resource:
    make = _roots if roots else _certificate
    return Resource.of(make(name, config.spec.data), origins=(config.origin,))


def own_secret_name(name: str, namespace: str) -> str | None:
    """Return the name of the Secret that `kubernetes://NAME` or `kubernetes://NAMESPACE/NAME` means here."""
    if not name.startswith(KUBERNETES):
        return None
    first, slash, rest = name.removeprefix(KUBERNETES).partition("/")
    if not slash:
        return first
    return rest if first == namespace else None


def _find(name: str, lookup: _Lookup, *, roots: bool) -> Config[Secret] | None:
    """Return the Secret for a name. Roots may have a Secret of their own, or be in that of the
    certificate."""
    config = lookup(name)
    if config is None and roots and name.endswith(CA_SUFFIX):
        return lookup(name.removesuffix(CA_SUFFIX))
    return config


def _roots(name: str, data: Mapping[str, bytes]) -> Any:
    from mizzen.translator.tls.pem import load_certificates  # a large library, loaded only for Secrets

    message = secret_pb2.Secret(name=name)
    key = _first_of(data, _ROOT_KEYS)
    if key is None:
        raise UnusableSecretError("", f"has no roots; add ca.crt{_keys_found(data)}")
    load_certificates(key, data[key])
    message.validation_context.trusted_ca.inline_bytes = data[key]
    crl = _first_of(data, _CRL_KEYS)
    if crl is not None:
        message.validation_context.crl.inline_bytes = data[crl]
    return message


def _certificate(name: str, data: Mapping[str, bytes]) -> Any:
    from mizzen.translator.tls.pem import check_pair

    message = secret_pb2.Secret(name=name)
    pair = next((keys for keys in _CERTIFICATE_KEYS if data.get(keys[0]) and data.get(keys[1])), None)
    if pair is None:
        raise UnusableSecretError("", f"is no certificate; add tls.crt and tls.key{_keys_found(data)}")
    certificate, key = pair
    check_pair(certificate, data[certificate], key, data[key])
    message.tls_certificate.certificate_chain.inline_bytes = data[certificate]
    message.tls_certificate.private_key.inline_bytes = data[key]
    if data.get(_STAPLE_KEY):
        message.tls_certificate.ocsp_staple.inline_bytes = data[_STAPLE_KEY]
    return message


def _first_of(data: Mapping[str, bytes], keys: Iterable[str]) -> str | None:
    return next((key for key in keys if data.get(key)), None)


def _keys_found(data: Mapping[str, bytes]) -> str:
    return f" (found: {', '.join(sorted(data))})" if data else " (it is empty)"


def _diagnostic(config: Config[Secret], error: UnusableSecretError) -> Diagnostic:
    field = next((name for name in ("stringData", "data") if error.key in _keys_of(config, name)), "data")
    path = f'{field}["{error.key}"]' if error.key else ""
    origin = config.origin_of(field, error.key) if error.key else config.origin
    subject = path or f"Secret {config.namespace}/{config.name}"
    return Diagnostic(
        Severity.ERROR, UNUSABLE_SECRET, f"{error}" if path else f"{subject} {error}", origin, path
    )


def _keys_of(config: Config[Secret], field: str) -> Iterable[str]:
    return config.spec.string_data if field == "stringData" else config.spec.encoded


def _of_files(name: str) -> Resource:
    """Return a secret that holds paths of files on the proxy's own machine.

    Envoy watches the folder of a secret that it fetches by name, and loads new files by itself. It would not
    do that for paths inside a listener or cluster.

    Envoy rejects the secret while a file is missing. If it then gets the identical message again, it accepts
    the secret without reading the files. So the second message (`again`) spells the paths differently.
    """
    return Resource.of(_message_of_files(name), again=Resource.of(_message_of_files(name, _other_spelling)))


def _message_of_files(name: str, spelt: Callable[[str], str] = str) -> Any:
    message = secret_pb2.Secret(name=name)
    if name.startswith(FILE_ROOT):
        path = SYSTEM_ROOTS_FILE if name == SYSTEM_ROOTS else name.removeprefix(FILE_ROOT)
        message.validation_context.trusted_ca.filename = spelt(path)
        message.validation_context.watched_directory.path = _folder(path)
    else:
        certificate, key = files_of(name)
        message.tls_certificate.certificate_chain.filename = spelt(certificate)
        message.tls_certificate.private_key.filename = spelt(key)
        message.tls_certificate.watched_directory.path = _folder(certificate)
    return message


def _other_spelling(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}./{name}"


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)
