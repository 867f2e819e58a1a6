"""What an Envoy rejects is shown beside the line of YAML that it comes from, and hurts nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import GATEWAY_PORT, LiveMesh
from mizzen.testing.waiting import eventually
from tests.forked_mizzen import launch, mizzen

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

REASON = "failed to create an expression"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[True, False], ids=["delta", "sotw"])
async def mesh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LiveMesh]:
    async with LiveMesh(tmp_path_factory.mktemp("mesh"), delta=request.param, launch=launch) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    for app in ("reviews", "ratings"):
        await mesh.workload(app, version="v1")
    client = await mesh.client(more_ports={9090: "HTTP"})
    await mesh.settled()
    return client


def rule(name: str, value: str) -> str:
    """Return a VirtualService that sets a header, in its line 7."""
    return f"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}]
  http:
    - headers: {{request: {{set: {{x-state: "{value}"}}}}}}
      route: [{{destination: {{host: {name}}}}}]
"""


async def rejected(mesh: LiveMesh) -> bool:
    """Tell whether a route is rejected."""
    return any(each["type"] == "RDS" for each in (await mesh.status())["rejections"])


async def test_a_rejected_route_keeps_its_last_version_until_it_is_mended(
    mesh: LiveMesh, client: Caller
) -> None:
    """`%CEL(Foo{a:1})%` is left to Envoy, which knows no such type."""
    await mesh.apply("ratings.yaml", rule("ratings", "first"))
    path = mesh.write("reviews.yaml", rule("reviews", "%CEL(Foo{a:1})%"))
    await eventually(lambda: rejected(mesh), "the route is rejected")

    status = await mesh.status()
    [rejection] = status["rejections"]
    assert (rejection["proxy"], rejection["type"]) == ("client.default", "RDS")
    assert REASON in rejection["message"]
    [resource] = rejection["resources"]
    assert resource["name"] == "9080"
    assert f"{path}:7" in resource["origins"]
    [proxy] = status["proxies"]
    states = {kind: held["state"] for kind, held in proxy["types"].items()}
    assert states["RDS"] == "REJECTED"
    assert {states[kind] for kind in ("CDS", "EDS", "LDS")} == {"ACKED"}
    code, table, _ = await mizzen("status", "--admin", mesh.admin, "--fail-on-rejected")
    assert code == 1
    assert REASON in table
    assert f"{path}:7" in table

    mesh.write("reviews.yaml", "# Three\n# lines of\n# comment.\n" + rule("reviews", "%CEL(Foo{a:1})%"))

    async def at_its_new_line() -> bool:
        [rejection] = (await mesh.status())["rejections"]
        return f"{path}:10" in rejection["resources"][0]["origins"]

    await eventually(at_its_new_line, "the line that is told is the one where the rule stands now")
    assert mesh.log().count(REASON) == 1, "said once, not again and again"

    assert (await client.get("http://ratings/")).json()["headers"]["x-state"] == "first"
    assert (await client.get("http://reviews/")).status_code == 200

    mesh.write("reviews.yaml", rule("reviews", "mended"))
    answer = await client.eventually(
        "http://reviews/", lambda answer: answer.json()["headers"].get("x-state") == "mended"
    )
    assert answer.status_code == 200

    async def well() -> bool:
        return not await rejected(mesh)

    await eventually(well, "nothing is rejected any more")
    code, _, _ = await mizzen("status", "--admin", mesh.admin, "--fail-on-rejected")
    assert code == 0


async def test_endpoints_and_clusters_change_on_while_a_route_is_rejected(
    mesh: LiveMesh, client: Caller
) -> None:
    mesh.write("reviews.yaml", rule("reviews", "%CEL(Foo{a:1})%"))
    await eventually(lambda: rejected(mesh), "the route is rejected")
    second = await mesh.workload("reviews", version="v2")

    async def called() -> bool:
        await client.get("http://reviews/")
        return bool(second.requests)

    await eventually(called, "the new endpoint is called")
    mesh.write("reviews.yaml", rule("reviews", "mended"))

    async def well() -> bool:
        return not await rejected(mesh)

    await eventually(well, "nothing is rejected any more")


async def test_going_back_to_what_was_accepted_ends_the_rejection(mesh: LiveMesh, client: Caller) -> None:
    await mesh.apply("reviews.yaml", rule("reviews", "good"))
    mesh.write("reviews.yaml", rule("reviews", "%CEL(Foo{a:1})%"))
    await eventually(lambda: rejected(mesh), "the route is rejected")
    mesh.write("reviews.yaml", rule("reviews", "good"))

    async def well() -> bool:
        return not await rejected(mesh)

    await eventually(well, "nothing is rejected any more")
    assert (await client.get("http://reviews/")).json()["headers"]["x-state"] == "good"


async def test_a_listener_that_cannot_listen_hurts_no_other(mesh: LiveMesh, client: Caller) -> None:
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
              hosts: ["*"]
            - port: {{number: 8081, name: http-elsewhere, protocol: HTTP}}
              bind: 203.0.113.1
              hosts: ["*"]
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: all}}
        spec:
          hosts: ["*"]
          gateways: [ingress]
          http: [{{route: [{{destination: {{host: reviews}}}}]}}]
        """,
    )
    gateway = await mesh.gateway()

    async def rejected_listener() -> bool:
        return any(each["type"] == "LDS" for each in (await mesh.status())["rejections"])

    await eventually(rejected_listener, "the listener is rejected")
    await gateway.eventually("http://any.example.com/", lambda answer: answer.status_code == 200)
    [rejection] = [each for each in (await mesh.status())["rejections"] if each["type"] == "LDS"]
    assert rejection["proxy"] == "ingress.default"
    assert "cannot bind '203.0.113.1:8081'" in rejection["message"]
    assert [resource["name"] for resource in rejection["resources"]] == ["203.0.113.1_8081"]
