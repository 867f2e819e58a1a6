"""Adds a proxy's certificate to its translated snapshot.

A renewal changes the secrets of the proxies that have the certificate; nothing else is translated or sent.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from weakref import WeakKeyDictionary

from mizzen import xds
from mizzen.identity.spiffe_id import SpiffeId, SpiffeIdError
from mizzen.mesh.proxy.node import Proxy
from mizzen.server.workload_certificates import WorkloadCertificates

_SECRET: Final = xds.type_urls.SECRET

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

    def over(self, proxy: Proxy, trust_domain: str, translated: xds.Snapshot) -> xds.Snapshot:
        """Return the snapshot with the proxy's certificate (issued if there is none) and the roots.
        Collections that are equal for several proxies, or unchanged, are the same object."""
        identity = identity_of(proxy, trust_domain)
        secret = self.certificates.secret_of(identity) if identity is not None else None
        own = (self.certificates.roots, *((secret,) if secret is not None else ()))
        base = translated.collection(_SECRET)
        known = self._overlaid.setdefault(base, {})
        found = known.get(identity)
        if found is None:
            found = known[identity] = (own, base.updated(own, ()))
        elif any(now is not was for now, was in zip(own, found[0], strict=False)) or len(own) != len(
            found[0]
        ):
            found = known[identity] = (own, found[1].updated(own, ()))
        collections = {each: translated.collection(each) for each in xds.type_urls.PUSH_ORDER}
        return xds.Snapshot({**collections, _SECRET: found[1]})

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
        for known in self._overlaid.values():
            for identity in [each for each in known if each is not None and each not in used]:
                del known[identity]
        return self.certificates.renew(used)
