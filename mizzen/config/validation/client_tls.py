"""TLS settings for connections to a destination."""

from __future__ import annotations

from typing import Final

from mizzen.config.models import ClientTLSMode, ClientTLSSettings
from mizzen.config.models.base import camel_case
from mizzen.config.validation.addresses import file_path_problem
from mizzen.config.validation.hosts import is_dns_label
from mizzen.config.validation.place import Place

_LONGEST_SNI: Final = 255
_CONFIG_MAP: Final = "configmap://"
_FILES: Final = ("client_certificate", "private_key", "ca_certificates", "ca_crl")


def check_client_tls(tls: ClientTLSSettings | None, place: Place) -> None:
    """Check TLS settings that may be absent: mode, certificates and verification must agree."""
    if tls is None:
        return
    if tls.credential_name.startswith(_CONFIG_MAP):
        _check_config_map(tls.credential_name.removeprefix(_CONFIG_MAP), place / "credentialName")
    if len(tls.sni.encode()) > _LONGEST_SNI:
        (place / "sni").error(f"the name is too long; at most {_LONGEST_SNI} bytes are possible")
    elif not tls.sni.isprintable():
        (place / "sni").error("the name has a control character; write the DNS name of the server")
    for field in _FILES:
        (place / camel_case(field)).check(file_path_problem(getattr(tls, field)))
    if tls.insecure_skip_verify:
        _check_unverified(tls, place)
    if tls.credential_name and tls.mode in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL):
        for field in _FILES:
            if getattr(tls, field):
                (place / camel_case(field)).error("the credential of credentialName holds this; leave it out")
    elif tls.mode is ClientTLSMode.MUTUAL and not place.lost("credentialName"):
        if not tls.client_certificate:
            (place / "clientCertificate").error("mode MUTUAL needs the client's certificate; write its file")
        if not tls.private_key:
            (place / "privateKey").error(
                "mode MUTUAL needs the key of the client's certificate; write its file"
            )


def warn_of_trust(tls: ClientTLSSettings | None, place: Place, code: str, *, has_selector: bool) -> None:
    """Warn, with Istio's `code`, if the server's certificate may not be checked as intended."""
    if tls is None or tls.mode not in (ClientTLSMode.SIMPLE, ClientTLSMode.MUTUAL):
        return
    if tls.ca_certificates or tls.insecure_skip_verify or (tls.credential_name and has_selector):
        return
    if tls.credential_name:
        (place / "credentialName").warning(
            "without workloadSelector this is for gateways only, and sidecars call in plain text; "
            "write workloadSelector, or the files in place of credentialName",
            code,
        )
    else:
        place.warning(
            f"mode {tls.mode} without caCertificates trusts every authority that the system trusts; "
            "write the file of the one that is meant in caCertificates",
            code,
        )


def _check_unverified(tls: ClientTLSSettings, place: Place) -> None:
    fields: tuple[str, ...] = ()
    if tls.mode is ClientTLSMode.SIMPLE:
        fields = ("ca_certificates", "credential_name", "subject_alt_names")
    elif tls.mode is ClientTLSMode.MUTUAL:
        fields = ("ca_certificates", "subject_alt_names")
    for field in fields:
        if getattr(tls, field):
            (place / camel_case(field)).error(
                "insecureSkipVerify verifies nothing, so this has no effect; leave one of the two out"
            )


def _check_config_map(name: str, place: Place) -> None:
    own = place.config.namespace
    namespace, slash, short = name.partition("/")
    if not (short if slash else namespace):
        place.error("the name of the ConfigMap is missing; write configmap:// and its name")
    elif slash and (namespace != own or not is_dns_label(namespace)):
        place.error(f'the ConfigMap is in namespace "{namespace}"; it must be in "{own}", the rule\'s own')
