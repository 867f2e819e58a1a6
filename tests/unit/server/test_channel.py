"""Who may talk to the control plane over TLS, and as whom."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2
from structlog.testing import capture_logs

from mizzen import xds
from mizzen.identity import SpiffeId, create_authority, issue, open_authority
from mizzen.identity.token import issue_token, open_or_create_key
from mizzen.server.address import Address
from mizzen.signing import (
    CREATE_CERTIFICATE,
    CREATE_TOKEN,
    SERVICE,
    TOKEN_SERVICE,
    CertificateRequest,
    CertificateResponse,
)
from tests.unit.server.running_process import FREE, SOTW, Running, options, served

CSDS = "envoy.service.status.v3.ClientStatusDiscoveryService"
NODE_ID = "sidecar~10.0.0.7~reviews-v1.shop~shop.svc.cluster.local"


class Channel:
    """A server with an authority of its own, and clients of it."""

    def __init__(self, running: Running, state: Path) -> None:
        self.running = running
        self.state = state
        addresses = running.process.about()["grpc_addresses"]
        self.plain, self.tls, self.mutual = addresses

    @property
    def roots(self) -> bytes:
        return (self.state / "ca" / "root-cert.pem").read_bytes()

    def token(self, namespace: str = "shop", account: str = "reviews", *, age: float = 0) -> str:
        begin = datetime.now(UTC) - timedelta(seconds=age)
        return issue_token(open_or_create_key(self.state), namespace, account, begin, timedelta(hours=1))

    def token_for(self, audience: str) -> str:
        """A good token but for its audience."""
        claims = jwt.decode(self.token(), options={"verify_signature": False})
        return jwt.encode({**claims, "aud": [audience]}, open_or_create_key(self.state), algorithm="ES256")

    def connect(self, identity: SpiffeId | None = None, authority: Any = None) -> grpc.aio.Channel:
        """A connection to the port for certificates with one of `identity`; else to that for tokens."""
        if identity is None:
            return grpc.aio.secure_channel(self.tls, grpc.ssl_channel_credentials(self.roots))
        issuer = (authority or open_authority(self.state / "ca", datetime.now(UTC))).issuer
        shown = issue(issuer, identity, datetime.now(UTC))
        credentials = grpc.ssl_channel_credentials(self.roots, shown.private_key, shown.certificate_chain)
        return grpc.aio.secure_channel(self.mutual, credentials)


@contextlib.asynccontextmanager
async def channel(
    tmp_path: Path, prepare: Callable[[Path], None] = lambda folder: None, **changes: Any
) -> AsyncIterator[Channel]:
    mesh = tmp_path / "mesh"
    mesh.mkdir()
    prepare(mesh)
    state = tmp_path / "state"
    chosen = options(mesh, state=state, own_tls=True, start_anyway=True, **changes)
    async with served(replace(chosen, mutual_tls_address=FREE)) as running:
        yield Channel(running, state)


async def ask(
    connection: grpc.aio.Channel, token: str = "", *, account: str = "", names: tuple[str, ...] = ("default",)
) -> discovery_pb2.DiscoveryResponse:
    """What a proxy of namespace shop is answered when it asks for its certificate."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with connection:
        call = connection.stream_stream(SOTW)(metadata=metadata)
        request = discovery_pb2.DiscoveryRequest(type_url=xds.type_urls.SECRET, resource_names=names)
        request.node.id = NODE_ID
        request.node.metadata.update({"NAMESPACE": "shop", "SERVICE_ACCOUNT": account})
        await call.write(request.SerializeToString())
        data = await asyncio.wait_for(call.read(), 30)
        if data is grpc.aio.EOF:
            raise RuntimeError((await call.code()).name, await call.details())
        return discovery_pb2.DiscoveryResponse.FromString(data)


async def refused(*arguments: Any, **more: Any) -> tuple[str, str]:
    try:
        await ask(*arguments, **more)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    except RuntimeError as error:
        return error.args
    raise AssertionError("it was let in")


async def turned_away(connection: grpc.aio.Channel, token: str = "") -> tuple[str, str]:
    """The code and text for whoever is refused before a word is said.

    It says none, since gRPC's client calls a write on a stream that has just ended an internal error.
    """
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with connection:
        call = connection.stream_stream(SOTW)(metadata=metadata)
        return (await asyncio.wait_for(call.code(), 30)).name, await call.details()


