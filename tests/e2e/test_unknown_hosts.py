"""What becomes of requests for hosts that no YAML names."""

from __future__ import annotations

import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import GATEWAY_PORT, LiveMesh

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def reviews(mesh: LiveMesh) -> None:
    await mesh.workload("reviews", version="v1")


async def test_registry_only_answers_502(mesh: LiveMesh) -> None:
    client = await mesh.client("strict", policy="REGISTRY_ONLY")
    await mesh.settled()
    assert (await client.get("http://reviews/")).status_code == 200
    answer = await client.get("http://unknown.example.com/")
    assert answer.status_code == 502
    assert not answer.content


async def test_allow_any_passes_it_on_to_where_it_was_going(mesh: LiveMesh) -> None:
    """Without capture the client was going to the proxy itself, so that there is nowhere to pass it on to.

    tests/e2e/test_capture.py shows where it goes with capture.
    """
    client = await mesh.client("open", policy="ALLOW_ANY")
    await mesh.settled()
    assert (await client.get("http://reviews/")).status_code == 200
    assert (await client.get("http://unknown.example.com/")).status_code == 503
    assert await client.stat("^cluster.PassthroughCluster;.upstream_cx_none_healthy$") == 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(mesh: LiveMesh) -> Caller:
    return await mesh.gateway()


async def test_a_gateway_answers_404_to_an_unknown_host_and_to_an_unknown_path(
    mesh: LiveMesh, gateway: Caller
) -> None:
    mesh.write(
        "gateway.yaml",
        f"""
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {{name: ingress}}
        spec:
          selector: {{istio: ingressgateway}}
          servers:
            - port: {{number: {GATEWAY_PORT}, name: http, protocol: HTTP}}
              hosts: [shop.example.com]
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: shop}}
        spec:
          hosts: [shop.example.com]
          gateways: [ingress]
          http:
            - match: [{{uri: {{prefix: /known}}}}]
              route: [{{destination: {{host: reviews}}}}]
        """,
    )
    await mesh.settled()
    assert (await gateway.get("http://shop.example.com/known")).status_code == 200
    assert (await gateway.get("http://shop.example.com/unknown")).status_code == 404
    assert (await gateway.get("http://unknown.example.com/known")).status_code == 404


async def test_a_gateway_without_any_virtual_service_answers_404(mesh: LiveMesh, gateway: Caller) -> None:
    mesh.write(
        "bare.yaml",
        """
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: bare}
        spec:
          selector: {istio: ingressgateway}
          servers: [{port: {number: 8081, name: http, protocol: HTTP}, hosts: ["*"]}]
        """,
    )
    await mesh.settled()
    assert (await gateway.at(8081).get("http://any.example.com/")).status_code == 404
