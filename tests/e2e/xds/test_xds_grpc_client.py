"""gRPC's own xDS client is a peer, too: it names what it wants, and finds its way from listener to
endpoint.
"""

import asyncio
import json
import sys

import grpc
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf.json_format import ParseDict

from mizzen import xds
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

CLIENT = """
import sys, grpc
call = grpc.insecure_channel("xds:///greeter").unary_unary("/test.Greeter/Who")
for line in sys.stdin:
    print(call(b"", timeout=60, wait_for_ready=True).decode(), flush=True)
"""
ADS = {"ads": {}, "resource_api_version": "V3"}


def listener() -> xds.Resource:
    body = {"stat_prefix": "x", "rds": {"route_config_name": "r", "config_source": ADS}}
    manager = ParseDict(body, http_connection_manager_pb2.HttpConnectionManager())
    manager.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
    message = listener_pb2.Listener(name="greeter")
    message.api_listener.api_listener.Pack(manager)
    return xds.Resource.of(message)


def routes(cluster: str) -> xds.Resource:
    hosts = [
        {
            "name": "all",
            "domains": ["*"],
            "routes": [{"match": {"prefix": ""}, "route": {"cluster": cluster}}],
        }
    ]
    return xds.Resource.of(ParseDict({"name": "r", "virtual_hosts": hosts}, route_pb2.RouteConfiguration()))


def cluster(name: str) -> xds.Resource:
    body = {"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": ADS}}
    return xds.Resource.of(ParseDict(body, cluster_pb2.Cluster()))


def endpoints(name: str, port: int) -> xds.Resource:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    locality = {
        "locality": {"region": "here"},
        "load_balancing_weight": 1,
        "lb_endpoints": [{"endpoint": {"address": address}}],
    }
    return xds.Resource.of(
        ParseDict({"cluster_name": name, "endpoints": [locality]}, endpoint_pb2.ClusterLoadAssignment())
    )


async def greeter(name: str) -> tuple[grpc.aio.Server, int]:
    async def who(_request: bytes, _context: object) -> bytes:
        return name.encode()

    server = grpc.aio.server()
    handlers = {"Who": grpc.unary_unary_rpc_method_handler(who)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Greeter", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


@pytest.mark.parametrize("anew", [False, True], ids=["updated", "snapshot"])
async def test_a_proxyless_client_finds_its_server_and_follows_a_change(tmp_path, anew) -> None:
    (one, first), (two, second) = await greeter("one"), await greeter("two")
    events: list[xds.Event] = []
    server = xds.Server(lambda node, peer: "all", on_event=events.append)
    start = [listener(), routes("a"), cluster("a"), endpoints("a", first)]
    server.set_snapshot("all", xds.Snapshot.of(start))
    port = await server.start("127.0.0.1:0")
    bootstrap = tmp_path / "bootstrap.json"
    address = {"server_uri": f"127.0.0.1:{port}", "channel_creds": [{"type": "insecure"}]}
    bootstrap.write_text(
        json.dumps({"xds_servers": [address | {"server_features": ["xds_v3"]}], "node": {"id": "grpc-1"}})
    )
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CLIENT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"GRPC_XDS_BOOTSTRAP": str(bootstrap)},
    )
    assert client.stdin is not None
    assert client.stdout is not None
    stdin, stdout = client.stdin, client.stdout

    async def ask() -> str:
        stdin.write(b"\n")
        return (await stdout.readline()).decode().strip()

    try:
        async with asyncio.timeout(120):
            assert await ask() == "one"
            status = server.clients()[0]
            assert {t: status.types[t].names for t in (LISTENER, ROUTE, CLUSTER, ENDPOINT)} == {
                LISTENER: {"greeter"},
                ROUTE: {"r"},
                CLUSTER: {"a"},
                ENDPOINT: {"a"},
            }
            if anew:
                news = [listener(), routes("b"), cluster("b"), endpoints("b", second)]
                server.set_snapshot("all", xds.Snapshot.of(news))
            else:
                server.update("all", [routes("b"), cluster("b"), endpoints("b", second)])
            answers = [await ask()]
            while answers[-1] != "two":
                await asyncio.sleep(0.02)
                answers.append(await ask())
            assert set(answers) <= {"one", "two"}
            assert not [event for event in events if isinstance(event, xds.Rejected)]
    finally:
        client.kill()
        await client.wait()
        await server.stop(0)
        await one.stop(0)
        await two.stop(0)
