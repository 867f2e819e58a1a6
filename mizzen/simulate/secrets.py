"""The secrets that TLS needs: Envoy accepts no connection with a TLS context if one of its secrets is
missing.

Until the wait for a secret is over, a new listener does not listen, and a new cluster is not used; after that
each connection is closed at once. Source:
https://www.envoyproxy.io/docs/envoy/latest/configuration/security/secret
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

HasSecret = Callable[[str, bool], bool]
"""Tells whether the proxy is sent a secret: its name, and whether it must be an
authority (else a certificate)."""


def missing_secrets(context: Any | None, has_secret: HasSecret) -> tuple[str, ...]:
    """Return the names of the secrets that a TLS context needs and that the proxy is
    not sent; a context of None needs none."""
    if context is None:
        return ()
    needed = _needed(context.common_tls_context)
    return tuple(name for name, authority in needed if not has_secret(name, authority))


def _needed(context: Any) -> Iterator[tuple[str, bool]]:
    for certificate in context.tls_certificate_sds_secret_configs:
        yield str(certificate.name), False
    for validation in (
        context.validation_context_sds_secret_config,
        context.combined_validation_context.validation_context_sds_secret_config,
    ):
        if validation.name:
            yield str(validation.name), True
