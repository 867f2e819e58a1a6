"""HTTP/3: a gateway that is called by QUIC, and that says so to those who call it otherwise.

The client is an Envoy too: what it gets in HTTP/1.1 it asks for by HTTP/3.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from mizzen.demo.envoy_process import EnvoyProcess, find_envoy
from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.ports import free_port
from mizzen.testing.waiting import DEADLINE, eventually
from tests.authority import Authority, secret

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

PORT = 8443
HOST = "shop.example.com"
ON = {"PROXY_CONFIG": {"proxyMetadata": {"PILOT_ENABLE_QUIC_LISTENERS": "true"}}}


def gateway(path: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: ingress}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {PORT}, name: https, protocol: HTTPS}}
    hosts: [{HOST}]
    tls: {{mode: SIMPLE, credentialName: shop}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec:
  hosts: [{HOST}]
  gateways: [ingress]
  http:
  - match: [{{uri: {{prefix: {path}}}}}]
    route: [{{destination: {{host: reviews}}}}]
"""


def place(host: str, number: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": number}}


def called_by_http3(gateway_address: str, roots: Path) -> dict[str, object]:
    """The cluster of the gateway, for a client that trusts these roots."""
    tls = {
        "sni": HOST,
        "common_tls_context": {"validation_context": {"trusted_ca": {"filename": str(roots)}}},
    }
    quic = "envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport"
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": "gateway",
        "load_assignment": {
            "cluster_name": "gateway",
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": place(gateway_address, PORT)}}]},
            ],
        },
        "transport_socket": {
            "name": "envoy.transport_sockets.quic",
            "typed_config": {"@type": f"type.googleapis.com/{quic}", "upstream_tls_context": tls},
        },
        "typed_extension_protocol_options": {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "explicit_http_config": {"http3_protocol_options": {}},
            }
        },
    }


def http3_client(port: int, admin: str, gateway_address: str, roots: Path) -> str:
    """The bootstrap of an Envoy that passes on what it gets at `port`, by HTTP/3 alone."""
    admin_host, admin_port = admin.split(":")
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    }
    everything = {"match": {"prefix": "/"}, "route": {"cluster": "gateway"}}

    listener = {
        "name": "client",
        "address": place("127.0.0.1", port),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "manager",
                        "typed_config": {
                            "@type": f"type.googleapis.com/{manager}",
                            "stat_prefix": "client",
                            "http_filters": [router],
                            "route_config": {
                                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [everything]}]
                            },
                        },
                    }
                ]
            }
        ],
    }
    cluster = called_by_http3(gateway_address, roots)
    return json.dumps(
        {
            "admin": {"address": place(admin_host, int(admin_port))},
            "static_resources": {"listeners": [listener], "clusters": [cluster]},
        }
    )


@dataclass
class Shop:
    """A gateway, a client that calls it by HTTP/3, and the authority that vouches for it."""

    gateway: Caller
    client: str
    authority: Authority

    async def by_http3(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            return await client.get(f"http://{self.client}{path}", headers={"host": HOST})

    async def by_tls(self, path: str) -> httpx.Response:
        context = self.authority.client_context()
        async with httpx.AsyncClient(verify=context, trust_env=False, timeout=60) as client:
            return await client.get(
                f"https://{self.gateway.address}:{PORT}{path}",
                headers={"host": HOST},
                extensions={"sni_hostname": HOST},
            )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(mesh: LiveMesh) -> AsyncIterator[Shop]:
    authority = Authority()
    roots = mesh.directory / "roots.pem"
    roots.write_bytes(authority.certificate)
    await mesh.workload("reviews", version="v1")
    mesh.write("secret.yaml", secret("shop", authority.issue(HOST)))
    mesh.write("gateway.yaml", gateway("/"))
    caller = await mesh.gateway(metadata=ON)
    port, admin = free_port(), f"127.0.0.1:{free_port()}"
    envoy = await EnvoyProcess.start(
        "http3-client",
        http3_client(port, admin, caller.address, roots),
        admin=admin,
        directory=mesh.directory,
        binary=find_envoy(),
    )
    try:
        await envoy.wait_ready(caller.http, DEADLINE)
        yield Shop(caller, f"127.0.0.1:{port}", authority)
    finally:
        await envoy.stop()


async def test_a_gateway_is_called_by_http3(mesh: LiveMesh, shop: Shop) -> None:
    await mesh.settled()

    async def answered() -> bool:
        return (await shop.by_http3("/a")).status_code == 200

    await eventually(answered, "the gateway answers by HTTP/3")
    answer = await shop.by_http3("/a")
    assert answer.json()["workload"] == "reviews-v1"
    assert answer.json()["headers"]["x-forwarded-proto"] == "https"
    assert await shop.gateway.stat(r"^http\..*downstream_rq_http3_total$") >= 1


async def test_it_says_so_to_others(mesh: LiveMesh, shop: Shop) -> None:
    await mesh.settled()
    answer = await shop.by_tls("/a")
    assert answer.status_code == 200
    assert answer.headers["alt-svc"] == f'h3=":{PORT}"; ma=86400'


async def test_a_change_of_routes_holds_for_both(mesh: LiveMesh, shop: Shop) -> None:
    await mesh.apply("gateway.yaml", gateway("/new"))
    for call in (shop.by_http3, shop.by_tls):
        assert (await call("/new")).status_code == 200
        assert (await call("/a")).status_code == 404
    await mesh.apply("gateway.yaml", gateway("/"))
