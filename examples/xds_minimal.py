"""A control plane of one's own: one listener that answers everything by itself.

python examples/xds_minimal.py 18000 8000
envoy -c examples/xds_minimal_envoy.yaml
"""

import asyncio
import sys

from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as http
from google.protobuf.json_format import ParseDict

from mizzen import xds


def listener(port: int, text: str) -> listener_pb2.Listener:
    """A listener that answers every request with the text."""
    hello = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": text}}}
    manager = http.HttpConnectionManager(stat_prefix="hello")
    ParseDict({"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [hello]}]}, manager.route_config)
    manager.http_filters.add(name="router").typed_config.Pack(router_pb2.Router())
    message = listener_pb2.Listener(name="hello")
    message.address.socket_address.address, message.address.socket_address.port_value = "127.0.0.1", port
    message.filter_chains.add().filters.add(name="http").typed_config.Pack(manager)
    return message


async def main(port: int, listener_port: int) -> None:
    """Serve the listener to every Envoy that comes, and say what each makes of it."""
    server = xds.Server(group_of=lambda node, peer: "all", on_event=print)
    server.set_snapshot("all", xds.Snapshot.of([xds.Resource.of(listener(listener_port, "Ahoy!\n"))]))
    print("xDS on port", await server.start(f"127.0.0.1:{port}"), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8000))
