"""A real Envoy takes clusters, endpoints, listeners and secrets over its stream, and new files by itself."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.echo.v3 import echo_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from mizzen import xds
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import ServerTLSSettings
from mizzen.demo.envoy_process import EnvoyProcess
from mizzen.testing.ports import free_port
from mizzen.translator.base.memo import Memo
from mizzen.translator.bootstrap import bootstrap_json
from mizzen.translator.clusters.static import static_clusters
from mizzen.translator.tls.downstream import inbound_transport_socket, server_transport_socket
from mizzen.translator.tls.secret_references import SecretNames, all_secrets, secret_references
from mizzen.translator.tls.secrets import secrets
from mizzen.xds import Resource
from tests.unit.translator.clusters.cluster_scenes import Scene, endpoint, secret_document, service
from tests.unit.translator.tls.certificates import certificate_pem, key_pem, make_key

NODE = {"id": "sidecar~127.0.0.1~a.default~default.svc.cluster.local"}

POLICIES = [
    {},
    {"tls": {"mode": "ISTIO_MUTUAL"}},
    {"tls": {"mode": "SIMPLE", "caCertificates": "{folder}/ca.crt"}},
    {"tls": {"mode": "SIMPLE", "insecureSkipVerify": True}, "proxyProtocol": {"version": "V2"}},
    {
        "loadBalancer": {"simple": "PASSTHROUGH"},
        "tls": {"mode": "SIMPLE", "caCertificates": "{folder}/ca.crt"},
    },
    {"outlierDetection": {}, "loadBalancer": {"consistentHash": {"useSourceIp": True}}},
]


def write_pair(folder: Path, host: str) -> None:
    """New files in place of old ones, renamed as careful people do."""
    key = make_key()
    for name, content in (("tls.crt", certificate_pem(key, host)), ("tls.key", key_pem(key))):
        fresh = folder.parent / f"{name}.new"
        fresh.write_bytes(content)
        fresh.replace(folder / name)


def outbound(folder: Path) -> list[Resource]:
    made: list[Resource] = []
    for resolution in ("STATIC", "NONE", "DNS", "DNS_ROUND_ROBIN"):
        for number, policy in enumerate(POLICIES):
            own = service(resolution, hostname=f"{resolution.lower()}-{number}.example", mesh_external=False)
            scene = Scene(own, [endpoint("127.0.0.1", tls_mode="istio")]).meshed("enableAutoMtls: true")
            scene = scene.ruled(json.dumps({"trafficPolicy": policy}).replace("{folder}", str(folder)))
            made += scene.resources()
            made += scene.raw_assignments()
    return made


def tls_listener(port: int, folder: Path) -> Resource:
    files = {"serverCertificate": f"{folder}/tls.crt", "privateKey": f"{folder}/tls.key"}
    settings = ServerTLSSettings.model_validate({"mode": "SIMPLE"} | files)
    message = listener_pb2.Listener(name="tls")
    message.address.socket_address.address, message.address.socket_address.port_value = "127.0.0.1", port
    chain = message.filter_chains.add(transport_socket=server_transport_socket(settings, MeshConfig()))
    chain.filters.add(name="envoy.filters.network.echo").typed_config.Pack(echo_pb2.Echo())
    return Resource.of(message)


def mesh_secrets(identity: str = "") -> list[Resource]:
    """What a certificate authority would give to the workload."""
    key = make_key()
    certificate = certificate_pem(key, identity=identity)
    pair = {"tls.crt": certificate, "tls.key": key_pem(key), "ca.crt": certificate}
    document = secret_document("own", pair)
    made = []
    own = frozenset(["kubernetes://own"])
    for asked, name in ((SecretNames(certificates=own), "default"), (SecretNames(roots=own), "ROOTCA")):
        (resource,), _ = secrets(asked, lambda _: document, Memo())
        message = secret_pb2.Secret.FromString(resource.value)
        message.name = name
        made.append(Resource.of(message))
    return made


async def shown_host(port: int) -> str:
    """The host in the certificate that the listener shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    names = x509.load_der_x509_certificate(shown).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value)


@asynccontextmanager
async def envoy_of(
    resources: list[Resource], folder: Path, *, delta: bool
) -> AsyncIterator[tuple[str, list[xds.Event]]]:
    """A control plane that serves `resources`, and an Envoy that is ready: its admin address, the events."""
    events: list[xds.Event] = []
    server = xds.Server(group_of=lambda _, __: "all", on_event=events.append)
    server.set_snapshot("all", xds.Snapshot.of(resources))
    port = await server.start("127.0.0.1:0")
    admin = f"127.0.0.1:{free_port()}"
    text = bootstrap_json(
        node=NODE, xds_address=f"127.0.0.1:{port}", admin_address=admin, delta=delta, stats="full"
    )
    try:
        envoy = await EnvoyProcess.start("envoy", text, admin=admin, directory=folder)
        try:
            async with httpx.AsyncClient(timeout=60) as client:
                await envoy.wait_ready(client, 60)
            yield admin, events
        finally:
            await envoy.stop()
    finally:
        await server.stop(0)


