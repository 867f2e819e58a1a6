"""Real Envoys, the installed and the oldest one, in every variant of the protocol that they speak."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2
from google.protobuf.json_format import ParseDict

from benchmarks.xds_envoy import Variant, running_envoy, socket_address
from benchmarks.xds_load import upstreams
from mizzen import xds
from mizzen.testing.ports import free_port
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from tests.authority import Authority, Certificate

pytestmark = pytest.mark.envoy

TYPES = {CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET}
SERVICES = {
    False: {"StreamClusters", "StreamEndpoints", "StreamListeners", "StreamRoutes", "StreamSecrets"},
    True: {"DeltaClusters", "DeltaEndpoints", "DeltaListeners", "DeltaRoutes", "DeltaSecrets"},
}


def cluster(name: str, variant: Variant) -> xds.Resource:
    body = {"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": variant.source}}
    return xds.Resource.of(ParseDict(body, cluster_pb2.Cluster()))


def endpoints(name: str, port: int) -> xds.Resource:
    hosts = [{"endpoint": {"address": socket_address(port)}}]
    body = {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}
    return xds.Resource.of(ParseDict(body, endpoint_pb2.ClusterLoadAssignment()))


def routes(to: str) -> xds.Resource:
    route = {"match": {"prefix": "/"}, "route": {"cluster": to}}
    hosts = [{"name": "all", "domains": ["*"], "routes": [route]}]
    return xds.Resource.of(ParseDict({"name": "r", "virtual_hosts": hosts}, route_pb2.RouteConfiguration()))


def listener(port: int, variant: Variant) -> xds.Resource:
    rds = {"route_config_name": "r", "config_source": variant.source}
    manager = ParseDict({"stat_prefix": "x", "rds": rds}, http_connection_manager_pb2.HttpConnectionManager())
    manager.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
    secret = {"name": "server", "sds_config": variant.source}
    context = ParseDict(
        {"common_tls_context": {"tls_certificate_sds_secret_configs": [secret]}},
        tls_pb2.DownstreamTlsContext(),
    )
    message = ParseDict({"name": "l", "address": socket_address(port)}, listener_pb2.Listener())
    chain = message.filter_chains.add()
    chain.filters.add(name="http").typed_config.Pack(manager)
    chain.transport_socket.name = "tls"
    chain.transport_socket.typed_config.Pack(context)
    return xds.Resource.of(message)


def secret(certificate: Certificate) -> xds.Resource:
    message = secret_pb2.Secret(name="server")
    message.tls_certificate.certificate_chain.inline_bytes = certificate.certificate
    message.tls_certificate.private_key.inline_bytes = certificate.key
    return xds.Resource.of(message)


async def eventually(question: Callable[[], Awaitable[object]], answer: object, seconds: float = 60) -> None:
    """Ask until the answer comes; connections may be refused meanwhile."""
    found: object = None
    try:
        async with asyncio.timeout(seconds):
            while found != answer:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    found = await question()
                if found != answer:
                    await asyncio.sleep(0.03)
    except TimeoutError:
        pytest.fail(f"{found!r} instead of {answer!r}")


@dataclass
class Scene:
    """A server, an Envoy, and two upstreams."""

    server: xds.Server
    variant: Variant
    port: int
    ports: dict[str, int]
    authority: Authority
    events: list[xds.Event] = field(default_factory=list)

    async def call(self) -> str:
        body, _ = await self._exchange()
        return body

    async def serial(self) -> int:
        _, serial = await self._exchange()
        return serial

    async def _exchange(self) -> tuple[str, int]:
        context = self.authority.client_context()
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname="server.test"
        )
        try:
            certificate = writer.get_extra_info("peercert")
            writer.write(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            body = (await reader.read()).decode().rpartition("\r\n\r\n")[2]
            return body, int(certificate["serialNumber"], 16)
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def refused(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except ConnectionRefusedError:
            return True
        writer.close()
        return False

    async def synced(self) -> bool:
        clients = self.server.clients()
        return {url for each in clients for url in each.types} == TYPES and all(c.synced for c in clients)


@pytest.fixture(params=[Variant(delta, each) for delta in (False, True) for each in (True, False)], ids=str)
async def scene(request, envoy: Path | None, tmp_path: Path) -> AsyncIterator[Scene]:
    variant: Variant = request.param
    authority = Authority()
    events: list[xds.Event] = []
    policy = xds.MakeBeforeBreak(grace=timedelta(seconds=0.2))
    server = xds.Server(lambda node, peer: "all", on_event=events.append, policy=policy)
    port = free_port()
    async with upstreams("one", "two") as found:
        ports = {name: numbers[0] for name, numbers in found.items()}
        start = [
            cluster("a", variant),
            endpoints("a", ports["one"]),
            routes("a"),
            listener(port, variant),
            secret(authority.issue("server.test")),
        ]
        server.set_snapshot("all", xds.Snapshot.of(start))
        xds_port = await server.start("127.0.0.1:0")
        try:
            async with running_envoy(variant, xds_port, tmp_path, binary=envoy):
                yield Scene(server, variant, port, ports, authority, events)
        finally:
            await server.stop(0)


async def test_every_type_is_taken_and_followed(scene: Scene) -> None:
    server, ports, variant = scene.server, scene.ports, scene.variant
    await eventually(scene.call, "one")
    await eventually(scene.synced, True)
    methods = {client.method.rpartition("/")[2] for client in server.clients()}
    if variant.aggregated:
        assert methods == {"DeltaAggregatedResources" if variant.delta else "StreamAggregatedResources"}
    else:
        assert methods == SERVICES[variant.delta]
    server.update("all", [endpoints("a", ports["two"])])
    await eventually(scene.call, "two")
    server.update("all", [cluster("b", variant), endpoints("b", ports["one"])])
    server.update("all", [routes("b")], [(CLUSTER, "a"), (ENDPOINT, "a")])
    await eventually(scene.call, "one")
    renewed = scene.authority.issue("server.test")
    server.update("all", [secret(renewed)])
    await eventually(scene.serial, renewed.serial)
    await eventually(scene.synced, True)
    assert [event for event in scene.events if isinstance(event, xds.Rejected)] == []
    server.update("all", (), [(LISTENER, "l")])
    await eventually(scene.refused, True)
