"""`mizzen why` asked of a running server: whom it knows, and what it says of whom it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen import xds
from tests.unit.server.running_process import Running, options, served
from tests.unit.server.test_proxy_tables import GATEWAY

WORKLOAD = """\
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: edge}
spec: {selector: {app: shop}, clusterIP: 10.1.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: public, namespace: edge}
spec: {address: 10.0.0.1, labels: {app: shop}}
"""


async def said(running: Running, caller: str) -> str:
    return (await running.get(f"/debug/why?url=http://10.1.0.1/&from={caller}")).text.strip()


@pytest.mark.parametrize("name", ["shop.edge", "edge/shop", "ingress.edge"])
async def test_the_name_of_a_gateway_is_known_as_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "mesh.yaml").write_text(GATEWAY)
    async with served(options(tmp_path)) as running, running.stream(xds.type_urls.LISTENER):
        assert (await said(running, name)).startswith(f'"{name}" is a gateway, not a workload; ')
        assert f"--gateway {name}" in await said(running, name)


async def test_an_unknown_name_is_told_who_was_meant_and_who_is_connected(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(GATEWAY + WORKLOAD)
    async with served(options(tmp_path)) as running, running.stream(xds.type_urls.LISTENER):
        assert (await said(running, "publik")) == (
            'no workload is named "publik"; did you mean public.edge? (connected: ingress.edge)'
        )


@pytest.mark.parametrize("name", ["shop-1", "shop-1.edge", "shop", "shop.edge.svc.cluster.local"])
async def test_a_connected_proxy_is_known_by_its_service_too(tmp_path: Path, name: str) -> None:
    (tmp_path / "mesh.yaml").write_text(WORKLOAD.replace("name: public,", "name: shop-1,"))
    node = "sidecar~10.0.0.1~shop-1.edge~edge.svc.cluster.local"
    async with served(options(tmp_path)) as running, running.stream(xds.type_urls.LISTENER, node):
        answer = (await running.get(f"/debug/why?url=http://10.1.0.1/&from={name}")).json()
        assert not [note for note in answer["notes"] if "not connected" in note]


async def test_a_proxy_without_a_stream_is_told_of_by_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(GATEWAY + WORKLOAD)
    async with served(options(tmp_path)) as running:
        answer = (await running.get("/debug/why?url=http://10.1.0.1/&from=public")).json()
        [note] = answer["notes"]
        assert note.startswith("public.edge is not connected")
        assert "no open stream to this server now" in note
        assert "computed from the configuration" in note
