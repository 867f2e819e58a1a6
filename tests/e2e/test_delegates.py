"""Routes that a VirtualService leaves to others: delegates."""

from __future__ import annotations

import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

HOST = "http://shop.example.com"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(mesh: LiveMesh) -> Caller:
    await mesh.workload("reviews", version="v1")
    await mesh.workload("ratings", version="v1")
    mesh.write(
        "gateway.yaml",
        """
        apiVersion: networking.istio.io/v1
        kind: Gateway
        metadata: {name: ingress}
        spec:
          selector: {istio: ingressgateway}
          servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: [shop.example.com]}]
        """,
    )
    return await mesh.gateway()


ROOT = """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: shop}
        spec:
          hosts: [shop.example.com]
          gateways: [ingress]
          http:
            - match: [{uri: {prefix: /reviews}}]
              delegate: {name: reviews, namespace: team-reviews}
            - match: [{uri: {prefix: /ratings}}]
              delegate: {name: ratings, namespace: team-ratings}
"""


def delegate(name: str, http: str, more: str = "") -> str:
    return f"""
        ---
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: {name}, namespace: team-{name}}}
        spec:
          {more}
          http: {http}
    """


def to(name: str) -> str:
    return f"route: [{{destination: {{host: {name}.default.svc.cluster.local}}}}]"


async def test_each_team_has_its_routes(gateway: Caller, rules: Rules) -> None:
    await rules(
        ROOT
        + delegate("reviews", f"[{{{to('reviews')}}}]")
        + delegate("ratings", f"[{{match: [{{uri: {{prefix: /ratings/v2}}}}], {to('ratings')}}}]")
    )
    assert (await gateway.get(f"{HOST}/reviews/1")).json()["workload"] == "reviews-v1"
    assert (await gateway.get(f"{HOST}/ratings/v2/1")).json()["workload"] == "ratings-v1"
    assert (await gateway.get(f"{HOST}/ratings/v1")).status_code == 404
    assert (await gateway.get(f"{HOST}/else")).status_code == 404


async def test_the_conditions_of_both_must_hold(gateway: Caller, rules: Rules) -> None:
    match = "[{headers: {x-beta: {exact: 'yes'}}}]"
    await rules(ROOT + delegate("reviews", f"[{{match: {match}, {to('ratings')}}}, {{{to('reviews')}}}]"))
    beta = {"x-beta": "yes"}
    assert (await gateway.get(f"{HOST}/reviews", headers=beta)).json()["workload"] == "ratings-v1"
    assert (await gateway.get(f"{HOST}/reviews")).json()["workload"] == "reviews-v1"
    assert (await gateway.get(f"{HOST}/else", headers=beta)).status_code == 404


async def test_a_route_outside_of_what_was_left_to_it_is_dropped(gateway: Caller, rules: Rules) -> None:
    routes = f"[{{match: [{{uri: {{prefix: /admin}}}}], {to('reviews')}}}]"
    await rules(ROOT + delegate("reviews", routes))
    assert (await gateway.get(f"{HOST}/admin")).status_code == 404
    assert (await gateway.get(f"{HOST}/reviews")).status_code == 404


async def test_a_missing_or_hidden_delegate_drops_only_its_route(gateway: Caller, rules: Rules) -> None:
    await rules(
        ROOT
        + delegate("reviews", f"[{{{to('reviews')}}}]", "exportTo: [elsewhere]")
        + delegate("ratings", f"[{{{to('ratings')}}}]", "exportTo: [default]")
    )
    assert (await gateway.get(f"{HOST}/reviews")).status_code == 404
    assert (await gateway.get(f"{HOST}/ratings")).json()["workload"] == "ratings-v1"
