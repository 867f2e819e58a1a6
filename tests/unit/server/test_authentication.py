"""What proves who a peer is, and what proves nothing."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from mizzen import xds
from mizzen.identity import SpiffeId, issue
from mizzen.identity.authority import new_root
from mizzen.identity.token import issue_token, own_keys
from mizzen.mesh.proxy.node import Proxy
from mizzen.server.authentication import Authenticator
from mizzen.server.identity import IdentityError, check_identity

NOW = datetime(2030, 1, 1, tzinfo=UTC)
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


def test_a_token_tells_the_peer_who_it_is_what_it_claims_and_until_when() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    check = Authenticator(own_keys(key), {}, lambda: "new.example", demands=True, clock=lambda: NOW)
    token = issue_token(key, "shop", "reviews", NOW, timedelta(hours=1))
    shown = xds.Peer("ipv4:10.0.0.7:4711", tls=True, authorization=f"Bearer {token}")
    found = check.authenticate(shown)
    assert found.identity == "spiffe://new.example/ns/shop/sa/reviews"
    assert found.until == (NOW + timedelta(hours=1)).timestamp()
    assert (found.address, found.claims["aud"]) == (shown.address, ["istio-ca"])
    assert token not in repr(found)
    # In plain text anybody may have read it, so it says nothing.
    assert check.authenticate(replace(shown, tls=False)).identity == ""


LEAF = issue(new_root(NOW), SpiffeId("cluster.local", "shop", "reviews"), NOW).certificate_chain
DER = x509.load_pem_x509_certificate(LEAF).public_bytes(Encoding.DER)


@given(changes=st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), max_size=4))
def test_a_certificate_that_was_touched_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    """TLS takes some that are wrong in places; none of them is a fault of the server."""
    touched = bytearray(DER)
    for place, byte in changes:
        touched[place] = byte
    check = Authenticator({}, {}, lambda: "cluster.local", demands=True)
    shown = ssl.DER_cert_to_PEM_cert(bytes(touched)).encode()
    with contextlib.suppress(xds.PeerUnauthenticated):
        found = check.authenticate(xds.Peer(tls=True, certified=True, certificate=shown))
        assert found.identity == ""
        assert found.until is not None


def test_a_certificate_of_two_names_is_nobodys() -> None:
    check = Authenticator({}, {}, lambda: "cluster.local", demands=True)
    names = tuple(f"spiffe://cluster.local/ns/shop/sa/{account}" for account in ("reviews", "admin"))
    for uris, identity in ((names[:1], names[0]), (names, ""), ((), "")):
        shown = xds.Peer(tls=True, certified=True, certificate=LEAF, uris=uris)
        assert check.authenticate(shown).identity == identity


@given(uris=st.lists(st.text(max_size=40) | st.just("spiffe://cluster.local/ns/other/sa/a"), max_size=3))
def test_no_names_of_a_certificate_are_taken_for_the_identity(uris: list[str]) -> None:
    with pytest.raises(IdentityError):
        check_identity(PROXY, xds.Peer(tls=True, certified=True, uris=tuple(uris)), ["cluster.local"])
