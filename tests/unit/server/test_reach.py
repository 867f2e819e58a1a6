"""Who reaches a server, and who gets keys from it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from structlog.testing import capture_logs

from mizzen import xds
from mizzen.server.address import Address
from mizzen.server.options import ServeOptions, TlsFiles
from tests.authority import Authority
from tests.self_signed import certificate_and_key
from tests.unit.server.running_process import FREE, NODE_ID, SOTW, options, served

OPEN = Address("0.0.0.0", 0)


def test_only_this_machine_is_let_in_unless_told_otherwise() -> None:
    chosen = ServeOptions(())
    addresses = (chosen.grpc_address, chosen.tls_address, chosen.admin_address)
    assert [address.port for address in addresses] == [15010, 15012, 15014]
    assert all(address.is_loopback for address in addresses)
    assert chosen.tls is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"grpc_address": OPEN}, ["this address is sent the whole mesh in plain text"]),
        (
            {"grpc_address": OPEN, "secrets_to_anyone": True},
            ["this address is sent the whole mesh in plain text, private keys of"],
        ),
        (
            {"admin_address": OPEN},
            ["the admin address can read the status and the configuration of the mesh"],
        ),
        ({"tls_address": OPEN}, []),
    ],
)
async def test_who_listens_for_everybody_is_warned(
    tmp_path: Path, changes: dict[str, Address], said: list[str]
) -> None:
    assert await _warnings(options(tmp_path, start_anyway=True, **changes)) == said


async def test_a_tls_address_for_everybody_needs_an_authority(tmp_path: Path) -> None:
    certificate, key = certificate_and_key()
    files = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    files.certificate.write_text(certificate)
    files.key.touch(mode=0o600)
    files.key.write_text(key)
    chosen = options(tmp_path, tls=files, tls_address=OPEN, start_anyway=True)
    assert await _warnings(chosen) == ["it is sent the whole mesh; use --tls-client-ca"]
    assert await _warnings(replace(chosen, tls_address=FREE)) == []
    demanding = replace(files, client_ca=files.certificate)
    assert await _warnings(replace(chosen, tls=demanding)) == []


async def _warnings(chosen: ServeOptions) -> list[str]:
    """Start and stop; return the end of each warning that says who may reach it."""
    with capture_logs() as lines:
        async with served(chosen) as running:
            assert len(running.process.about()["grpc_addresses"]) == 1 + (chosen.tls is not None)
    warned = [line for line in lines if line["log_level"] == "warning" and "ANYONE" in line["event"]]
    assert all(line["address"].startswith("0.0.0.0:") for line in warned)
    return [
        line["event"].partition("who reaches ")[2].partition(" gateways")[0].partition("; keep")[0]
        for line in warned
    ]


KEY = "kubernetes://shop"


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({}, [KEY]),
        ({"grpc_address": OPEN}, []),
        ({"grpc_address": OPEN, "secrets_to_anyone": True}, [KEY]),
    ],
)
async def test_a_key_goes_to_no_stranger_unless_that_is_wanted(
    edge_folder: tuple[Path, str], changes: dict[str, Any], sent: list[str]
) -> None:
    with capture_logs() as lines:
        async with (
            served(options(edge_folder[0], **changes)) as running,
            running.stream(xds.type_urls.LISTENER),
        ):
            resources = (await running.get("/debug/resources?proxy=ingress.edge")).json()
            diagnostics = (await running.get("/status")).json()["configuration"]["diagnostics"]
            metrics = (await running.get("/metrics")).text
    assert [each["name"] for each in resources["secrets"] if each["name"] == KEY] == sent
    withheld = [each for each in diagnostics if each["code"] == "MZ0301"]
    assert len(withheld) == 1 - len(sent)
    assert f"mizzen_secrets_withheld {1.0 - len(sent)}" in metrics
    assert sum("--secrets-to-anyone" in line["event"] for line in lines) == len(withheld)


@pytest.mark.parametrize(
    ("identity", "account", "refused"),
    [
        ("spiffe://cluster.local/ns/edge/sa/gateway", "gateway", ""),
        ("spiffe://cluster.local/ns/edge/sa/gateway", "", ""),
        (
            "spiffe://cluster.local/ns/reviews/sa/gateway",
            "gateway",
            "spiffe://cluster.local/ns/reviews/sa/gateway",
        ),
        ("spiffe://cluster.local/ns/edge/sa/other", "gateway", "spiffe://cluster.local/ns/edge/sa/other"),
        ("spiffe://elsewhere/ns/edge/sa/gateway", "gateway", "spiffe://elsewhere/ns/edge/sa/gateway"),
        ("", "gateway", "none"),
    ],
)
async def test_a_certificate_is_for_what_the_node_says(
    edge_folder: tuple[Path, str], tmp_path: Path, identity: str, account: str, refused: str
) -> None:
    authority = Authority()
    files = TlsFiles(*authority.issue("localhost").write(tmp_path, "server"), client_ca=tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    own = authority.issue("proxy", uris=(identity,) if identity else ())
    credentials = grpc.ssl_channel_credentials(authority.certificate, own.key, own.certificate)
    async with served(options(edge_folder[0], tls=files, tls_address=OPEN)) as running:
        port = running.process.about()["grpc_addresses"][1].rpartition(":")[2]
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            call = channel.stream_stream(SOTW)()
            request = discovery_pb2.DiscoveryRequest(type_url=xds.type_urls.SECRET, resource_names=[KEY])
            request.node.id = NODE_ID
            request.node.metadata.update({"NAMESPACE": "edge", "LABELS": {"istio": "ingressgateway"}})
            if account:
                request.node.metadata.update({"SERVICE_ACCOUNT": account})
            await call.write(request.SerializeToString())
            if not refused:
                sent = discovery_pb2.DiscoveryResponse.FromString(await asyncio.wait_for(call.read(), 60))
                assert len(sent.resources) == 1
                return
            with pytest.raises(grpc.aio.AioRpcError) as denied:
                await asyncio.wait_for(call.read(), 60)
        status = (await running.get("/status")).json()
        metrics = (await running.get("/metrics")).text
    assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "spiffe://cluster.local/ns/edge/sa/gateway" in str(denied.value.details())
    assert str(denied.value.details()).endswith(f": {refused}")
    assert status["refused_proxies"][0]["reason"] == denied.value.details()
    assert "mizzen_identities_refused_total 1.0" in metrics
