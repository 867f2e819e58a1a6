"""gRPC's own xDS client calls a real gRPC server through what mizzen.xds serves: no proxy in between.

What it demands of resources: gRFC A27 (listeners with api_listener, EDS clusters, weighted localities) and
A28 (weighted clusters).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf.json_format import ParseDict

from benchmarks.xds_envoy import socket_address
from mizzen import xds
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

TARGET = "names.test:80"
ADS = {"ads": {}, "resource_api_version": "V3"}
CLIENT = """
import sys
import grpc

call = grpc.insecure_channel("xds:///" + sys.argv[1]).unary_unary("/test.Names/Tell")
for line in sys.stdin:
    try:
        names = [call(b"", timeout=60, wait_for_ready=True).decode() for _ in range(int(line))]
        print(",".join(names), flush=True)
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}", flush=True)
"""


def listener() -> xds.Resource:
    body = {"stat_prefix": "x", "rds": {"route_config_name": "r", "config_source": ADS}}
    manager = ParseDict(body, http_connection_manager_pb2.HttpConnectionManager())
    manager.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
    message = listener_pb2.Listener(name=TARGET)
    message.api_listener.api_listener.Pack(manager)
    return xds.Resource.of(message)


def routes(**weights: int) -> xds.Resource:
    clusters = [{"name": name, "weight": weight} for name, weight in weights.items()]
    route = {"match": {"prefix": ""}, "route": {"weighted_clusters": {"clusters": clusters}}}
    hosts = [{"name": "all", "domains": ["*"], "routes": [route]}]
    return xds.Resource.of(ParseDict({"name": "r", "virtual_hosts": hosts}, route_pb2.RouteConfiguration()))


def cluster(name: str) -> xds.Resource:
    body = {"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": ADS}}
    return xds.Resource.of(ParseDict(body, cluster_pb2.Cluster()))


def endpoints(name: str, port: int) -> xds.Resource:
    locality = {
        "locality": {"region": "here"},
        "load_balancing_weight": 1,
        "lb_endpoints": [{"endpoint": {"address": socket_address(port)}}],
    }
    return xds.Resource.of(
        ParseDict({"cluster_name": name, "endpoints": [locality]}, endpoint_pb2.ClusterLoadAssignment())
    )


@asynccontextmanager
async def teller(name: str) -> AsyncIterator[int]:
    """A gRPC server that tells its name; gives its port."""

    async def tell(_request: bytes, _context: object) -> bytes:
        return name.encode()

    server = grpc.aio.server()
    handlers = {"Tell": grpc.unary_unary_rpc_method_handler(tell)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Names", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


class Caller:
    """The client, in a process of its own: gRPC reads its xDS bootstrap once in a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, times: int) -> Counter[str]:
        """Who answered that many calls."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{times}\n".encode())
        line = await asyncio.wait_for(self._process.stdout.readline(), 120)
        return Counter(line.decode().strip().split(","))

    async def ask_until(self, name: str) -> Counter[str]:
        """Call one by one until `name` answers; all answers."""
        answers: Counter[str] = Counter()
        async with asyncio.timeout(120):
            while name not in answers:
                answers += await self.ask(1)
        return answers


@asynccontextmanager
async def calling(xds_port: int) -> AsyncIterator[Caller]:
    server: dict[str, Any] = {
        "server_uri": f"127.0.0.1:{xds_port}",
        "channel_creds": [{"type": "insecure"}],
        "server_features": ["xds_v3"],
    }
    bootstrap = {"xds_servers": [server], "node": {"id": "proxyless"}}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CLIENT,
        TARGET,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap)},
    )
    try:
        yield Caller(process)
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def scene() -> AsyncIterator[tuple[xds.Server, Caller, dict[str, int], list[xds.Event]]]:
    """A server that splits calls between the clusters `a` and `b`, and a client."""
    events: list[xds.Event] = []
    server = xds.Server(lambda node, peer: node.id, on_event=events.append)
    async with AsyncExitStack() as stack:
        ports = {name: await stack.enter_async_context(teller(name)) for name in ("one", "two", "three")}
        start = [listener(), routes(a=75, b=25), cluster("a"), cluster("b")]
        start += [endpoints("a", ports["one"]), endpoints("b", ports["two"])]
        server.set_snapshot("proxyless", xds.Snapshot.of(start))
        port = await server.start("127.0.0.1:0")
        stack.push_async_callback(server.stop, 0)
        yield server, await stack.enter_async_context(calling(port)), ports, events


async def test_calls_are_split_by_weight_and_follow_changes(scene) -> None:
    server, caller, ports, events = scene
    answers = await caller.ask(400)
    assert answers.keys() == {"one", "two"}
    assert 248 <= answers["one"] <= 352, f"300 of 400 were expected, six deviations are 52: {answers}"
    types = server.clients()[0].types
    assert {each: types[each].names for each in (LISTENER, ROUTE, CLUSTER, ENDPOINT)} == {
        LISTENER: {TARGET},
        ROUTE: {"r"},
        CLUSTER: {"a", "b"},
        ENDPOINT: {"a", "b"},
    }
    server.update("proxyless", [endpoints("a", ports["three"])])
    answers = await caller.ask_until("three")
    assert answers.keys() <= {"one", "two", "three"}
    answers = await caller.ask(100)  # all without "two": once in 10^12 times
    assert answers.keys() == {"two", "three"}
    server.update("proxyless", [routes(c=1), cluster("c"), endpoints("c", ports["one"])])
    answers = await caller.ask_until("one")
    assert answers.keys() <= {"one", "two", "three"}, "calls failed while clusters changed"
    assert await caller.ask(20) == Counter(one=20)
    assert [event for event in events if isinstance(event, xds.Rejected)] == []


async def test_what_grpc_refuses_is_told_and_kept_away_from_it(scene) -> None:
    """gRFC A28: a route without a path specifier is invalid; the client keeps the routes that it has."""
    server, caller, _, events = scene
    assert (await caller.ask(100)).keys() == {"one", "two"}
    bad = ParseDict(
        {
            "name": "r",
            "virtual_hosts": [
                {"name": "x", "domains": ["*"], "routes": [{"match": {}, "route": {"cluster": "a"}}]}
            ],
        },
        route_pb2.RouteConfiguration(),
    )
    server.update("proxyless", [xds.Resource.of(bad, origins=("routes.yaml:3",))])
    async with asyncio.timeout(120):
        while not (refused := [event for event in events if isinstance(event, xds.Rejected)]):
            await asyncio.sleep(0.02)
    assert [resource.origins for resource in refused[0].culprits] == [("routes.yaml:3",)]
    assert (await caller.ask(100)).keys() == {"one", "two"}
    server.update("proxyless", [routes(b=1)])
    async with asyncio.timeout(120):
        while await caller.ask(5) != Counter(two=5):
            await asyncio.sleep(0.02)
