"""What proves who a peer is, and what proves nothing."""

from __future__ import annotations

import pytest

from mizzen import xds
from mizzen.mesh.proxy.node import Proxy
from mizzen.server.authentication import Authenticator
from mizzen.server.identity import IdentityError, check_identity

PROXY = Proxy.from_node(
    {"id": "sidecar~10.0.0.7~reviews-v1.shop~shop.svc.cluster.local", "metadata": {"NAMESPACE": "shop"}}
)


def test_a_certificate_that_cannot_be_read_is_refused_in_words() -> None:
    said: list[str] = []
    check = Authenticator({}, {}, lambda: "cluster.local", demands=True, refused=said.append)
    for certificate in (b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(xds.PeerUnauthenticated, match="cannot be read"):
            check.authenticate(xds.Peer(tls=True, certified=True, certificate=certificate))
    assert said == ["its certificate cannot be read"] * 3


@pytest.mark.parametrize(
    "uris", [(), ("",), ("https://shop",), ("spiffe://cluster.local/ns/other/sa/reviews",)]
)
def test_a_certificate_without_the_identity_is_not_as_good_as_none(uris: tuple[str, ...]) -> None:
    assert check_identity(PROXY, xds.Peer(), ["cluster.local"]) == ""
    with pytest.raises(IdentityError):
        check_identity(PROXY, xds.Peer(tls=True, certified=True, uris=uris), ["cluster.local"])
