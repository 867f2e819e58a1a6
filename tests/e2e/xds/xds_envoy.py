"""A real Envoy that gets everything from an xDS server, and what to give it."""

import asyncio
import json
import subprocess
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import envoy
import httpx
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf.json_format import ParseDict

from mizzen import xds
from mizzen.testing.ports import free_port

BINARY = next(
    Path(folder, "_bin", "envoy") for folder in envoy.__path__ if Path(folder, "_bin", "envoy").exists()
)
ADS = {"ads": {}, "resource_api_version": "V3"}
DEADLINE = 60.0
"""For what hangs: nothing that works takes so long, on the busiest machine."""


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(name: str, *, connect_timeout: str = "1s", **fields: Any) -> xds.Resource:
    eds = {"eds_config": ADS | {"initial_fetch_timeout": "600s"}}
    body = {"name": name, "type": "EDS", "connect_timeout": connect_timeout, "eds_cluster_config": eds}
    return xds.Resource.of(ParseDict(body | fields, cluster_pb2.Cluster()))


def endpoints(name: str, port: int) -> xds.Resource:
    hosts = [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]
    return xds.Resource.of(
        ParseDict({"cluster_name": name, "endpoints": hosts}, endpoint_pb2.ClusterLoadAssignment())
    )


def routes(name: str, to: str) -> xds.Resource:
    hosts = [
        {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": to}}]}
    ]
    return xds.Resource.of(ParseDict({"name": name, "virtual_hosts": hosts}, route_pb2.RouteConfiguration()))


def listener(name: str, port: int, route: str, *, stat_prefix: str = "x") -> xds.Resource:
    manager = {
        "stat_prefix": stat_prefix,
        "rds": {"route_config_name": route, "config_source": ADS},
    }
    message = ParseDict({"name": name, "address": address(port)}, listener_pb2.Listener())
    filters = message.filter_chains.add().filters.add(name="http")
    http = ParseDict(manager, http_connection_manager_pb2.HttpConnectionManager())
    http.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
    filters.typed_config.Pack(http)
    return xds.Resource.of(message)


def bootstrap(xds_port: int, admin: int, *, delta: bool) -> dict[str, Any]:
    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    hosts = [{"lb_endpoints": [{"endpoint": {"address": address(xds_port)}}]}]
    server = {
        "name": "xds",
        "type": "STATIC",
        "typed_extension_protocol_options": http2,
        "load_assignment": {"cluster_name": "xds", "endpoints": hosts},
    }
    ads = {
        "api_type": "DELTA_GRPC" if delta else "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
    }
    return {
        "node": {"id": "envoy-1", "cluster": "test"},
        "admin": {"address": address(admin)},
        "dynamic_resources": {"ads_config": ads, "cds_config": ADS, "lds_config": ADS},
        "static_resources": {"clusters": [server]},
    }


class Lab:
    """An xDS server, one Envoy, and upstreams that answer with their name."""

    def __init__(self, server: xds.Server, events: list[xds.Event], port: int, admin: int) -> None:
        self.server = server
        self.events = events
        self.port = port
        self.http = httpx.AsyncClient(timeout=DEADLINE, trust_env=False)
        self.admin = f"http://127.0.0.1:{admin}"
        self.upstreams: list[asyncio.Server] = []

    async def upstream(self, name: str) -> int:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while await reader.readuntil(b"\r\n\r\n"):
                    body = name.encode()
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        self.upstreams.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def get(self, port: int) -> tuple[int, str]:
        response = await self.http.get(f"http://127.0.0.1:{port}/")
        return response.status_code, response.text

    async def settled(self) -> None:
        def is_settled() -> bool:
            clients = self.server.clients()
            return bool(clients) and clients[-1].synced and xds.type_urls.ROUTE in clients[-1].types

        try:
            await until(is_settled)
        except TimeoutError:
            words = [f"{status}" for status in self.server.clients()] + [f"{each}" for each in self.events]
            raise AssertionError("Envoy has not accepted everything:\n" + "\n".join(words)) from None

    def seen(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


async def until(condition: Any, seconds: float = DEADLINE) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def until_awaited(condition: Any, seconds: float = DEADLINE) -> None:
    """The same for a condition that must be asked for."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def envoy_on(xds_port: int, tmp_path: Path, *, delta: bool, admin: int):
    config = tmp_path / f"envoy-{admin}.json"
    config.write_text(json.dumps(bootstrap(xds_port, admin, delta=delta)))
    with (tmp_path / f"envoy-{admin}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - it only starts it
            [BINARY, "-c", config, "--concurrency", "2", "-l", "warning", "--use-dynamic-base-id"],
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@asynccontextmanager
async def lab(tmp_path: Path, *resources: xds.Resource, delta: bool, policy: xds.Policy | None = None):
    events: list[xds.Event] = []
    policy = policy or xds.MakeBeforeBreak(grace=timedelta(seconds=0.5))
    server = xds.Server(lambda node, peer: "all", on_event=events.append, policy=policy)
    server.set_snapshot("all", xds.Snapshot.of(resources))
    port = await server.start("127.0.0.1:0")
    admin = free_port()
    found = Lab(server, events, port, admin)
    try:
        async with envoy_on(port, tmp_path, delta=delta, admin=admin):
            yield found
    finally:
        await found.http.aclose()
        await server.stop(0)
        for upstream in found.upstreams:
            upstream.close()
