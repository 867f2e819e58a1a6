from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from mizzen.mesh.snapshot import Mesh
from mizzen.server.address import Address
from mizzen.server.admin import application
from mizzen.server.admin_hosts import Hosts


class Server:
    """Something to be observed."""

    mesh = Mesh.build(())
    moment = None

    def __init__(self) -> None:
        self.ready = False
        self.waiting_for: tuple[str, ...] = ()

    def metrics(self) -> bytes:
        return b"mizzen_proxies 2\n"

    async def status(self, proxy: str | None = None) -> Mapping[str, Any]:
        return {"proxies": [proxy]}

    async def resources(self, proxy: str) -> Mapping[str, Any] | None:
        return {"clusters": []} if proxy == "a.default" else None

    async def table(self, proxy: str, kind: str) -> Mapping[str, Any] | None:
        return {"kind": kind, "rows": []} if proxy == "a.default" else None

    async def difference(self, proxy: str) -> Mapping[str, Any] | None:
        return {"rows": []} if proxy == "a.default" else None

    def proxies(self) -> list[str]:
        return ["a.default"]

    def seconds_gone(self, proxy: str) -> float | None:
        return None

    def recent_changes(self) -> list[dict[str, Any]]:
        return []

    def about(self) -> Mapping[str, Any]:
        return {"name": "mizzen"}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=application(server, Hosts(Address("127.0.0.1", 15014))))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as asking:
        yield asking


async def test_it_is_ready_when_proxies_are_served(server: Server, client: httpx.AsyncClient) -> None:
    starting = await client.get("/ready")
    assert (starting.status_code, starting.text) == (503, "starting: the configuration is being read\n")
    server.waiting_for = ("a.yaml:3: is wrong", "b.yaml: is empty")
    waiting = await client.get("/ready")
    assert (waiting.status_code, waiting.text) == (503, "waiting for\na.yaml:3: is wrong\nb.yaml: is empty\n")
    server.ready = True
    assert (await client.get("/ready")).status_code == 200


async def test_metrics_are_text_for_prometheus(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.text == "mizzen_proxies 2\n"
    assert answer.headers["content-type"].startswith("text/plain; version=")


async def test_the_status_of_all_or_of_one(client: httpx.AsyncClient) -> None:
    assert (await client.get("/status")).json() == {"proxies": [None]}
    assert (await client.get("/status?proxy=a")).json() == {"proxies": ["a"]}


async def test_resources_are_those_of_a_proxy_that_is_there(client: httpx.AsyncClient) -> None:
    assert (await client.get("/debug/resources?proxy=a.default")).json() == {"clusters": []}
    absent = await client.get("/debug/resources?proxy=b")
    assert (absent.status_code, absent.text) == (404, "no proxy 'b' is connected; connected: a.default\n")
    unnamed = await client.get("/debug/resources")
    assert unnamed.status_code == 400
    assert unnamed.text == "name a proxy: /debug/resources?proxy=ID; connected: a.default\n"


async def test_tables_are_of_a_kind_and_a_proxy(client: httpx.AsyncClient) -> None:
    answer = await client.get("/debug/table?proxy=a.default&kind=routes")
    assert answer.json() == {"kind": "routes", "rows": []}
    absent = await client.get("/debug/table?proxy=b&kind=routes")
    assert (absent.status_code, absent.text) == (404, "no proxy 'b' is connected; connected: a.default\n")
    wrong = await client.get("/debug/table?proxy=a.default&kind=roads")
    assert wrong.status_code == 400
    assert wrong.text == "kind is one of clusters, endpoints, listeners, routes, secrets, not 'roads'\n"
    assert (await client.get("/debug/diff?proxy=a.default")).json() == {"rows": []}


async def test_where_no_proxy_is_connected_that_is_said(
    server: Server, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "proxies", lambda: [])
    answer = await client.get("/debug/resources?proxy=b")
    assert answer.text == "no proxy 'b' is connected; connected: none\n"
    monkeypatch.setattr(server, "seconds_gone", {"b": 125.0}.get)
    answer = await client.get("/debug/table?proxy=b&kind=routes")
    assert answer.status_code == 404
    assert answer.text == "proxy 'b' is gone: it disconnected 2 min 5 s ago; connected: none\n"
    monkeypatch.setattr(server, "proxies", lambda: ["a", "b"])
    assert (await client.get("/debug/resources")).text.endswith("; connected: a, b\n")


async def test_it_says_what_runs_here(client: httpx.AsyncClient) -> None:
    assert (await client.get("/version")).json() == {"name": "mizzen"}
    assert (await client.get("/nothing")).status_code == 404
