"""Checks that a node's identity is proved, and whether it may have private keys (docs/decisions/0047)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mizzen import xds
from mizzen.identity.spiffe_id import SpiffeId, SpiffeIdError
from mizzen.mesh.proxy.node import Proxy


class IdentityError(Exception):
    """A certificate or token is not for the node; the text says for whom it is, and what would be right."""


def check_identity(proxy: Proxy, peer: xds.Peer, trust_domains: Sequence[str]) -> str:
    """Compare a node with the identity that its Envoy proved, by a certificate or a token, if it did.

    The namespace must be that of the SPIFFE ID, and so must the service account if the node names one
    (Istio: pilot/pkg/xds/ads.go, PILOT_ENABLE_XDS_IDENTITY_CHECK). The trust domain must be one of the mesh
    (`MeshConfig.spiffe_trust_domains`).

    Returns the proved service account; empty without a certificate or token.

    Raises IdentityError if node and identity differ, or if the certificate has no SPIFFE ID.
    """
    if not peer.certified and not peer.identity:
        return ""
    uris = peer.uris if peer.certified else (peer.identity,)
    for uri in uris:
        try:
            identity = SpiffeId.parse(uri)
        except SpiffeIdError:
            continue
        if (
            identity.trust_domain in trust_domains
            and identity.namespace == proxy.namespace
            and proxy.service_account in ("", identity.service_account)
        ):
            return identity.service_account
    account = proxy.service_account or "SERVICE_ACCOUNT"
    wanted = f"spiffe://{trust_domains[0]}/ns/{proxy.namespace}/sa/{account}"
    if not peer.certified:
        raise IdentityError(
            f"{proxy.id} of namespace {proxy.namespace!r} must show a token for {wanted}; the one that it "
            f"shows is for {peer.identity}"
        )
    shown = ", ".join(peer.uris) or "none"
    raise IdentityError(
        f"{proxy.id} of namespace {proxy.namespace!r} must show a certificate for {wanted}; the SPIFFE ID of "
        f"the one that it shows is: {shown}"
    )


def with_proof(proxy: Proxy, account: str, *, anyone: bool) -> Proxy:
    """Return the proxy with its proved service `account`, so that it gets a certificate for this account
    alone. Without a proof, mark the proxy, so that it gets no Secret.

    `anyone`: every client that reaches this server may have Secrets, because only this machine can reach it,
    or because the user chose so.
    """
    if account:
        return replace(proxy, service_account=account)
    return proxy if anyone else replace(proxy, is_unproven=True)
