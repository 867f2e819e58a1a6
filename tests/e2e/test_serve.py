"""`mizzen serve` as people run it: with real Envoys, and in bad situations."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from mizzen.testing.live_mesh import GATEWAY_PORT, SERVICE_PORT, LiveMesh
from mizzen.testing.ports import free_port
from mizzen.testing.waiting import DEADLINE, eventually
from tests.e2e.serving import ADS, CDS, NODE, first_answer, started
from tests.forked_mizzen import launch, mizzen

GATEWAY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "ingress", "namespace": "default"},
    "spec": {
        "selector": {"istio": "ingressgateway"},
        "servers": [{"port": {"number": GATEWAY_PORT, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
    },
}


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[LiveMesh]:
    async with LiveMesh(tmp_path, launch=launch) as running:
        yield running


@pytest.mark.envoy
async def test_a_rejection_is_shown_with_envoys_words_and_the_line_of_yaml(mesh: LiveMesh) -> None:
    address = mesh.network.address(2)
    with socket.socket() as occupant:
        occupant.bind((address, GATEWAY_PORT))
        occupant.listen()
        written = mesh.write("gateway.yaml", {**GATEWAY, "spec": _bound(address)})
        await mesh.gateway()

        async def rejected() -> bool:
            return bool((await mesh.status())["rejections"])

        await eventually(rejected, "the listener is rejected")
        status = await mesh.status()
        [rejection] = status["rejections"]
        assert rejection["proxy"] == "ingress.default"
        assert rejection["type"] == "LDS"
        assert "cannot bind" in rejection["message"]
        [resource] = rejection["resources"]
        assert any(re.fullmatch(re.escape(str(written)) + r":\d+", place) for place in resource["origins"])
        [proxy] = status["proxies"]
        assert proxy["types"]["LDS"]["state"] == "REJECTED"
        assert proxy["types"]["CDS"]["state"] == "ACKED"

        code, out, _ = await mizzen("status", "--admin", mesh.admin, "--fail-on-rejected")
        assert code == 1
        assert "cannot bind" in out
        assert str(written) in out
        assert mesh.log().count("a proxy rejected what it was sent") == 1
        metrics = (await mesh.http.get(f"http://{mesh.admin}/metrics")).text
        assert 'mizzen_xds_rejected_total{type="LDS"} 1.0' in metrics


def _bound(address: str) -> dict[str, Any]:
    server = {**GATEWAY["spec"]["servers"][0], "bind": address}  # type: ignore[index]
    return {**GATEWAY["spec"], "servers": [server]}  # type: ignore[dict-item]


@pytest.mark.envoy
async def test_calls_go_on_while_a_document_is_invalid_and_follow_it_when_mended(
    mesh: LiveMesh,
) -> None:
    await mesh.workload("reviews", version="v1")
    caller = await mesh.client()
    await caller.eventually("http://reviews:9080/", lambda answer: answer.json()["version"] == "v1")
    rules = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews"},
        "spec": {"hosts": ["reviews"], "http": [{"directResponse": {"status": 418}}]},
    }
    written = mesh.write("rules.yaml", rules)
    await caller.eventually("http://reviews:9080/", lambda answer: answer.status_code == 418)

    mesh.write("rules.yaml", {**rules, "spec": {"hosts": ["reviews"], "http": [{"direktResponse": {}}]}})

    async def refused() -> bool:
        return bool((await mesh.status())["configuration"]["refused"])

    await eventually(refused, "the document is refused")
    assert (await caller.get("http://reviews:9080/")).status_code == 418
    [document] = (await mesh.status())["configuration"]["refused"]
    assert document["document"] == "VirtualService/default/reviews"
    assert document["in_force"].startswith(str(written))
    assert "directResponse" in document["diagnostics"][0]["message"], "the nearest name is offered"
    code, out, _ = await mizzen("status", "--admin", mesh.admin)
    assert code == 0
    assert f"{written}:" in out

    mended = {"hosts": ["reviews"], "http": [{"directResponse": {"status": 200}}]}
    mesh.write("rules.yaml", {**rules, "spec": mended})
    await caller.eventually("http://reviews:9080/", lambda answer: answer.status_code == 200)

    async def mended_in_the_status() -> bool:
        return (await mesh.status())["configuration"]["refused"] == []

    # Proxies come first, then the status.
    await eventually(mended_in_the_status, "no document is refused any more")


@pytest.mark.envoy
async def test_proxies_keep_all_they_have_when_the_folder_or_the_server_goes(mesh: LiveMesh) -> None:
    await mesh.workload("reviews", version="v1")
    caller = await mesh.client()
    url = "http://reviews:9080/"
    await caller.eventually(url, lambda answer: answer.status_code == 200)

    away = mesh.config.with_name("away")
    mesh.config.rename(away)

    async def noticed() -> bool:
        diagnostics = (await mesh.status())["configuration"]["diagnostics"]
        return any(diagnostic["severity"] == "error" for diagnostic in diagnostics)

    await eventually(noticed, "the vanished folder is an error in the status")
    assert (await caller.get(url)).status_code == 200
    away.rename(mesh.config)

    async def well() -> bool:
        return (await mesh.status())["configuration"]["errors"] == 0

    await eventually(well, "the folder is back")

    assert mesh.control_plane is not None
    await mesh.control_plane.stop()
    assert (await caller.get(url)).status_code == 200
    await mesh.start_control_plane()

    async def back() -> bool:
        proxies = (await mesh.status())["proxies"]
        return bool(proxies) and all(
            held["state"] == "ACKED" for proxy in proxies for held in proxy["types"].values()
        )

    await eventually(back, "the proxy is back and has accepted all")
    assert (await caller.get(url)).status_code == 200


@pytest.mark.envoy
async def test_what_a_proxy_is_sent_can_be_read(mesh: LiveMesh) -> None:
    await mesh.workload("reviews", version="v1")
    caller = await mesh.client()
    await caller.eventually("http://reviews:9080/", lambda answer: answer.status_code == 200)
    answer = await mesh.http.get(f"http://{mesh.admin}/debug/resources", params={"proxy": "client.default"})
    names = [cluster["name"] for cluster in answer.json()["clusters"]]
    assert f"outbound|{SERVICE_PORT}||reviews.default.svc.cluster.local" in names
    unknown = await mesh.http.get(f"http://{mesh.admin}/debug/resources", params={"proxy": "nobody"})
    assert unknown.status_code == 404
    assert "client.default" in unknown.text
    detail = (await mesh.http.get(f"http://{mesh.admin}/status", params={"proxy": caller.node_id})).json()
    [proxy] = detail["proxies"]
    assert f"outbound|{SERVICE_PORT}||reviews.default.svc.cluster.local" in proxy["types"]["EDS"]["names"]
    metrics = (await mesh.http.get(f"http://{mesh.admin}/metrics")).text
    assert 'mizzen_proxies{type="sidecar"} 1.0' in metrics
    assert "mizzen_convergence_seconds_count" in metrics


async def test_a_node_that_is_no_proxy_gets_a_helpful_error_and_one_line_in_the_log(mesh: LiveMesh) -> None:
    for _ in range(3):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await first_answer(mesh.grpc, "test-id")
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "sidecar~10.0.0.7~" in refusal.value.details()
    assert mesh.log().count("test-id") == 1
    metrics = (await mesh.http.get(f"http://{mesh.admin}/metrics")).text
    assert "mizzen_streams_refused_total 3.0" in metrics


async def test_garbage_on_the_port_hurts_nobody(mesh: LiveMesh) -> None:
    host, _, port = mesh.grpc.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with contextlib.suppress(ConnectionError):
        writer.write(os.urandom(4096))
        await writer.drain()
        await asyncio.wait_for(reader.read(), DEADLINE)
    writer.close()
    async with grpc.aio.insecure_channel(mesh.grpc) as channel:
        stream = channel.stream_stream(ADS)()
        await stream.write(b"\xff\xff\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stream.read()
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    answer = await first_answer(mesh.grpc, NODE)
    assert {resource.name for resource in answer.resources} >= {"BlackHoleCluster", "PassthroughCluster"}
    assert "Traceback" not in mesh.log()


async def test_a_second_server_on_the_same_port_says_who_is_there(mesh: LiveMesh, tmp_path: Path) -> None:
    assert mesh.control_plane is not None
    for grpc_address, admin in (
        (mesh.grpc, mesh.admin),
        (f"127.0.0.1:{free_port()}", mesh.admin),
    ):
        code, _, err = await mizzen(
            *("serve", "--config", str(mesh.config)),
            *("--grpc-address", grpc_address, "--admin-address", admin),
        )
        assert code == 1
        assert f"process {mesh.control_plane.pid}" in err
        assert "Traceback" not in err
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        code, _, err = await mizzen(
            *("serve", "--config", str(mesh.config)),
            *("--grpc-address", taken, "--admin-address", f"127.0.0.1:{free_port()}"),
        )
    assert code == 1
    assert f"--grpc-address {taken}: something else listens on this port already" in err


async def test_started_anyway_no_configuration_is_served_as_an_empty_mesh_until_there_is_some(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "not-yet"
    server, admin, [grpc_address], log = await started(tmp_path, "--config", str(folder))
    try:
        answer = await first_answer(grpc_address, NODE)
        assert "BlackHoleCluster" in {resource.name for resource in answer.resources}
        assert "no configuration is in force" in log.read_text(encoding="utf-8")
        assert str(folder) in log.read_text(encoding="utf-8")
        folder.mkdir()
        (folder / "a.yaml").write_text(json.dumps(GATEWAY), encoding="utf-8")
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:

            async def there() -> bool:
                status = (await client.get(f"http://{admin}/status")).json()
                return status["configuration"]["documents"] == {"Gateway": 1}

            await eventually(there, "the folder that was made is read")
    finally:
        await server.stop()


async def test_the_mesh_configuration_is_read_again_when_it_is_saved(tmp_path: Path) -> None:
    settings = tmp_path / "mesh.yaml"
    settings.write_text("rootNamespace: istio-system\n", encoding="utf-8")
    folder = tmp_path / "config"
    folder.mkdir()
    server, admin, _, _ = await started(tmp_path, "--config", str(folder), "--mesh-config", str(settings))
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:

            async def diagnostics() -> list[str]:
                status = (await client.get(f"http://{admin}/status")).json()
                return [each["file"] for each in status["configuration"]["diagnostics"]]

            async def named() -> bool:
                return str(settings) in await diagnostics()

            async def well() -> bool:
                return str(settings) not in await diagnostics()

            assert await well()
            settings.write_text("outboundTrafficPolicy: {mode: SOMETIMES}\n", encoding="utf-8")
            await eventually(named, "the invalid settings are told")
            settings.write_text("outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n", encoding="utf-8")
            await eventually(well, "the mended settings are read")
    finally:
        await server.stop()


async def test_a_log_that_cannot_be_written_does_not_keep_it_from_serving(tmp_path: Path) -> None:
    ports = free_port(), free_port()
    full = os.open("/dev/full", os.O_WRONLY)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mizzen", "serve", "--start-anyway", "--config", str(tmp_path)),
        *("--grpc-address", f"127.0.0.1:{ports[0]}", "--admin-address", f"127.0.0.1:{ports[1]}"),
        stdout=full,
        stderr=full,
    )
    os.close(full)
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE) as client:

            async def ready() -> bool:
                assert process.returncode is None
                with contextlib.suppress(httpx.TransportError):
                    return (await client.get(f"http://127.0.0.1:{ports[1]}/ready")).is_success
                return False

            await eventually(ready, "it serves without a log")
            assert (await first_answer(f"127.0.0.1:{ports[0]}", NODE)).resources
            metrics = (await client.get(f"http://127.0.0.1:{ports[1]}/metrics")).text
            lost = re.search(r"mizzen_log_lines_lost_total (\d+)", metrics)
            assert lost is not None
            assert int(lost[1]) > 0
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), DEADLINE)


async def test_it_drains_and_ends_well_when_told_to(tmp_path: Path) -> None:
    server, _, [grpc_address], log = await started(
        tmp_path, "--config", str(tmp_path), "--log-format", "json"
    )
    async with grpc.aio.insecure_channel(grpc_address) as channel:
        stream = channel.stream_stream(
            ADS,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )()
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=CDS)
        request.node.id = NODE
        await stream.write(request)
        assert (await stream.read()).resources
        stopping = asyncio.create_task(server.stop(grace=DEADLINE))
        # On a busy machine the connection may go before the stream's last word is read.
        with contextlib.suppress(grpc.aio.AioRpcError):
            while await asyncio.wait_for(stream.read(), DEADLINE) is not grpc.aio.EOF:
                pass
        assert await stream.code() in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
        await stopping
    assert server.returncode == 0
    events = [json.loads(line)["event"] for line in log.read_text(encoding="utf-8").splitlines()]
    assert events[-1] == "stopped"
    assert "proxy connected" in events
