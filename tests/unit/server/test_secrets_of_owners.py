"""Who is given which secret over the encrypted channel: each proxy its own, and gateways what they name."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

from mizzen import xds
from tests.self_signed import certificate_and_key
from tests.unit.server.running_process import GATEWAY, SOTW
from tests.unit.server.test_channel import Channel, channel, names_of

NAMED, UNNAMED, ELSEWHERE = "kubernetes://shop", "kubernetes://unnamed", "kubernetes://bank"
INGRESS = {"istio": "ingressgateway"}


def write_mesh(folder: Path) -> None:
    """A Gateway in `edge` that names a Secret of its namespace, one that is not named, one of another."""
    certificate, key = certificate_and_key()
    for name, namespace in (("shop", "edge"), ("unnamed", "edge"), ("bank", "other")):
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": certificate, "tls.key": key},
        }
        (folder / f"{name}.json").write_text(json.dumps(secret))
    (folder / "gateway.yaml").write_text(GATEWAY)
    reaching = GATEWAY.replace("name: shop,", "name: reaching,").replace("443", "444")
    (folder / "reaching.yaml").write_text(reaching.replace("credentialName: shop", "credentialName: bank"))


async def given(
    control: Channel, namespace: str, kind: str, labels: dict[str, str], names: Sequence[str]
) -> dict[str, Any]:
    """The secrets that a proxy is sent which asks for these and for its own; it is who it says."""
    async with control.connect() as connection:
        metadata = (("authorization", f"Bearer {control.token(namespace, 'account')}"),)
        call = connection.stream_stream(SOTW)(metadata=metadata)
        request = discovery_pb2.DiscoveryRequest(
            type_url=xds.type_urls.SECRET, resource_names=[*names, "default", "ROOTCA"]
        )
        request.node.id = f"{kind}~10.0.0.7~proxy.{namespace}~{namespace}.svc.cluster.local"
        request.node.metadata.update({"NAMESPACE": namespace, "LABELS": labels})
        await call.write(request.SerializeToString())
        response = discovery_pb2.DiscoveryResponse.FromString(await asyncio.wait_for(call.read(), 30))
        assert call.done() is False
    found = {}
    for each in response.resources:
        secret = secret_pb2.Secret()
        each.Unpack(secret)
        found[secret.name] = secret
    return found


@pytest.mark.parametrize(
    ("namespace", "kind", "labels", "expected"),
    [
        ("edge", "router", INGRESS, {NAMED}),
        ("edge", "router", {"istio": "another"}, set()),
        ("edge", "sidecar", INGRESS, set()),
        ("other", "router", INGRESS, {ELSEWHERE}),  # both Gateways select it, in whatever namespace it is
        ("other", "sidecar", {}, set()),
    ],
    ids=["its gateway", "a gateway that nothing selects", "a sidecar", "another namespace", "a stranger"],
)
async def test_secrets_go_to_gateways_of_their_namespace_that_name_them(
    tmp_path: Path, namespace: str, kind: str, labels: dict[str, str], expected: set[str]
) -> None:
    async with channel(tmp_path, prepare=write_mesh) as control:
        found = await given(control, namespace, kind, labels, (NAMED, UNNAMED, ELSEWHERE))
    assert found.keys() == {*expected, "default", "ROOTCA"}
    own = names_of(found["default"].tls_certificate.certificate_chain.inline_bytes)
    assert own == [f"spiffe://cluster.local/ns/{namespace}/sa/account"]


async def test_no_name_of_a_secret_leads_to_the_key_of_another(tmp_path: Path) -> None:
    """A proxy may ask for any name; only `default` is a certificate, and it is its own."""
    async with channel(tmp_path, prepare=write_mesh) as control:
        other = await given(control, "edge", "sidecar", {}, ())
        tried = (
            "spiffe://cluster.local/ns/edge/sa/account",
            "default.edge",
            "kubernetes://edge/shop",
            "kubernetes-gateway://edge/shop",
            "../ca/ca-key.pem",
            f"file-cert:{control.state}/ca/ca-cert.pem~{control.state}/ca/ca-key.pem",
        )
        found = await given(control, "other", "router", INGRESS, tried)
    assert found.keys() == {"default", "ROOTCA"}
    assert found["default"] != other["default"]


async def test_an_address_of_loopback_is_bound_and_no_other(tmp_path: Path) -> None:
    """The plain port, which asks nobody who he is, is at 127.0.0.1 unless told otherwise."""
    async with channel(tmp_path) as control:
        host, _, port = control.plain.rpartition(":")
        assert host == "127.0.0.1"
        socket.create_connection((host, int(port)), 30).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", int(port)), 30)
