"""Adds a proxy's certificate to its translated snapshot.

A renewal changes the secrets of the proxies that have the certificate; nothing else is translated or sent.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final
from weakref import WeakKeyDictionary

from mizzen import xds
from mizzen.identity.spiffe_id import SpiffeId, SpiffeIdError
from mizzen.mesh.proxy.node import Proxy
from mizzen.server.workload_certificates import WorkloadCertificates

_SECRET: Final = xds.type_urls.SECRET

_Certified = dict[SpiffeId | None, xds.Snapshot]
_Overlaid = dict[SpiffeId | None, tuple[tuple[xds.Resource, ...], xds.Collection]]


def identity_of(proxy: Proxy, trust_domain: str) -> SpiffeId | None:
    """Return the identity for a proxy's certificate. None if the identity is not proved or not valid, or if
    the proxy has an agent, whose certificate is signed for a key of its own."""
    if proxy.is_unproven or proxy.metadata.agent:
        return None
    try:
        return SpiffeId(trust_domain, proxy.namespace, proxy.account)
    except SpiffeIdError:
        return None


def certificate_warning(proxy: Proxy, trust_domain: str) -> str:
    """Return why a proxy gets no certificate; empty if it gets one, or has an agent for that."""
    if proxy.metadata.agent:
        return ""
    if proxy.is_unproven:
        return (
            "it is given no workload certificate, as nothing proves who it is, and mutual TLS fails at it; "
            "let it connect to --tls-address with a token or a certificate, or start the server with "
            "--secrets-to-anyone"
        )
    if identity_of(proxy, trust_domain) is None:
        return (
            f"it is given no workload certificate: its namespace {proxy.namespace!r} and service account "
            f"{proxy.service_account!r} make no identity; write names into its node's metadata"
        )
    return ""


class ProxyCertificates:
    """Adds certificates and roots to snapshots. Used in the worker, except `lacks`, which the loop calls."""

    def __init__(self, certificates: WorkloadCertificates) -> None:
        self.certificates = certificates
        self._overlaid: WeakKeyDictionary[xds.Collection, _Overlaid] = WeakKeyDictionary()
        self._certified: WeakKeyDictionary[xds.Snapshot, _Certified] = WeakKeyDictionary()

    def over(self, proxy: Proxy, trust_domain: str, translated: xds.Snapshot) -> xds.Snapshot:
        """Return the snapshot with the proxy's certificate (issued if there is none) and the roots.
        Snapshots and collections that are equal for several proxies, or unchanged, are the same object."""
        identity = identity_of(proxy, trust_domain)
        secret = self.certificates.secret_of(identity) if identity is not None else None
        roots = self.certificates.roots
        own = (roots,) if secret is None else (roots, secret)
        base = translated.collection(_SECRET)
        known = self._overlaid.setdefault(base, {})
        found = known.get(identity)
        if found is None:
            found = known[identity] = (own, base.updated(own, ()))
        elif found[0] != own:
            found = known[identity] = (own, found[1].updated(own, ()))
        secrets, certified = found[1], self._certified.setdefault(translated, {})
        given = certified.get(identity)
        if given is None or given.collection(_SECRET) is not secrets:
            given = certified[identity] = translated.with_collection(secrets)
        return given

    def lacks(self, proxy: Proxy, trust_domain: str, given: xds.Snapshot) -> bool:
        """Return True if there is a newer certificate or newer roots than in this snapshot of the proxy."""
        secrets = given.collection(_SECRET)
        roots = self.certificates.roots
        if secrets.get(roots.name) is not roots:
            return True
        identity = identity_of(proxy, trust_domain)
        current = self.certificates.current(identity) if identity is not None else None
        return current is not None and secrets.get(current.name) is not current

    def renew(self, used: Collection[SpiffeId]) -> bool:
        """Renew due certificates of the identities in use, and forget the collections of all others.

        Return True if more are due."""
        caches: list[dict[SpiffeId | None, Any]] = [*self._overlaid.values(), *self._certified.values()]
        for known in caches:
            for identity in [each for each in known if each is not None and each not in used]:
                del known[identity]
        return self.certificates.renew(used)
