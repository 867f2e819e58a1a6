"""`mizzen describe` asked of a running server: what is in force, and which proxies are connected."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import grpc
import pytest

from mizzen import xds
from mizzen.explain.describe.description import Description
from tests.unit.docs.shown_commands import printed
from tests.unit.server.running_process import NODE_ID, SOTW, Running, options, served
from tests.unit.server.test_proxy_tables import GATEWAY, Gateway

SERVICE = """\
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: edge}
spec: {selector: {app: shop}, clusterIP: 10.1.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ingress, namespace: edge}
spec: {address: ADDRESS, labels: {app: shop, istio: ingressgateway}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: edge}
spec: {host: shop, subsets: [{name: v9, labels: {version: v9}}]}
""".replace("ADDRESS", NODE_ID.split("~")[1])


async def description(running: Running, name: str) -> Description:
    answer = await running.get(f"/debug/describe?name={name}")
    assert answer.status_code == 200, answer.text
    return Description.from_dict(answer.json())


async def fact_until(running: Running, name: str, title: str, wanted: str) -> Description:
    """The description once a fact of it reads so."""
    async with asyncio.timeout(60):
        while True:
            found = await description(running, name)
            if dict(found.facts)[title].startswith(wanted):
                return found
            await asyncio.sleep(0.005)


async def test_it_says_what_is_in_force_and_who_is_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mesh.yaml").write_text(GATEWAY + SERVICE)
    async with served(options(tmp_path)) as running:
        await fact_until(running, "ingress", "proxy", "not connected")
        async with grpc.aio.insecure_channel(running.process.about()["grpc_addresses"][0]) as channel:
            gateway = Gateway(channel.stream_stream(SOTW)())
            await gateway.ask()
            sent = await gateway.read()
            await fact_until(running, "ingress", "proxy", "connected; it has not accepted 1 of its resources")
            await gateway.ask(response_nonce=sent.nonce, version_info=sent.version_info)
            found = await fact_until(running, "ingress", "proxy", "connected; it has accepted all")
            assert [rule.what for rule in found.rules if rule.kind == "Gateway"] == ["it serves this Gateway"]
            service = await fact_until(running, "shop", "proxies", "1 of 1 endpoints")
            assert [each.workload for each in service.endpoints] == ["ingress"]
            # Diagnostics about documents together come a moment after the documents are in force.
            async with asyncio.timeout(60):
                while not (service := await description(running, "shop")).odd:
                    await asyncio.sleep(0.005)
            assert {odd.code for odd in service.odd} == {"IST0173"}

            admin = running.process.about()["admin_address"]
            command = f"mizzen describe shop.edge -o json --admin {admin}"
            out, code = await asyncio.to_thread(printed, command, monkeypatch, capsys)
            assert code == 0
            # The server of the test writes its log there too.
            values, _ = json.JSONDecoder().raw_decode(out[out.index("{\n") :])
            assert Description.from_dict(values).odd == service.odd
        await fact_until(running, "ingress", "proxy", "gone ")


BESIDE_THE_GATEWAY = """\
---
apiVersion: v1
kind: Service
metadata: {name: books, namespace: edge}
spec: {selector: {app: books}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: books-1, namespace: edge}
spec: {address: ADDRESS, labels: {app: books}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: every-gateway, namespace: edge}
spec: {servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: [books.example]}]}
""".replace("ADDRESS", NODE_ID.split("~")[1])


async def test_a_gateway_at_the_address_of_a_workload_is_not_its_proxy(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(GATEWAY + BESIDE_THE_GATEWAY)
    async with served(options(tmp_path)) as running, running.stream(xds.type_urls.LISTENER):
        workload, service = await description(running, "books-1"), await description(running, "books")
        assert dict(workload.facts)["proxy"] == "not connected"
        assert dict(service.facts)["proxies"].startswith("0 of 1 endpoints")


BOOKS_NODE = NODE_ID.replace("router~", "sidecar~").replace(NODE_ID.split("~")[2], "books-1.edge")


async def test_the_sidecar_of_one_of_two_workloads_at_an_address_is_not_that_of_the_other(
    tmp_path: Path,
) -> None:
    (tmp_path / "mesh.yaml").write_text(SERVICE + BESIDE_THE_GATEWAY)
    async with served(options(tmp_path)) as running, running.stream(xds.type_urls.LISTENER, BOOKS_NODE):
        for workload, service, proxy, proxies in (
            ("books-1", "books", "connected", "1 of 1"),
            ("ingress", "shop", "not connected", "0 of 1"),
        ):
            assert dict((await description(running, workload)).facts)["proxy"].startswith(proxy)
            assert dict((await description(running, service)).facts)["proxies"].startswith(proxies)


async def test_a_name_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(GATEWAY + SERVICE)
    async with served(options(tmp_path)) as running:
        unknown = await running.get("/debug/describe?name=shopp")
        assert unknown.status_code == 404
        assert "did you mean shop.edge" in unknown.text
        assert (await running.get("/debug/describe")).status_code == 400