def identities(response: discovery_pb2.DiscoveryResponse) -> list[str]:
    """The identities of the certificates in a response."""
    from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

    found = []
    for each in response.resources:
        secret = secret_pb2.Secret()
        each.Unpack(secret)
        found += names_of(secret.tls_certificate.certificate_chain.inline_bytes)
    return found


def names_of(pem: bytes) -> list[str]:
    leaf = x509.load_pem_x509_certificates(pem)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


async def test_a_token_lets_its_owner_in_and_gives_it_its_own_certificate(tmp_path: Path) -> None:
    async with channel(tmp_path) as control:
        for account in ("reviews", ""):
            sent = await ask(control.connect(), control.token(), account=account)
            assert identities(sent) == ["spiffe://cluster.local/ns/shop/sa/reviews"]


async def test_what_is_no_good_token_is_refused_and_said_without_it(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with channel(tmp_path) as control:
            tokens = {
                "expired": control.token(age=7200),
                "no JWT": "nonsense-that-is-none",
                "not for the audience": control.token_for("somebody-else"),
                "neither a token": "",
            }
            for said, token in tokens.items():
                code, details = await turned_away(control.connect(), token)
                assert (code, said in details) == ("UNAUTHENTICATED", True), details
            status = (await control.running.get("/status")).text
            metrics = (await control.running.get("/metrics")).text
            assert "mizzen_unauthenticated_total 4.0" in metrics
            for said, token in tokens.items():
                assert said in status
                assert not token or token not in f"{status}{metrics}{lines}"


async def test_anothers_identity_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with channel(tmp_path) as control:
        code, details = await refused(control.connect(), control.token("other"))
        assert (code, "shows is for spiffe://cluster.local/ns/other/sa/reviews" in details) == (
            "PERMISSION_DENIED",
            True,
        ), details
        code, _ = await refused(control.connect(), control.token(), account="admin")
        assert code == "PERMISSION_DENIED"
        other = SpiffeId("cluster.local", "other", "reviews")
        assert (await refused(control.connect(other)))[0] == "PERMISSION_DENIED"
        strange = SpiffeId("elsewhere.example", "shop", "reviews")
        assert (await refused(control.connect(strange)))[0] == "PERMISSION_DENIED"
        assert "elsewhere.example" in (await control.running.get("/status")).text
        metrics = (await control.running.get("/metrics")).text
        assert "mizzen_identities_refused_total 4.0" in metrics
    logged = [line.getMessage() for line in caplog.records if line.name == "mizzen.xds"]
    assert sum("must show" in line for line in logged) == 4, logged


async def test_a_certificate_lets_its_owner_in(tmp_path: Path) -> None:
    async with channel(tmp_path) as control:
        identity = SpiffeId("cluster.local", "shop", "reviews")
        assert identities(await ask(control.connect(identity))) == [str(identity)]
        stranger = create_authority(tmp_path / "stranger", datetime.now(UTC))
        assert (await turned_away(control.connect(identity, stranger)))[0] == "UNAVAILABLE"


async def test_a_stream_ends_when_its_token_expires(tmp_path: Path) -> None:
    async with channel(tmp_path) as control, control.connect() as connection:
        token = control.token(age=3598)
        call = connection.stream_stream(SOTW)(metadata=(("authorization", f"Bearer {token}"),))
        request = discovery_pb2.DiscoveryRequest(type_url=xds.type_urls.CLUSTER)
        request.node.id = NODE_ID
        request.node.metadata.update({"NAMESPACE": "shop"})
        await call.write(request.SerializeToString())
        assert await asyncio.wait_for(call.read(), 30) is not grpc.aio.EOF
        assert await asyncio.wait_for(call.code(), 30) == grpc.StatusCode.UNAUTHENTICATED
        assert "expired" in await call.details()
        await control.running.until(lambda: not control.running.process.discovery.clients())


async def test_the_servers_certificate_is_renewed_with_the_authority(tmp_path: Path) -> None:
    address = Address("127.0.0.9", 0)
    async with channel(tmp_path, tls_names=("mizzen.example",), tls_address=address) as control:
        host, _, port = control.tls.rpartition(":")
        before = ssl.get_server_certificate((host, int(port)))
        again = ssl.get_server_certificate((host, int(port)))
        assert before == again
        names = x509.load_pem_x509_certificate(before.encode()).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        assert {"localhost", "mizzen.example"} <= set(names.value.get_values_for_type(x509.DNSName))
        assert ip_address(host) in names.value.get_values_for_type(x509.IPAddress)
        held = control.running.process._authority
        assert held is not None
        held.certificates._authority = replace(held.certificates.authority)
        assert ssl.get_server_certificate((host, int(port))) != before


def csr(key: Any, uri: str = "spiffe://cluster.local/ns/kube-system/sa/admin") -> str:
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


async def create(
    connection: grpc.aio.Channel, text: str, token: str = "", seconds: int = 0
) -> tuple[str, list[str]]:
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with connection:
        call = connection.unary_unary(
            f"/{SERVICE}/{CREATE_CERTIFICATE}",
            CertificateRequest.SerializeToString,
            CertificateResponse.FromString,
        )
        try:
            made = await call(
                CertificateRequest(csr=text, validity_duration=seconds), metadata=metadata, timeout=30
            )
        except grpc.aio.AioRpcError as error:
            return error.code().name, [error.details() or ""]
        return "OK", list(made.cert_chain)


async def test_certificates_are_signed_for_the_caller_and_nobody_else(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    async with channel(tmp_path) as control:
        code, chain = await create(control.connect(), csr(key), control.token())
        assert code == "OK"
        assert names_of(chain[0].encode()) == ["spiffe://cluster.local/ns/shop/sa/reviews"]
        assert chain[-1].encode() == control.roots
        leaf = x509.load_pem_x509_certificate(chain[0].encode())
        assert leaf.public_key() == key.public_key()
        assert leaf.subject == x509.Name([])
        identity = SpiffeId("cluster.local", "shop", "other")
        code, chain = await create(control.connect(identity), csr(key), seconds=60)
        assert names_of(chain[0].encode()) == [str(identity)]
        leaf = x509.load_pem_x509_certificate(chain[0].encode())
        assert leaf.not_valid_after_utc <= datetime.now(UTC) + timedelta(seconds=61)
        code, chain = await create(control.connect(), csr(key), control.token(), 10**18)
        leaf = x509.load_pem_x509_certificate(chain[0].encode())
        assert leaf.not_valid_after_utc <= datetime.now(UTC) + timedelta(hours=24, seconds=1)


async def test_who_has_a_certificate_of_an_alias_is_given_one_of_the_mesh(tmp_path: Path) -> None:
    """Else an agent, which renews by its certificate, would stay in the domain that the mesh had before."""
    settings = tmp_path / "mesh-config.yaml"
    settings.write_text("trustDomain: new.example\ntrustDomainAliases: [old.example]\n")
    async with channel(tmp_path, mesh_config=settings) as control:
        former = SpiffeId("old.example", "shop", "reviews")
        code, chain = await create(control.connect(former), csr(ec.generate_private_key(ec.SECP256R1())))
        assert code == "OK", chain
        assert names_of(chain[0].encode()) == ["spiffe://new.example/ns/shop/sa/reviews"]


async def test_no_certificate_for_whoever_proves_nothing(tmp_path: Path) -> None:
    text = csr(ec.generate_private_key(ec.SECP256R1()))
    async with channel(tmp_path) as control:
        assert (await create(control.connect(), text))[0] == "UNAUTHENTICATED"
        assert (await create(control.connect(), text, control.token(age=7200)))[0] == "UNAUTHENTICATED"
        plain = grpc.aio.insecure_channel(control.plain)
        assert (await create(plain, text, control.token()))[0] == "UNAUTHENTICATED"
        strange = SpiffeId("elsewhere.example", "shop", "reviews")
        assert (await create(control.connect(strange), text))[0] == "PERMISSION_DENIED"
        assert "mizzen_signings_refused_total 4.0" in (await control.running.get("/metrics")).text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "PEM"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "PEM"),
        ("x" * 20000, "16384"),
        (csr(ec.generate_private_key(ec.SECP192R1())), "Envoy"),
        (csr(rsa.generate_private_key(65537, 1024)), "Envoy"),
        (
            csr(ec.generate_private_key(ec.SECP256R1()), "spiffe://cluster.local/ns/a/sa/tampered"),
            "signature",
        ),
    ],
    ids=["empty", "garbage", "huge", "weak-curve", "weak-rsa", "tampered"],
)
async def test_hostile_requests(tmp_path: Path, text: str, said: str) -> None:
    if said == "signature":
        der = x509.load_pem_x509_csr(text.encode()).public_bytes(Encoding.DER)
        text = ssl.DER_cert_to_PEM_cert(der.replace(b"tampered", b"temperad")).replace(
            "CERTIFICATE", "CERTIFICATE REQUEST"
        )
    async with channel(tmp_path) as control:
        code, (details,) = await create(control.connect(), text, control.token())
        assert (code, said in details) == ("INVALID_ARGUMENT", True), details


