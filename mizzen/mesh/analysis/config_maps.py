"""Checks for names of certificates and CAs in forms that are not served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from mizzen.config import models
from mizzen.config.document import Config, FieldPath
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.rules.tls_fields import credential_names

_UNSERVED: Final = {"configmap": "a CA in a ConfigMap", "kubernetes-gateway": "a Secret of the Gateway API"}


def check_credentials_of_gateway(gateway: Config[models.Gateway], diagnostics: Diagnostics) -> None:
    """Find credentials of a Gateway that are sent to no proxy (MZ0221), such as `configmap://ca`."""
    for index, server in enumerate(gateway.spec.servers):
        for field, name in credential_names(server.tls):
            for text in _problem(name):
                diagnostics.warning("MZ0221", gateway, ("spec", "servers", index, *field), text)


def check_credentials_of_rule(
    rule: Config[models.DestinationRule],
    settings: Iterable[tuple[FieldPath, models.ClientTLSSettings]],
    diagnostics: Diagnostics,
) -> None:
    """Find credentials in the TLS settings of a DestinationRule that are sent to no proxy (MZ0221)."""
    for path, tls in settings:
        for text in _problem(tls.credential_name):
            diagnostics.warning("MZ0221", rule, (*path, "credentialName"), text)


def _problem(name: str) -> Iterator[str]:
    what = _UNSERVED.get(name.partition("://")[0]) if "://" in name else None
    if what is not None:
        yield (
            f"{name} names {what}, which is not served, so connections that need it fail; put it into a "
            "Secret (a CA under ca.crt), and write the name of the Secret"
        )
