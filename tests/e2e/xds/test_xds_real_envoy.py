"""The library against a real Envoy, both transports."""

import asyncio
import socket
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from envoy.config.listener.v3 import listener_pb2

from mizzen import xds
from mizzen.testing.ports import free_port
from mizzen.xds import group, retries
from mizzen.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.e2e.xds.xds_envoy import DEADLINE, Lab, cluster, endpoints, envoy_on, lab, listener, routes, until

pytestmark = pytest.mark.envoy


@pytest.fixture(params=[False, True], ids=["sotw", "delta"])
def delta(request) -> bool:
    return request.param


def broken(good: xds.Resource) -> xds.Resource:
    """The same listener with a second filter chain for the very same connections."""
    message = listener_pb2.Listener.FromString(good.value)
    message.filter_chains.add().CopyFrom(message.filter_chains[0])
    return xds.Resource.of(message)


async def test_requests_flow_and_nothing_is_sent_twice(tmp_path, delta) -> None:
    port = free_port()
    async with lab(tmp_path, listener("l", port, "r"), routes("r", "a"), cluster("a"), delta=delta) as found:
        found.server.update("all", [endpoints("a", await found.upstream("one"))])
        await found.settled()
        assert await found.get(port) == (200, "one")
        types = found.server.clients()[0].types
        assert {t: types[t].responses for t in (CLUSTER, LISTENER, ROUTE)} == {
            CLUSTER: 1,
            LISTENER: 1,
            ROUTE: 1,
        }
        assert found.seen(xds.Rejected) == []


async def test_the_ack_of_a_changed_cluster_comes_at_once(tmp_path, delta) -> None:
    """Its endpoints are sent again behind it; else Envoy would keep the ACK until its fetch times out, ten
    minutes.
    """
    port = free_port()
    async with lab(tmp_path, listener("l", port, "r"), routes("r", "a"), cluster("a"), delta=delta) as found:
        found.server.update("all", [endpoints("a", await found.upstream("one"))])
        await found.settled()
        found.events.clear()
        found.server.update("all", [cluster("a", connect_timeout="2s")])
        await until(lambda: any(event.type_url == CLUSTER for event in found.seen(xds.Acked)))


async def test_a_changed_listener_needs_no_routes_again(tmp_path, delta) -> None:
    port = free_port()
    async with lab(tmp_path, listener("l", port, "r"), routes("r", "a"), cluster("a"), delta=delta) as found:
        found.server.update("all", [endpoints("a", await found.upstream("one"))])
        await found.settled()
        found.events.clear()
        found.server.update("all", [listener("l", port, "r", stat_prefix="other")])
        await until(lambda: any(event.type_url == LISTENER for event in found.seen(xds.Acked)))
        assert await found.get(port) == (200, "one")


async def _keep_moving(found: Lab, up: int, codes: list[int], *, until_failure: bool) -> None:
    """Move the route to a new cluster eight times, or until a request has failed."""
    for number in range(1, 1000):
        if 503 in codes if until_failure else number > 8:
            return
        name, old = f"c{number}", f"c{number - 1}"
        found.server.update(
            "all",
            [cluster(name), endpoints(name, up), routes("r", name)],
            [(CLUSTER, old), (ENDPOINT, old)],
        )
        enough = len(codes) + 20
        await asyncio.sleep(0.1)  # between two changes that are noticed one by one
        await until(lambda enough=enough: len(codes) >= enough)


@pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "unordered"])
async def test_no_request_is_lost_when_a_route_moves_to_a_new_cluster(tmp_path, delta, ordered) -> None:
    port = free_port()
    policy = xds.MakeBeforeBreak(grace=timedelta(seconds=0.3)) if ordered else xds.Unordered()
    first = (listener("l", port, "r"), routes("r", "c0"), cluster("c0"))
    async with lab(tmp_path, *first, delta=delta, policy=policy) as found:
        up = await found.upstream("ok")
        found.server.update("all", [endpoints("c0", up)])
        await found.settled()
        codes: list[int] = []
        stop = asyncio.Event()

        async def load() -> None:
            async with httpx.AsyncClient(timeout=DEADLINE, trust_env=False) as client:
                while not stop.is_set():
                    codes.append((await client.get(f"http://127.0.0.1:{port}/")).status_code)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(4):
                tasks.create_task(load())
            try:
                await _keep_moving(found, up, codes, until_failure=not ordered)
                if ordered:
                    await found.settled()
            finally:
                stop.set()
        if ordered:
            assert set(codes) == {200}
            clusters = (await found.http.get(f"{found.admin}/clusters")).text
            await until(lambda: found.server.clients()[0].synced)
            assert "c8::" in clusters
        else:
            assert 503 in codes, "the proof proves nothing: without the order nothing breaks either"


async def test_a_refused_cluster_is_left_out_and_the_rest_works(tmp_path, delta) -> None:
    port = free_port()
    async with lab(tmp_path, listener("l", port, "r"), routes("r", "a"), cluster("a"), delta=delta) as found:
        up = await found.upstream("one")
        found.server.update("all", [endpoints("a", up)])
        await found.settled()
        found.server.update(
            "all",
            [
                cluster("bad", connect_timeout="-1s"),  # Envoy's error does not say whose it is
                *(cluster(f"good-{number}") for number in range(6)),
                *(endpoints(f"good-{number}", up) for number in range(6)),
                routes("r", "good-5"),
            ],
        )
        await until(lambda: any(event.culprits for event in found.seen(xds.Rejected)))
        blamed = [r.name for event in found.seen(xds.Rejected) for r in event.culprits]
        assert blamed == ["bad"]
        await until(lambda: found.server.clients()[0].synced)
        assert await found.get(port) == (200, "one")
        assert [entry.resource.name for entry in found.server.clients()[0].rejected] == ["bad"]
        text = (await found.http.get(f"{found.admin}/clusters")).text
        assert all(f"good-{number}::" in text for number in range(6))


async def test_a_refused_listener_keeps_its_last_good_version(tmp_path, delta) -> None:
    port = free_port()
    async with lab(tmp_path, listener("l", port, "r"), routes("r", "a"), cluster("a"), delta=delta) as found:
        found.server.update("all", [endpoints("a", await found.upstream("one"))])
        await found.settled()
        found.server.update("all", [broken(listener("l", port, "r"))])
        await until(lambda: bool(found.seen(xds.Rejected)))
        event = found.seen(xds.Rejected)[0]
        assert [r.name for r in event.culprits] == ["l"]
        await until(lambda: found.server.clients()[0].synced)
        assert await found.get(port) == (200, "one")
        assert len(found.seen(xds.Rejected)) == 1


async def test_a_listener_whose_port_is_taken_listens_when_it_is_free(tmp_path, delta, monkeypatch) -> None:
    """It is tried again by itself, and in the meantime the other listener answers."""
    monkeypatch.setattr(retries, "FIRST", 0.2)
    monkeypatch.setattr(retries, "LONGEST", 0.2)
    monkeypatch.setattr(group, "APART", 0.1)
    port = free_port()
    async with lab(tmp_path, listener("l", port, "r"), routes("r", "a"), cluster("a"), delta=delta) as found:
        found.server.update("all", [endpoints("a", await found.upstream("one"))])
        await found.settled()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            busy = taken.getsockname()[1]
            found.server.update("all", [listener("busy", busy, "r")])
            await until(lambda: len(found.seen(xds.Rejected)) >= 3)
            assert "Address already in use" in found.seen(xds.Rejected)[-1].message
            assert await found.get(port) == (200, "one")
        await until(lambda: any(event.recovered for event in found.seen(xds.Acked)))
        await found.settled()
        assert await found.get(busy) == (200, "one")
        assert await found.get(port) == (200, "one")
        assert found.server.clients()[0].rejected == ()