async def test_plain_text_on_loopback_is_as_before(tmp_path: Path) -> None:
    async with channel(tmp_path) as control:
        plain = grpc.aio.insecure_channel(control.plain)
        sent = await ask(plain, account="reviews")
        assert identities(sent) == ["spiffe://cluster.local/ns/shop/sa/reviews"]


async def status_of_clients(connection: grpc.aio.Channel, token: str = "") -> tuple[str, list[str]]:
    """The node ids of the clients that one is told of who asks for their status."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    request = csds_pb2.ClientStatusRequest().SerializeToString()
    async with connection:
        single = connection.unary_unary(f"/{CSDS}/FetchClientStatus")(request, metadata=metadata, timeout=30)
        streaming = connection.stream_stream(f"/{CSDS}/StreamClientStatus")(metadata=metadata)
        code = (await single.code()).name
        if code != "OK":
            assert (await asyncio.wait_for(streaming.code(), 30)).name == code
            return code, []
        streaming.cancel()
        told = csds_pb2.ClientStatusResponse.FromString(await single)
        return code, [each.node.id for each in told.config]


async def test_what_proxies_hold_is_told_on_this_machine_alone(tmp_path: Path) -> None:
    async with channel(tmp_path) as control, control.connect() as connection:
        call = connection.stream_stream(SOTW)(metadata=(("authorization", f"Bearer {control.token()}"),))
        request = discovery_pb2.DiscoveryRequest(type_url=xds.type_urls.CLUSTER)
        request.node.id = NODE_ID
        request.node.metadata.update({"NAMESPACE": "shop"})
        await call.write(request.SerializeToString())
        assert await asyncio.wait_for(call.read(), 30) is not grpc.aio.EOF
        stranger = await status_of_clients(control.connect())
        assert stranger == ("UNAUTHENTICATED", [])
        assert await status_of_clients(control.connect(), "nonsense") == ("UNAUTHENTICATED", [])
        own = SpiffeId("cluster.local", "shop", "reviews")
        for connected, token in ((control.connect(), control.token()), (control.connect(own), "")):
            assert await status_of_clients(connected, token) == ("PERMISSION_DENIED", [])
        plain = grpc.aio.insecure_channel(control.plain)
        assert await status_of_clients(plain) == ("OK", [NODE_ID])


async def test_on_a_plain_address_for_everybody_no_proxy_is_told_of_others(tmp_path: Path) -> None:
    async with channel(tmp_path, grpc_address=Address("0.0.0.0", 0)) as control:
        plain = grpc.aio.insecure_channel(control.plain)
        assert await status_of_clients(plain) == ("PERMISSION_DENIED", [])


@pytest.mark.parametrize("method", [f"{SERVICE}/{CREATE_CERTIFICATE}", f"{TOKEN_SERVICE}/{CREATE_TOKEN}"])
async def test_nothing_is_read_of_a_caller_who_proves_nothing(tmp_path: Path, method: str) -> None:
    """Else strangers could let the server hold many large requests at a time."""
    with capture_logs() as lines:
        async with channel(tmp_path) as control, control.connect() as connection:
            # No request is ever sent: the refusal does not wait for one.
            for _ in range(100):
                call = connection.stream_unary(f"/{method}")()
                assert (await asyncio.wait_for(call.code(), 30)).name == "UNAUTHENTICATED"
            assert "mizzen_signings_refused_total 100.0" in (await control.running.get("/metrics")).text
    assert sum("refused" in str(line) for line in lines) <= 20


async def test_what_is_no_request_for_a_certificate_is_refused_in_words(tmp_path: Path) -> None:
    async with channel(tmp_path) as control, control.connect() as connection:
        metadata = (("authorization", f"Bearer {control.token()}"),)
        for data, said in ((b"x" * 100_000, "65536 are the most"), (b"\xff", "cannot be decoded")):
            call = connection.unary_unary(f"/{SERVICE}/{CREATE_CERTIFICATE}")(data, metadata=metadata)
            assert (await asyncio.wait_for(call.code(), 30)).name == "INVALID_ARGUMENT"
            assert said in await call.details()
