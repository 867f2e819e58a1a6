"""The TLS settings and credentials that rules give, each with the field that it stands in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mizzen.config import models
from mizzen.config.document import FieldPath

CA_CREDENTIAL: Final = ("tls", "caCertCredentialName")


def client_settings(rule: models.DestinationRule) -> Iterator[tuple[FieldPath, models.ClientTLSSettings]]:
    """Yield the TLS settings of a DestinationRule, each with the field that it stands in."""
    policies: list[tuple[FieldPath, models.TrafficPolicy | None]] = [
        (("spec", "trafficPolicy"), rule.traffic_policy)
    ]
    for index, subset in enumerate(rule.subsets):
        policies.append((("spec", "subsets", index, "trafficPolicy"), subset.traffic_policy))
    for path, policy in policies:
        if policy is None:
            continue
        if policy.tls is not None:
            yield (*path, "tls"), policy.tls
        for index, port in enumerate(policy.port_level_settings):
            if port.tls is not None:
                yield (*path, "portLevelSettings", index, "tls"), port.tls


def credential_names(tls: models.ServerTLSSettings | None) -> Iterator[tuple[FieldPath, str]]:
    """Yield the names of Secrets in a server's TLS settings, each with the field that it stands in."""
    if tls is None:
        return
    if tls.credential_name:
        yield ("tls", "credentialName"), tls.credential_name
    for index, name in enumerate(tls.credential_names):
        yield ("tls", "credentialNames", index), name
    if tls.ca_cert_credential_name:
        yield CA_CREDENTIAL, tls.ca_cert_credential_name
