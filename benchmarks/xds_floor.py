"""The least that a grpc.aio server can cost: it sends prepared bytes to every stream and counts the answers.

`benchmarks.xds_fanout` measures Mizzen beside it. Run as `python -m benchmarks.xds_floor` it is the
server's process.
"""

import asyncio
import sys
import time
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from benchmarks.xds_exchange import PATH, TYPE_URL, WARM_UP, make_changes, payload, rss_bytes


class Floor:
    """A server that knows nothing: on `push` it writes the same bytes to all."""

    def __init__(self, first: bytes) -> None:
        self.first = first
        self.contexts: list[Any] = []
        self.answers = 0
        self.wanted = 0
        self.done = asyncio.Event()

    async def stream(self, _requests: Any, context: Any) -> None:
        """Answer the first request, then count."""
        await context.read()
        self.contexts.append(context)
        await context.write(self.first)
        while await context.read() is not grpc.aio.EOF:
            self.answers += 1
            if self.answers == self.wanted:
                self.done.set()

    async def push(self, data: bytes) -> float:
        """Seconds until the last answer."""
        self.done.clear()
        self.answers, self.wanted = 0, len(self.contexts)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for context in self.contexts:
                tasks.create_task(context.write(data))
        await self.done.wait()
        return time.perf_counter() - began


def response(type_url: str, value: bytes, nonce: str) -> bytes:
    """A DiscoveryResponse with one resource."""
    message = discovery_pb2.DiscoveryResponse(version_info=nonce, type_url=type_url, nonce=nonce)
    message.resources.add(type_url=type_url, value=value)
    return bytes(message.SerializeToString())


async def serve(streams: int, pushes: int) -> None:
    """Speak with the parent over stdin and stdout: the port, then `ready`, then the measurements."""
    floor = Floor(response(TYPE_URL, payload(0), "0"))
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.stream_stream_rpc_method_handler(floor.stream)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(PATH[0], {PATH[1]: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    empty = rss_bytes()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    assert len(floor.contexts) == streams, f"{len(floor.contexts)} streams of {streams}"
    idle = rss_bytes() - empty
    prepared = [response(TYPE_URL, payload(number), str(number)) for number in range(pushes + WARM_UP + 1)]
    await make_changes(lambda number: floor.push(prepared[number]), pushes, idle)
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