@pytest.mark.envoy
@pytest.mark.parametrize("delta", [True, False])
async def test_everything_is_taken_and_new_files_are_noticed(delta: bool, tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    write_pair(folder, "old.example")
    (folder / "ca.crt").write_bytes(certificate_pem(make_key()))
    port = free_port()
    scene = Scene()
    resources = [*static_clusters(scene.profile, scene.mesh), *outbound(folder), tls_listener(port, folder)]
    names = all_secrets(map(secret_references, resources))
    served, problems = secrets(names, lambda _: None, Memo())
    assert problems == ()

    async with envoy_of([*resources, *served, *mesh_secrets()], tmp_path, delta=delta) as (admin, events):
        assert [event for event in events if isinstance(event, xds.Rejected)] == []
        async with httpx.AsyncClient(timeout=60) as client:
            stats = (await client.get(f"http://{admin}/stats?format=json")).json()["stats"]
            found = {each["name"]: each.get("value") for each in stats if "name" in each}
            assert found["cluster_manager.warming_clusters"] == 0
            # Nothing was given up: each thing that was asked for has come.
            given_up = {name: count for name, count in found.items() if name.endswith(".init_fetch_timeout")}
            assert len(given_up) > len(POLICIES)
            assert set(given_up.values()) == {0}
            # Four resolutions and two static clusters, beside that of the control plane.
            assert found["cluster_manager.active_clusters"] == 4 * len(POLICIES) + 3
        assert await shown_host(port) == "old.example"

        write_pair(folder, "new.example")

        async with asyncio.timeout(60):
            while await shown_host(port) != "new.example":
                await asyncio.sleep(0.05)


def forwarder(port: int, cluster: str) -> Resource:
    message = listener_pb2.Listener(name=f"to {cluster}")
    message.address.socket_address.address, message.address.socket_address.port_value = "127.0.0.1", port
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix="x", cluster=cluster)
    message.filter_chains.add().filters.add(name="tcp").typed_config.Pack(proxy)
    return Resource.of(message)


def echo(port: int, *, mutual: bool) -> Resource:
    """A workload that says what it hears, behind mutual TLS or not."""
    message = listener_pb2.Listener(name=f"echo {port}")
    message.address.socket_address.address, message.address.socket_address.port_value = "127.0.0.1", port
    chain = message.filter_chains.add()
    if mutual:
        chain.transport_socket.CopyFrom(inbound_transport_socket(MeshConfig()))
    chain.filters.add(name="envoy.filters.network.echo").typed_config.Pack(echo_pb2.Echo())
    return Resource.of(message)


async def answer(port: int) -> bytes:
    """What comes back; nothing if the connection is refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"ahoy")
        async with asyncio.timeout(60):
            return await reader.read(4)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.envoy
async def test_mutual_tls_is_spoken_where_it_is_understood_and_proves_who_speaks(tmp_path: Path) -> None:
    workload, stranger = (
        "spiffe://cluster.local/ns/default/sa/a",
        "spiffe://cluster.local/ns/default/sa/b",
    )
    secure, plain_text = free_port(), free_port()
    cases = {
        # A cluster's host -> its endpoint: port, what it is said to speak, who it is said to be.
        "mutual.example": (secure, "istio", workload, b"ahoy"),
        "plain.example": (plain_text, "disabled", workload, b"ahoy"),
        "stranger.example": (secure, "istio", stranger, b""),
    }
    resources = [echo(secure, mutual=True), echo(plain_text, mutual=False), *mesh_secrets(workload)]
    ports = {}
    for host, (port, mode, identity, _) in cases.items():
        own = service(protocol="TCP", hostname=host)
        pool = [endpoint("127.0.0.1", port=port, tls_mode=mode, identity=identity)]
        scene = Scene(own, pool).meshed("enableAutoMtls: true")
        ports[host] = free_port()
        resources += [*scene.resources(), *scene.raw_assignments()]
        resources.append(forwarder(ports[host], f"outbound|80||{host}"))

    async with envoy_of(resources, tmp_path, delta=True):
        answers = {host: await answer(port) for host, port in ports.items()}

    assert answers == {host: expected for host, (*_, expected) in cases.items()}
