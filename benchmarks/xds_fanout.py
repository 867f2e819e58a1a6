"""What Mizzen's xDS library costs beside a bare grpc.aio server: `python -m benchmarks.xds_fanout [streams]`.

Each server runs in a process of its own and is asked by the same clients, in turns, so that a slow moment
of the machine hurts both. A change of one small resource is timed until the last of the clients has
accepted it.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from benchmarks.xds_exchange import PATH, TYPE_URL, make_changes, payload, rss_bytes
from mizzen import xds

_CHANNELS = 20
_ATTEMPTS = 3


@dataclass
class Figures:
    """What one server measured."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


async def serve(streams: int, pushes: int, held: int) -> None:
    """Mizzen's side: a group that holds `held` resources, one of which changes."""
    waiting = asyncio.Event()
    answers = 0

    def on_event(event: xds.Event) -> None:
        nonlocal answers
        if isinstance(event, xds.Acked):
            answers += 1
            if answers == streams:
                waiting.set()

    server = xds.Server(lambda node, peer: "all", on_event=on_event)
    names = ["changing", *(f"resource-{number}" for number in range(held - 1))]
    server.set_snapshot("all", xds.Snapshot.of(xds.Resource(TYPE_URL, name, payload(0)) for name in names))
    port = await server.start("127.0.0.1:0")
    empty = rss_bytes()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    idle = rss_bytes() - empty

    async def change(number: int) -> float:
        nonlocal answers
        waiting.clear()
        answers = 0
        began = time.perf_counter()
        server.update("all", [xds.Resource(TYPE_URL, "changing", payload(number))])
        await waiting.wait()
        return time.perf_counter() - began

    await make_changes(change, pushes, idle)
    await server.stop(0)


async def _client(call: Any, request: Any, ready: Any) -> None:
    request.node.id = "bench"
    await call.write(request.SerializeToString())
    request.ClearField("node")
    first = True
    while (data := await call.read()) is not grpc.aio.EOF:
        message = discovery_pb2.DiscoveryResponse.FromString(data)
        request.version_info, request.response_nonce = message.version_info, message.nonce
        await call.write(request.SerializeToString())
        if first:
            ready.release()
            first = False


async def _measure(command: list[str], streams: int, names: list[str], figures: Figures) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-m", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await asyncio.to_thread(process.stdout.readline))
        ready = asyncio.Semaphore(0)
        channels = [
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(_CHANNELS)
        ]
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError, ExceptionGroup):
            async with asyncio.TaskGroup() as tasks:
                for number in range(streams):
                    call = channels[number % _CHANNELS].stream_stream("/" + "/".join(PATH))()
                    request = discovery_pb2.DiscoveryRequest(type_url=TYPE_URL, resource_names=names)
                    tasks.create_task(_client(call, request, ready))
                for _ in range(streams):
                    await ready.acquire()
                await asyncio.sleep(0.5)
                process.stdin.write("go\n")
                process.stdin.flush()
                while line := await asyncio.to_thread(process.stdout.readline):
                    kind, value = line.split()
                    if kind == "push":
                        figures.seconds.append(float(value))
                    elif kind == "cpu":
                        figures.cpu.append(float(value))
                    else:
                        figures.memory.append(float(value))
        for channel in channels:
            await channel.close()
    finally:
        process.kill()
        process.wait()


async def compare(streams: int = 1000, pushes: int = 20, rounds: int = 3) -> dict[str, float]:
    """The ratios that are promised: fan-out, processor time, memory, and the weight of unconcerned
    resources.
    """
    kinds: dict[str, tuple[list[str], list[str]]] = {
        "floor": (["benchmarks.xds_floor", str(streams), str(pushes)], ["changing"]),
        "mizzen": (["benchmarks.xds_fanout", "serve", str(streams), str(pushes), "10"], ["changing"]),
        "mizzen, 10,000 held": (
            ["benchmarks.xds_fanout", "serve", str(streams), str(pushes), "10000"],
            ["changing"],
        ),
    }
    figures = {kind: Figures() for kind in kinds}
    for number in range(1, rounds + 1):
        for kind, (command, names) in kinds.items():
            for _ in range(_ATTEMPTS):
                # A connection that gRPC gives up in the middle ends a server's turn without figures.
                await _measure(command, streams, names, figures[kind])
                if len(figures[kind].memory) == number:
                    break
    for kind, each in figures.items():
        assert len(each.memory) == rounds, f"{kind}: a server did not finish"
        print(
            f"{kind:20} median {median(each.seconds) * 1000:7.1f} ms to the last ACK, "
            f"{median(each.cpu) * 1000:7.1f} ms of processor, "
            f"{median(each.memory) / 1e6:6.1f} MB for {streams} streams"
        )
    floor, few, many = (figures[kind] for kind in kinds)
    return {
        "fan-out to floor": median(few.seconds) / median(floor.seconds),
        "processor to floor": median(few.cpu) / median(floor.cpu),
        "memory to floor": median(few.memory) / median(floor.memory),
        "10,000 held to 10 held": median(many.cpu) / median(few.cpu),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(*map(int, sys.argv[2:])))
    else:
        for name, ratio in asyncio.run(compare(*map(int, sys.argv[1:]))).items():
            print(f"{name:24} {ratio:.2f}")
