"""What it costs when all clients come back at once: `python -m benchmarks.xds_reconnect [streams]`.

A thousand incremental clients open their streams, each with the first requests of an Envoy that still holds
everything (`initial_resource_versions`). Mizzen must find out that it owes them nothing, and send no
resource. A bare grpc.aio server is sent the very same requests beside it and answers each stream with a few
bytes. Timed is, from the opening of the first stream, when the server has dealt with the last request of all.
Both processes have the cycle collector's settings of `mizzen serve`.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from statistics import median
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from benchmarks.xds_floor import Floor
from mizzen import xds
from mizzen.server.garbage import Garbage
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"
_HELD = {CLUSTER: 50, ENDPOINT: 50, LISTENER: 5, ROUTE: 5}
_CHANNELS = 20


def snapshot() -> xds.Snapshot:
    """What the clients hold."""
    return xds.Snapshot.of(
        xds.Resource(type_url, f"resource-{number}", f"{type_url} {number}".encode().ljust(300, b"."))
        for type_url, count in _HELD.items()
        for number in range(count)
    )


def requests(client: int) -> list[bytes]:
    """The first requests of a client that holds all of it: the wildcard types, and the named ones by name.
    The very first has its node, so it is no other client's."""
    found: list[bytes] = []
    held = snapshot()
    for type_url in _HELD:
        collection = held.collection(type_url)
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url)
        if not found:
            request.node.id = f"bench-{client}"
        if type_url in (ENDPOINT, ROUTE):
            request.resource_names_subscribe.extend(collection)
        for name, each in collection.items():
            request.initial_resource_versions[name] = each.version
        found.append(bytes(request.SerializeToString()))
    return found


async def serve_mizzen(streams: int) -> None:
    """Mizzen's process: prints its port, `done` when it has heard all, and what it sent to how many."""
    done = asyncio.Event()
    told = 0

    def on_event(event: xds.Event) -> None:
        nonlocal told
        # The last request of a client names its routes.
        told += isinstance(event, xds.Subscribed) and event.type_url == ROUTE
        if told == streams:
            done.set()

    server = xds.Server(lambda node, peer: "all", on_event=on_event)
    server.set_snapshot("all", snapshot())
    Garbage().settle()
    print(await server.start("127.0.0.1:0"), flush=True)
    await done.wait()
    print("done", flush=True)
    await asyncio.sleep(0.5)  # what is owed to somebody would be sent by now
    statuses = server.clients()
    sent = sum(each.responses for client in statuses for each in client.types.values())
    synced = sum(client.synced for client in statuses)
    print(f"{sent} {synced}", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await server.stop(0)


async def serve_floor(streams: int) -> None:
    """The bare server's process, in the same words."""
    floor = Floor(discovery_pb2.DeltaDiscoveryResponse(nonce="1").SerializeToString())
    floor.wanted = streams * (len(_HELD) - 1)  # it does not count the first request of a stream
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.stream_stream_rpc_method_handler(floor.stream)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    Garbage().settle()
    await floor.done.wait()
    print("done", flush=True)
    print(f"{len(floor.contexts)} {streams}", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await server.stop(0)


async def _client(call: Any, first: list[bytes]) -> None:
    for request in first:
        await call.write(request)
    while await call.read() is not grpc.aio.EOF:
        pass


async def _measure(kind: str, streams: int) -> tuple[float, int, int]:
    """Seconds until the server has dealt with everything, and what it says then."""
    process = subprocess.Popen(  # noqa: ASYNC220 - it only starts it
        [sys.executable, "-m", "benchmarks.xds_reconnect", kind, str(streams)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        port = int(await asyncio.to_thread(process.stdout.readline))
        channels = [
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(_CHANNELS)
        ]
        first = [requests(number) for number in range(streams)]
        for channel in channels:
            await channel.channel_ready()
        clients = []
        began = time.perf_counter()
        for number in range(streams):
            call = channels[number % _CHANNELS].stream_stream(f"/{SERVICE}/{METHOD}")()
            clients.append(asyncio.ensure_future(_client(call, first[number])))
        assert await asyncio.to_thread(process.stdout.readline) == "done\n"
        seconds = time.perf_counter() - began
        sent, synced = map(int, (await asyncio.to_thread(process.stdout.readline)).split())
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        for channel in channels:
            await channel.close()
        return seconds, sent, synced
    finally:
        process.kill()
        process.wait()


async def _compare(streams: int, rounds: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {"floor": [], "mizzen": []}
    sent = 0
    for _ in range(rounds):
        for kind, each in seconds.items():
            took, responses, synced = await _measure(kind, streams)
            each.append(took)
            if kind == "mizzen":
                sent += responses
                assert synced == streams, f"{synced} of {streams} clients are known to hold everything"
    return {
        "reconnect to floor": median(seconds["mizzen"]) / median(seconds["floor"]),
        "responses sent": float(sent),
        "reconnect seconds": median(seconds["mizzen"]),
        "floor seconds": median(seconds["floor"]),
    }


def compare(streams: int = 1000, rounds: int = 5) -> dict[str, float]:
    """The ratio that is promised (at most 1.5), how many responses were sent (none), and the two times."""
    return asyncio.run(_compare(streams, rounds))


def main() -> None:
    """A server's process, or the comparison."""
    servers = {"mizzen": serve_mizzen, "floor": serve_floor}
    if sys.argv[1:2] and sys.argv[1] in servers:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(servers[sys.argv[1]](int(sys.argv[2])))
        return
    for name, value in compare(*map(int, sys.argv[1:])).items():
        print(f"{name:20} {value:.2f}")


if __name__ == "__main__":
    main()
