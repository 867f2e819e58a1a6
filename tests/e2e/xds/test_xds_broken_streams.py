"""A real Envoy whose stream breaks at the worst moment: between a changed cluster and its endpoints."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from mizzen import xds
from mizzen.testing.ports import free_port
from mizzen.xds.type_urls import CLUSTER, ENDPOINT
from tests.e2e.xds.xds_envoy import Lab, cluster, endpoints, envoy_on, listener, routes, until, until_awaited

pytestmark = pytest.mark.envoy


class Breaks(grpc.aio.ServerInterceptor):
    """Ends a stream in the place of the first response with endpoints after `armed` was set."""

    def __init__(self) -> None:
        self.armed = False
        self.broken = 0

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(details)

        async def serve(requests: Any, context: Any) -> None:
            await handler.stream_stream(requests, Breaking(context, self))

        return grpc.stream_stream_rpc_method_handler(serve)


class Breaking:
    def __init__(self, context: Any, breaks: Breaks) -> None:
        self._context = context
        self._breaks = breaks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, data: bytes) -> None:
        if self._breaks.armed and ENDPOINT.encode() in data:
            self._breaks.armed = False
            self._breaks.broken += 1
            await self._context.abort(grpc.StatusCode.UNAVAILABLE, "broken by the test")
        await self._context.write(data)


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_a_cluster_warms_though_the_stream_broke_before_its_endpoints(
    tmp_path: Path, delta: bool
) -> None:
    breaks = Breaks()
    events: list[xds.Event] = []
    server = xds.Server(
        lambda node, peer: "all",
        on_event=events.append,
        policy=xds.MakeBeforeBreak(warm_timeout=timedelta(minutes=10), stuck_timeout=timedelta(minutes=10)),
    )
    carrier = grpc.aio.server(interceptors=[breaks])
    server.attach(carrier)
    port, admin = carrier.add_insecure_port("127.0.0.1:0"), free_port()
    await carrier.start()
    found = Lab(server, events, free_port(), admin)
    try:
        upstream = await found.upstream("one")
        first = [cluster("a"), endpoints("a", upstream), listener("l", found.port, "r"), routes("r", "a")]
        server.set_snapshot("all", xds.Snapshot.of(first))
        async with envoy_on(port, tmp_path, delta=delta, admin=admin):
            await found.settled()
            breaks.armed = True
            server.update("all", [cluster("a", connect_timeout="2s")])
            await until(lambda: len(found.seen(xds.Connected)) >= 2)
            config = f"{found.admin}/config_dump?resource=dynamic_active_clusters"

            async def is_warm() -> bool:
                return '"connect_timeout": "2s"' in (await found.http.get(config)).text

            await until_awaited(is_warm)  # its initial_fetch_timeout is ten minutes
        assert breaks.broken == 1
        assert found.seen(xds.Rejected) == []
        assert {event.type_url for event in found.seen(xds.Acked)} >= {CLUSTER, ENDPOINT}
    finally:
        await found.http.aclose()
        await server.stop(0)
        await carrier.stop(0)
        for each in found.upstreams:
            each.close()