async def test_a_cluster_without_endpoints_does_not_hold_the_rest_for_ever(tmp_path, delta) -> None:
    port = free_port()
    policy = xds.MakeBeforeBreak(warm_timeout=timedelta(seconds=0.5), grace=timedelta(seconds=0.2))
    first = (listener("l", port, "r"), routes("r", "a"), cluster("a"))
    async with lab(tmp_path, *first, delta=delta, policy=policy) as found:
        one, two = await found.upstream("one"), await found.upstream("two")
        found.server.update("all", [endpoints("a", one)])
        await found.settled()
        found.events.clear()
        found.server.update("all", [cluster("cold"), cluster("b"), endpoints("b", two), routes("r", "b")])
        if delta:  # it is told that there are none, and does not wait
            await until(lambda: found.server.clients()[0].synced)
            assert await found.get(port) == (200, "two")
            return
        await until(lambda: bool(found.seen(xds.Stuck)))
        stuck = found.seen(xds.Stuck)[0]
        before = found.events[: found.events.index(stuck)]
        answered = any(isinstance(event, xds.Acked) and event.type_url == ENDPOINT for event in before)
        # An Envoy that stood still has not said yet that it has the endpoints of the other.
        assert [r.name for r in stuck.culprits if answered or r.name != "b"] == ["cold"]
        assert found.server.clients()[0].types[CLUSTER].stuck == tuple(r.name for r in stuck.culprits)
        await until(lambda: found.server.clients()[0].types[ROUTE].synced)
        assert await found.get(port) == (200, "two")


async def test_a_restarted_server_resends_nothing_to_a_delta_client(tmp_path) -> None:
    port, admin, xds_port = free_port(), free_port(), free_port()

    def resources(up: int) -> list[xds.Resource]:
        return [listener("l", port, "r"), routes("r", "a"), cluster("a"), endpoints("a", up)]

    up = free_port()
    server = xds.Server(lambda node, peer: "all")
    server.set_snapshot("all", xds.Snapshot.of(resources(up)))
    await server.start(f"127.0.0.1:{xds_port}")
    async with envoy_on(xds_port, tmp_path, delta=True, admin=admin):
        await until(lambda: bool(c := server.clients()) and ROUTE in c[0].types and c[0].synced)
        await server.stop(0)
        second = xds.Server(lambda node, peer: "all")
        second.set_snapshot("all", xds.Snapshot.of(resources(up)))
        await second.start(f"127.0.0.1:{xds_port}")
        try:
            await until(lambda: bool(c := second.clients()) and ROUTE in c[0].types and c[0].synced)
            assert sum(each.bytes_sent for each in second.clients()[0].types.values()) == 0
            second.update("all", [endpoints("a", free_port())])
            await until(lambda: second.clients()[0].types[ENDPOINT].responses == 1)
        finally:
            await second.stop(0)


async def test_the_example_is_a_control_plane(tmp_path) -> None:
    script = Path(__file__).parents[3] / "examples" / "xds_minimal.py"
    xds_port, port = free_port(), free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, str(xds_port), str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert b"xDS on port" in await process.stdout.readline()
        async with (
            envoy_on(xds_port, tmp_path, delta=False, admin=free_port()),
            httpx.AsyncClient(timeout=DEADLINE, trust_env=False) as client,
        ):
            while b"Acked" not in await asyncio.wait_for(process.stdout.readline(), DEADLINE):
                pass
            while b"listener" not in await asyncio.wait_for(process.stdout.readline(), DEADLINE):
                pass
            async with asyncio.timeout(DEADLINE):
                while True:
                    try:
                        assert (await client.get(f"http://127.0.0.1:{port}/")).text == "Ahoy!\n"
                        break
                    except httpx.ConnectError:
                        await asyncio.sleep(0.05)
    finally:
        process.kill()
        await process.wait()
