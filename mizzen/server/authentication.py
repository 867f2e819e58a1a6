"""Authenticates the peer of a stream, by a token or by a certificate of the mesh's authority.

Tokens count on encrypted connections only; in plain text they are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import jwt
from cryptography import x509

from mizzen import xds
from mizzen.identity.spiffe_id import SpiffeId, SpiffeIdError
from mizzen.identity.token import TokenError, TokenVerifier
from mizzen.server.token_issuers import IssuerKeys

_SCHEME: Final = "bearer "


class Authenticator:
    """Checks the credentials of a stream.

    Args:
        own_keys: the control plane's own issuer and its keys; empty without a state directory.
        issuers: the keys of further issuers.
        trust_domain: returns the trust domain for the identities of tokens.
        demands: refuse an encrypted connection without credentials.
        refused: is called with the reason when a stream is refused.
    """

    def __init__(
        self,
        own_keys: Mapping[str, Sequence[jwt.PyJWK]],
        issuers: Mapping[str, IssuerKeys],
        trust_domain: Callable[[], str],
        *,
        demands: bool,
        refused: Callable[[str], None] = lambda reason: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._own_keys = dict(own_keys)
        self._issuers = dict(issuers)
        self._tokens = TokenVerifier(self._keys_of)
        self._trust_domain = trust_domain
        self._demands = demands
        self._refused = refused
        self._clock = clock

    def authenticate(self, peer: xds.Peer) -> xds.Peer:
        """Return the peer with its identity and the time when that expires.

        Raises xds.PeerUnauthenticated if its token is not accepted, or if it has no credentials although they
        are demanded.
        """
        if not peer.tls:
            return peer
        if peer.certified:
            try:
                end = x509.load_pem_x509_certificate(peer.certificate).not_valid_after_utc
            except (ValueError, x509.InvalidVersion):  # TLS accepted it, but `cryptography` is stricter
                raise self._refusal("its certificate cannot be read") from None
            uri = peer.uris[0] if len(peer.uris) == 1 else ""
            return replace(peer, identity=uri, until=end.timestamp())
        if peer.authorization:
            return self._by_token(peer)
        if self._demands:
            raise self._refusal("it shows neither a token nor a certificate")
        return peer

    def _by_token(self, peer: xds.Peer) -> xds.Peer:
        scheme, token = peer.authorization[: len(_SCHEME)], peer.authorization[len(_SCHEME) :]
        if scheme.lower() != _SCHEME:
            raise self._refusal("its authorization header is not a bearer token")
        try:
            found = self._tokens.verify(token.strip(), self._clock())
            identity = SpiffeId(self._trust_domain(), found.namespace, found.service_account)
        except (TokenError, SpiffeIdError) as error:
            raise self._refusal(str(error)) from None
        return replace(peer, identity=str(identity), claims=found.claims, until=found.expires.timestamp())

    def _keys_of(self, issuer: str) -> Sequence[jwt.PyJWK] | None:
        if issuer in self._own_keys:
            return self._own_keys[issuer]
        found = self._issuers.get(issuer)
        return found() if found is not None else None

    def _refusal(self, reason: str) -> xds.PeerUnauthenticated:
        self._refused(reason)
        return xds.PeerUnauthenticated(reason)
