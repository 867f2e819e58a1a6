"""Requests changed on their way, sent elsewhere, or answered by the proxy itself."""

from __future__ import annotations

import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from tests.e2e.conftest import Rules

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

HOST = "http://reviews:9080"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    await mesh.workload("reviews", version="v1")
    return await mesh.client()


def rule(http: str) -> str:
    """Return a VirtualService for the service `reviews` with one HTTP rule."""
    return f"""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: reviews}}
        spec:
          hosts: [reviews]
          http:
            - {http}
    """


TO_REVIEWS = "route: [{destination: {host: reviews}}]"


async def test_a_prefix_is_rewritten_and_the_rest_of_the_path_kept(client: Caller, rules: Rules) -> None:
    await rules(rule(f"{{match: [{{uri: {{prefix: /api/}}}}], rewrite: {{uri: /v2/}}, {TO_REVIEWS}}}"))
    seen = (await client.get(HOST + "/api/books/1?x=y")).json()
    assert (seen["path"], seen["query"]) == ("/v2/books/1", "x=y")


async def test_an_exact_path_is_rewritten_whole(client: Caller, rules: Rules) -> None:
    await rules(rule(f"{{match: [{{uri: {{exact: /old}}}}], rewrite: {{uri: /new/place}}, {TO_REVIEWS}}}"))
    assert (await client.get(HOST + "/old")).json()["path"] == "/new/place"


async def test_the_host_is_rewritten(client: Caller, rules: Rules) -> None:
    await rules(rule(f"{{rewrite: {{authority: books.example.com}}, {TO_REVIEWS}}}"))
    seen = (await client.get(HOST + "/a")).json()
    assert seen["headers"]["host"] == "books.example.com"
    assert seen["path"] == "/a"


async def test_a_path_is_rewritten_by_a_regular_expression(client: Caller, rules: Rules) -> None:
    rewrite = r"{uriRegexRewrite: {match: '^/service/([^/]+)(/.*)$', rewrite: '\2/instance/\1'}}"
    await rules(rule(f"{{rewrite: {rewrite}, {TO_REVIEWS}}}"))
    assert (await client.get(HOST + "/service/foo/v1/api")).json()["path"] == "/v1/api/instance/foo"


@pytest.mark.parametrize(
    ("redirect", "path", "status", "location"),
    [
        ("{uri: /new}", "/old/a?x=1", 301, "http://reviews:9080/new?x=1"),
        ("{authority: other.example.com}", "/a?x=1", 301, "http://other.example.com/a?x=1"),
        ("{uri: /b, authority: other.example.com}", "/a", 301, "http://other.example.com/b"),
        ("{scheme: https}", "/a", 301, "https://reviews:9080/a"),
        ("{port: 8443, scheme: https}", "/a", 301, "https://reviews:8443/a"),
        ("{authority: o.example.com, derivePort: FROM_REQUEST_PORT}", "/", 301, "http://o.example.com:9080/"),
        ("{uri: /n, redirectCode: 302}", "/a", 302, "http://reviews:9080/n"),
        ("{uri: /n, redirectCode: 303}", "/a", 303, "http://reviews:9080/n"),
        ("{uri: /n, redirectCode: 307}", "/a", 307, "http://reviews:9080/n"),
        ("{uri: /n, redirectCode: 308}", "/a", 308, "http://reviews:9080/n"),
    ],
)
async def test_redirects(
    client: Caller, rules: Rules, redirect: str, path: str, status: int, location: str
) -> None:
    await rules(rule(f"{{redirect: {redirect}}}"))
    answer = await client.get(HOST + path)
    assert (answer.status_code, answer.headers["location"]) == (status, location)


async def test_a_redirect_of_a_prefix_keeps_the_rest(client: Caller, rules: Rules) -> None:
    await rules(rule("{match: [{uri: {prefix: /old}}], redirect: {prefixRewrite: /new}}"))
    answer = await client.get(HOST + "/old/a?x=1")
    assert answer.headers["location"] == "http://reviews:9080/new/a?x=1"


async def test_the_proxy_answers_by_itself_with_text(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    await rules(
        rule(
            "{directResponse: {status: 503, body: {string: 'back soon'}},"
            " headers: {response: {set: {retry-after: '60'}}}}"
        )
    )
    [workload] = mesh.workloads
    workload.requests.clear()
    answer = await client.get(HOST + "/")
    assert (answer.status_code, answer.text) == (503, "back soon")
    assert answer.headers["retry-after"] == "60"
    assert workload.requests == []


async def test_the_proxy_answers_by_itself_with_bytes(client: Caller, rules: Rules) -> None:
    await rules(rule("{directResponse: {status: 200, body: {bytes: AAEC/w==}}}"))
    assert (await client.get(HOST + "/")).content == b"\x00\x01\x02\xff"
