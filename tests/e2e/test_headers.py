"""Headers set, added and removed, of requests and answers, for a route and for one destination."""

from __future__ import annotations

import httpx
import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.workloads import Respond
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

URL = "http://reviews:9080/"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    for version in ("v1", "v2"):
        workload = await mesh.workload("reviews", version=version)
        workload.respond = _with_headers(version)
    return await mesh.client()


def _with_headers(version: str) -> Respond:
    async def respond(request: Request) -> Response:
        seen = {"version": version, "headers": request.headers.items()}
        return JSONResponse(seen, headers={"x-secret": "s", "x-old": "old", "x-version": version})

    return respond


def sent(answer: httpx.Response, name: str) -> list[str]:
    """Return the values of a header as the server got them."""
    return [value for key, value in answer.json()["headers"] if key == name]


async def test_request_headers(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews]
          http:
            - headers:
                request:
                  set: {x-set: new, x-path: "%REQ(:PATH)%"}
                  add: {x-add: more}
                  remove: [x-remove]
              route: [{destination: {host: reviews}}]
    """)
    headers = {"x-set": "old", "x-add": "some", "x-remove": "gone", "x-stays": "here"}
    answer = await client.get(URL + "a", headers=headers)
    assert sent(answer, "x-set") == ["new"]
    assert sent(answer, "x-path") == ["/a"]
    assert sent(answer, "x-add") in (["some", "more"], ["some,more"])
    assert sent(answer, "x-remove") == []
    assert sent(answer, "x-stays") == ["here"]


async def test_response_headers(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews]
          http:
            - headers:
                response:
                  set: {x-old: new}
                  add: {x-version: added}
                  remove: [x-secret]
              route: [{destination: {host: reviews}}]
    """)
    answer = await client.get(URL)
    assert answer.headers.get_list("x-old") == ["new"]
    assert answer.headers.get_list("x-version") == [answer.json()["version"], "added"]
    assert "x-secret" not in answer.headers


async def test_headers_of_one_destination(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews]
          http:
            - headers: {request: {set: {x-all: "yes"}}}
              route:
                - destination: {host: reviews, subset: v1}
                  weight: 50
                - destination: {host: reviews, subset: v2}
                  weight: 50
                  headers:
                    request: {set: {x-canary: "yes"}}
                    response: {set: {x-served-by: canary}, remove: [x-secret]}
        ---
        apiVersion: networking.istio.io/v1
        kind: DestinationRule
        metadata: {name: reviews}
        spec:
          host: reviews
          subsets:
            - {name: v1, labels: {version: v1}}
            - {name: v2, labels: {version: v2}}
    """)
    versions = set()
    for _ in range(40):
        answer = await client.get(URL)
        canary = answer.json()["version"] == "v2"
        versions.add(canary)
        assert sent(answer, "x-all") == ["yes"]
        assert sent(answer, "x-canary") == (["yes"] if canary else [])
        assert answer.headers.get("x-served-by") == ("canary" if canary else None)
        assert ("x-secret" in answer.headers) is not canary
    assert versions == {True, False}


async def test_the_host_header_set_as_a_header_is_a_rewrite_of_the_host(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews]
          http:
            - headers: {request: {set: {host: books.example.com}}}
              route: [{destination: {host: reviews}}]
    """)
    assert sent(await client.get(URL), "host") == ["books.example.com"]
