"""No request is lost: a real Envoy under steady load while its configuration changes all the time.

    python -m benchmarks.xds_load [--seconds 60] [--rate 400] [--interval 0.1] [--envoy BINARY]

runs state of the world and incremental, in the order that the library chooses, and then the same changes sent
without order, which must lose some, or else the proof would prove nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from benchmarks.xds_envoy import Variant, running_envoy
from benchmarks.xds_restless import Restless
from mizzen import xds

HOSTS = ("apples", "pears", "plums")
_PATHS = ("/", "/left/1", "/right/1")


@dataclass
class Outcome:
    """What a run has shown.

    Attributes:
        requests: how many were answered, well or not.
        failures: what went wrong with others than 200 from the right service, and how often.
        changes: how often the configuration changed.
        kinds: how often it changed in which way.
        connections: how many connections the clients opened.
        refused: words of Envoy's rejections.
        stuck: names that kept an answer back for too long.
        seconds: latencies of the requests.
        settled: Envoy had accepted the last configuration in the end.
    """

    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    changes: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    refused: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    settled: bool = False

    def __str__(self) -> str:
        ranked = sorted(self.seconds)
        shares = [ranked[int(len(ranked) * share)] * 1000 for share in (0.5, 0.99)] if ranked else [0.0, 0.0]
        return (
            f"{self.requests} requests on {self.connections} connections, {self.changes} changes, "
            f"{self.failures.total()} failed {dict(self.failures) or ''}, "
            f"latency {shares[0]:.1f} ms median, {shares[1]:.1f} ms 99 %"
            + (f", refused: {self.refused[:3]}" if self.refused else "")
            + (f", stuck: {self.stuck[:3]}" if self.stuck else "")
            + ("" if self.settled else ", NOT SETTLED")
        )


class _Caller:
    """One HTTP/1.1 client that keeps its connection as long as Envoy lets it."""

    def __init__(self, ports: tuple[int, ...], outcome: Outcome, seed: int) -> None:
        self._ports = ports
        self._outcome = outcome
        self._random = random.Random(seed)
        self._streams: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def run(self, interval: float, stop: asyncio.Event) -> None:
        """Send a request each `interval` seconds."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._random.random() * interval
        try:
            while not stop.is_set():
                await asyncio.sleep(max(0.0, due - loop.time()))
                due = max(due + interval, loop.time() - interval)
                await self._ask(self._random.choice(self._ports), self._random.choice(HOSTS))
        finally:
            for _, writer in self._streams.values():
                writer.close()

    async def _ask(self, port: int, host: str) -> None:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(60):
                status, body = await self._exchange(port, host)
            failure = "" if (status, body) == (200, host) else f"{status} {body}"
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            failure = type(error).__name__
            if stream := self._streams.pop(port, None):
                stream[1].close()
        self._outcome.seconds.append(time.perf_counter() - began)
        self._outcome.requests += 1
        if failure:
            self._outcome.failures[failure] += 1

    async def _exchange(self, port: int, host: str) -> tuple[int, str]:
        if port not in self._streams:
            self._streams[port] = await asyncio.open_connection("127.0.0.1", port)
            self._outcome.connections += 1
        reader, writer = self._streams[port]
        writer.write(f"GET {self._random.choice(_PATHS)} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection") == "close":
            del self._streams[port]
            writer.close()
        return int(head[0].split()[1]), body.decode()


@contextlib.asynccontextmanager
async def upstreams(*hosts: str, each: int = 1) -> AsyncIterator[dict[str, tuple[int, ...]]]:
    """So many servers for each host, all of which answer with its name; gives their ports."""
    servers: list[asyncio.Server] = []

    async def start(host: str) -> int:
        answer = f"HTTP/1.1 200 OK\r\ncontent-length: {len(host)}\r\n\r\n{host}".encode()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await reader.readuntil(b"\r\n\r\n"):
                    writer.write(answer)
                    await writer.drain()
            writer.close()

        servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        return int(servers[-1].sockets[0].getsockname()[1])

    try:
        yield {host: tuple([await start(host) for _ in range(each)]) for host in hosts}
    finally:
        for server in servers:
            server.close()


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of loopback that nobody uses."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return tuple(int(probe.getsockname()[1]) for probe in probes)


