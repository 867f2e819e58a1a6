"""Lets the xDS test harness of the CNCF (https://github.com/ii/xds-test-harness) drive mizzen.xds.

python -m tests.conformance.adapter --adapter 127.0.0.1:17000 --xds 127.0.0.1:18000

The harness chooses versions itself and compares them, so the adapter puts them in the place of content
hashes.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.runtime.v3 import rtds_pb2

from mizzen import xds

PROTO = Path(__file__).parents[2] / "proto"
MESSAGES = {
    xds.type_urls.CLUSTER: cluster_pb2.Cluster,
    xds.type_urls.ENDPOINT: endpoint_pb2.ClusterLoadAssignment,
    xds.type_urls.LISTENER: listener_pb2.Listener,
    xds.type_urls.ROUTE: route_pb2.RouteConfiguration,
    xds.type_urls.SECRET: secret_pb2.Secret,
    xds.type_urls.RUNTIME: rtds_pb2.Runtime,
}


def load_protocol() -> tuple[Any, Any]:
    """The adapter's messages and service, compiled when needed (grpcio-tools)."""
    sys.path.insert(0, str(PROTO))
    try:
        return grpc.protos_and_services("xds_adapter.proto")
    finally:
        sys.path.remove(str(PROTO))


class VersionedCollection(xds.Collection):
    """The same members with a version that the harness chooses."""

    __slots__ = ("_chosen",)

    def __init__(self, members: xds.Collection, version: str) -> None:
        super().__init__(members.type_url, members.resources)
        self._chosen = version

    @property
    def version(self) -> str:
        """The chosen version."""
        return self._chosen


class Adapter:
    """Keeps the state of each node and gives it to the server.

    `pause` is how many seconds a change waits: the harness sends a request on its xDS stream and a change
    right after it on another connection, and takes for granted that the request is read first.
    """

    def __init__(self, server: xds.Server, protos: Any, pause: float = 0.0) -> None:
        self._server = server
        self._protos = protos
        self._pause = pause
        self._state: dict[str, dict[tuple[str, str], xds.Resource]] = {}

    def _serve(self, node: str, touched: set[str], version: str) -> None:
        plain = xds.Snapshot.of(self._state[node].values())
        before = self._server.snapshot(node)
        collections: dict[str, xds.Collection] = {}
        for type_url in MESSAGES:
            collection = plain.collection(type_url)
            if type_url in touched:
                collection = VersionedCollection(collection, version)
            elif before is not None:
                collection = VersionedCollection(collection, before.collection(type_url).version)
            collections[type_url] = collection
        self._server.set_snapshot(node, xds.Snapshot(collections))

    @staticmethod
    def _resource(type_url: str, name: str, version: str) -> xds.Resource:
        message = MESSAGES[type_url]()
        setattr(message, "cluster_name" if type_url == xds.type_urls.ENDPOINT else "name", name)
        return xds.Resource(type_url, name, message.SerializeToString(), version)

    async def SetState(self, request: Any, _: Any) -> Any:
        state = self._state[request.node] = {}
        for each in request.resources:
            message = MESSAGES[each.type_url].FromString(each.value)
            name = getattr(message, "cluster_name", "") or message.name
            state[each.type_url, name] = xds.Resource(each.type_url, name, each.value, request.version)
        self._serve(request.node, set(MESSAGES), request.version)
        return self._protos.SetStateResponse(success=True)

    async def ClearState(self, request: Any, _: Any) -> Any:
        self._state.pop(request.node, None)
        self._server.set_snapshot(request.node, xds.Snapshot())
        return self._protos.clearStateResponse(response=f"{request.node}: cleared")

    async def _put(self, request: Any) -> None:
        await asyncio.sleep(self._pause)
        resource = self._resource(request.typeUrl, request.resourceName, request.version)
        self._state[request.node][request.typeUrl, request.resourceName] = resource
        self._serve(request.node, {request.typeUrl}, request.version)

    async def UpdateResource(self, request: Any, _: Any) -> Any:
        await self._put(request)
        return self._protos.UpdateResourceResponse(success=True)

    async def AddResource(self, request: Any, _: Any) -> Any:
        await self._put(request)
        return self._protos.AddResourceResponse(success=True)

    async def RemoveResource(self, request: Any, _: Any) -> Any:
        await asyncio.sleep(self._pause)
        found = self._state[request.node].pop((request.typeUrl, request.resourceName), None)
        self._serve(request.node, {request.typeUrl}, request.version)
        return self._protos.RemoveResourceResponse(success=found is not None)


async def start(
    adapter_address: str, xds_address: str, policy: xds.Policy | None = None, *, pause: float = 0.0
) -> tuple[xds.Server, Any, int, int]:
    """Start both servers, with the library's own policy if none is given; return them with their ports."""
    protos, services = load_protocol()
    server = xds.Server(lambda node, peer: node.id, policy=policy)
    control = grpc.aio.server()
    services.add_AdapterServicer_to_server(Adapter(server, protos, pause), control)
    port = control.add_insecure_port(adapter_address)
    await control.start()
    return server, control, port, await server.start(xds_address)


async def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapter", default="127.0.0.1:17000")
    parser.add_argument("--xds", default="127.0.0.1:18000")
    parser.add_argument("--unordered", action="store_true", help="send everything at once")
    options = parser.parse_args()
    policy = xds.Unordered() if options.unordered else None
    _, control, port, xds_port = await start(options.adapter, options.xds, policy, pause=0.2)
    print(f"adapter on port {port}, xDS on port {xds_port}", flush=True)
    await control.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
