"""Missing secrets: a proxy asks for them but is not sent them. Says why, and which fields ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mizzen.config.document import Config, FieldPath
from mizzen.config.group_kinds import DESTINATION_RULE, GATEWAY, SIDECAR
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.rules.tls_fields import client_settings, credential_names
from mizzen.translator.on_demand import Translates
from mizzen.translator.own.secrets import why_not_sent
from mizzen.translator.tls.secret_names import KUBERNETES, ca_secret_name, credential_secret_name
from mizzen.translator.tls.secret_references import SecretNames, secret_references
from mizzen.xds.resource import Resource


@dataclass(frozen=True, slots=True)
class MissingSecret:
    """A secret that is not sent, and why. `asked_by` is a resource that asks for it; `authority` is True if
    it is asked for as certificates of an authority."""

    name: str
    authority: bool
    reason: str
    asked_by: Resource


class MissingSecrets:
    """The missing secrets of `proxy`, as `translation` has them."""

    def __init__(self, translation: Translates, proxy: Proxy) -> None:
        self._translation = translation
        self._proxy = proxy
        self._reasons: dict[tuple[str, bool], str] = {}

    @cached_property
    def _own(self) -> SecretNames:
        return self._translation.own(self._proxy).secrets

    def reason(self, name: str, authority: bool) -> str:
        """Return why the proxy is not sent a secret, asked for as an `authority` or as a certificate; empty
        if it is sent."""
        key = (name, authority)
        if key not in self._reasons:
            wanted = {name} if authority else set()
            certificates = frozenset({name} - wanted | (self._own.certificates & {name}))
            roots = frozenset(wanted | (self._own.roots & {name}))
            mesh, memo = self._translation.mesh, self._translation.memo
            self._reasons[key] = why_not_sent(mesh, self._proxy, SecretNames(certificates, roots), memo)
        return self._reasons[key]

    def reason_of(self, name: str) -> str:
        """Return why the proxy is not sent a secret that `reason` or `of` was called for before."""
        return self._reasons.get((name, False)) or self._reasons.get((name, True)) or ""

    def of(self, resources: Iterable[Resource]) -> Iterator[MissingSecret]:
        """Yield, once each, the missing secrets for which these listeners and clusters ask."""
        seen: set[str] = set()
        for resource in resources:
            asked = secret_references(resource)
            for name in sorted((asked.certificates | asked.roots).difference(seen)):
                seen.add(name)
                reason = self.reason(name, name in asked.roots)
                if reason:
                    yield MissingSecret(name, name in asked.roots, reason, resource)


def secret_words(name: str) -> str:
    """Return the name of a secret as it stands in a credentialName."""
    return name.removeprefix(KUBERNETES)


def credential_fields(config: Config[Any], name: str) -> Iterator[FieldPath]:
    """Yield the fields of a Gateway, DestinationRule or Sidecar that ask for the secret of that name."""
    for path, written in _written(config):
        if name in (credential_secret_name(written), ca_secret_name(written)):
            yield path


def _written(config: Config[Any]) -> Iterator[tuple[FieldPath, str]]:
    if config.group_kind == DESTINATION_RULE:
        for path, tls in client_settings(config.spec):
            if tls.credential_name:
                yield (*path, "credentialName"), tls.credential_name
    elif config.group_kind in (GATEWAY, SIDECAR):
        field = "servers" if config.group_kind == GATEWAY else "ingress"
        for index, server in enumerate(getattr(config.spec, field)):
            for below, written in credential_names(server.tls):
                yield ("spec", field, index, *below), written