async def measure(
    variant: Variant,
    *,
    seconds: float,
    policy: xds.Policy | None = None,
    rate: float = 400,
    connections: int = 8,
    interval: float = 0.1,
    seed: int = 0,
    binary: Path | None = None,
    until_failure: bool = False,
    enough: Callable[[Outcome], bool] = lambda outcome: True,
    ports: tuple[int, ...] = (),
) -> Outcome:
    """Change the configuration each `interval` seconds under `rate` requests a second; count what fails.

    With `until_failure` it ends with the first one; else after `seconds`, and not before `enough` is true: a
    slow machine takes longer. Envoy listens on the two `ports`, or on any.

    Raises:
        TimeoutError: Envoy did not come up.
    """
    outcome = Outcome()

    def on_event(event: xds.Event) -> None:
        if isinstance(event, xds.Rejected):
            outcome.refused.append(event.message)
        elif isinstance(event, xds.Stuck):
            outcome.stuck += [f"{xds.short_name(event.type_url)} {r.name}" for r in event.culprits]

    policy = policy if policy is not None else xds.MakeBeforeBreak(grace=timedelta(seconds=0.5))
    server = xds.Server(lambda node, peer: "all", policy=policy, on_event=on_event)
    ports = ports or free_ports(2)
    async with upstreams(*HOSTS, each=3) as servers:
        world = Restless(ports, servers, variant.source, seed)
        outcome.kinds = world.counts
        server.set_snapshot("all", xds.Snapshot.of(world.resources()))
        xds_port = await server.start("127.0.0.1:0")
        try:
            with tempfile.TemporaryDirectory() as directory:
                async with running_envoy(variant, xds_port, Path(directory), binary=binary):
                    await _settled(server)
                    end = asyncio.get_running_loop().time() + seconds

                    def over() -> bool:
                        done = until_failure and bool(outcome.failures)
                        late = asyncio.get_running_loop().time() >= end
                        return done or (late and (until_failure or enough(outcome)))

                    callers = [_Caller(ports, outcome, number) for number in range(connections)]
                    await _load(server, world, outcome, callers, connections / rate, interval, over)
        finally:
            await server.stop(0)
    return outcome


async def _load(
    server: xds.Server,
    world: Restless,
    outcome: Outcome,
    callers: list[_Caller],
    pause: float,
    interval: float,
    over: Callable[[], bool],
) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for caller in callers:
            tasks.create_task(caller.run(pause, stop))
        while not over():
            world.change()
            server.set_snapshot("all", xds.Snapshot.of(world.resources()))
            outcome.changes += 1
            await asyncio.sleep(interval)
        with contextlib.suppress(TimeoutError):
            await _settled(server)
            outcome.settled = True
        stop.set()


async def _settled(server: xds.Server, seconds: float = 60) -> None:
    """Wait until Envoy has accepted everything and what is no longer used has gone."""
    needed = {xds.type_urls.CLUSTER, xds.type_urls.ENDPOINT, xds.type_urls.LISTENER, xds.type_urls.ROUTE}
    async with asyncio.timeout(seconds):
        while True:
            types = {url: each for client in server.clients() for url, each in client.types.items()}
            if needed <= types.keys() and all(client.synced for client in server.clients()):
                return
            await asyncio.sleep(0.02)


def main() -> int:
    """Run all that is promised; 1 if something failed that should not, or nothing that should."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.xds_load")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=400, help="requests a second")
    parser.add_argument("--interval", type=float, default=0.1, help="seconds between changes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--envoy", type=Path, help="another Envoy than the installed one")
    options = parser.parse_args()
    wrong = 0
    for policy in (None, xds.Unordered()):
        for variant in (Variant(delta=False), Variant(delta=True)):
            outcome = asyncio.run(
                measure(
                    variant,
                    seconds=options.seconds,
                    policy=policy,
                    rate=options.rate,
                    interval=options.interval,
                    seed=options.seed,
                    binary=options.envoy,
                )
            )
            print(f"{variant}, {'without order' if policy else 'make before break'}: {outcome}", flush=True)
            if policy is None:
                print(f"    {outcome.kinds}", flush=True)
            wrong += bool(outcome.failures) != bool(policy)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
