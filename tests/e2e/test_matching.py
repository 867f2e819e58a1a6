"""Which requests a rule is for: every kind of match of a VirtualService."""

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
    return await mesh.client(labels={"team": "shop"}, more_ports={9090: "HTTP"})


def rule(match: str, hosts: str = "reviews", gateways: str = "mesh") -> str:
    """Return a VirtualService that answers 299 to what `match` is for, and sends the rest to the service."""
    return f"""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: reviews}}
        spec:
          hosts: [{hosts}]
          gateways: [{gateways}]
          http:
            - match: {match}
              directResponse: {{status: 299}}
            - route: [{{destination: {{host: reviews, port: {{number: 9080}}}}}}]
    """


async def matched(client: Caller, path: str = "/", method: str = "GET", **arguments: object) -> bool:
    """Tell whether a request is one that the match is for."""
    answer = await client.request(method, HOST + path, **arguments)
    assert answer.status_code in (200, 299), answer.text
    return answer.status_code == 299


async def test_uri_exact(client: Caller, rules: Rules) -> None:
    await rules(rule("[{uri: {exact: /a}}]"))
    assert await matched(client, "/a")
    assert await matched(client, "/a?x=1"), "the query is no part of it"
    assert not await matched(client, "/a/")
    assert not await matched(client, "/A")


async def test_uri_prefix_is_a_prefix_of_the_text(client: Caller, rules: Rules) -> None:
    await rules(rule("[{uri: {prefix: /a}}]"))
    assert await matched(client, "/a/b")
    assert await matched(client, "/ab")
    assert not await matched(client, "/b/a")


async def test_uri_regex_is_for_the_whole_path(client: Caller, rules: Rules) -> None:
    await rules(rule('[{uri: {regex: "/item/[0-9]+"}}]'))
    assert await matched(client, "/item/42")
    assert await matched(client, "/item/42?x=1")
    assert not await matched(client, "/item/42/more")
    assert not await matched(client, "/an/item/42")


async def test_ignore_uri_case(client: Caller, rules: Rules) -> None:
    await rules(rule("[{uri: {prefix: /Abc}, ignoreUriCase: true}]"))
    assert await matched(client, "/aBC/d")
    await rules(rule("[{uri: {prefix: /Abc}, ignoreUriCase: false}]"))
    assert not await matched(client, "/aBC/d")


async def test_method(client: Caller, rules: Rules) -> None:
    await rules(rule("[{method: {exact: POST}}]"))
    assert await matched(client, method="POST")
    assert not await matched(client)


async def test_authority(client: Caller, rules: Rules) -> None:
    await rules(rule("[{authority: {prefix: reviews.default}}]"))
    assert await matched(client, headers={"host": "reviews.default:9080"})
    assert not await matched(client, headers={"host": "reviews:9080"})


async def test_scheme(client: Caller, rules: Rules) -> None:
    await rules(rule("[{scheme: {exact: http}}]"))
    assert await matched(client)
    await rules(rule("[{scheme: {exact: https}}]"))
    assert not await matched(client)


async def test_query_parameters(client: Caller, rules: Rules) -> None:
    await rules(rule("[{queryParams: {version: {exact: '2'}}}]"))
    assert await matched(client, "/?version=2")
    assert not await matched(client, "/?version=22")
    assert not await matched(client)
    await rules(rule("[{queryParams: {version: {regex: '[0-9]'}, debug: {}}}]"))
    assert await matched(client, "/?version=7&debug=")
    assert not await matched(client, "/?version=7")


async def test_headers(client: Caller, rules: Rules) -> None:
    await rules(rule("[{headers: {x-user: {regex: '.*@example[.]com'}, x-any: {}}}]"))
    assert await matched(client, headers={"x-user": "a@example.com", "x-any": "1"})
    assert not await matched(client, headers={"x-user": "a@example.com"})
    assert not await matched(client, headers={"x-user": "a@example.com.org", "x-any": "1"})


async def test_without_headers(client: Caller, rules: Rules) -> None:
    await rules(rule("[{withoutHeaders: {x-user: {exact: root}}}]"))
    assert await matched(client, headers={"x-user": "somebody"})
    assert await matched(client), "a header that is not there is not root either"
    assert not await matched(client, headers={"x-user": "root"})
    await rules(rule("[{withoutHeaders: {x-user: {}}}]"))
    assert await matched(client)
    assert not await matched(client, headers={"x-user": "somebody"})


async def test_source_labels_and_namespace(client: Caller, rules: Rules) -> None:
    await rules(rule("[{sourceLabels: {team: shop}, sourceNamespace: default}]"))
    assert await matched(client)
    await rules(rule("[{sourceLabels: {team: other}}]"))
    assert not await matched(client)
    await rules(rule("[{sourceNamespace: elsewhere}]"))
    assert not await matched(client)


async def test_port(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    [workload] = mesh.workloads
    two_ports = f"""
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {{name: twin}}
        spec:
          hosts: [twin.test]
          ports:
            - {{number: 9080, name: http, protocol: HTTP}}
            - {{number: 9090, name: http-more, protocol: HTTP, targetPort: 9080}}
          location: MESH_INTERNAL
          resolution: STATIC
          endpoints: [{{address: {workload.address}}}]
    """
    await rules(rule("[{port: 9090}]", hosts="twin.test") + two_ports)
    assert (await client.get("http://twin.test/")).status_code == 200
    more = client.at(9090)
    assert (await more.get("http://twin.test/")).status_code == 299


async def test_conditions_of_one_match_are_all_needed_and_of_several_matches_one(
    client: Caller, rules: Rules
) -> None:
    await rules(rule("[{uri: {prefix: /a}, method: {exact: POST}}, {uri: {exact: /b}}]"))
    assert await matched(client, "/a", method="POST")
    assert not await matched(client, "/a")
    assert await matched(client, "/b")


async def test_a_rule_for_a_gateway_is_not_for_the_mesh(client: Caller, rules: Rules) -> None:
    await rules(rule("[{uri: {prefix: /}, gateways: [ingress]}]", gateways="mesh, ingress"))
    assert not await matched(client)
    await rules(rule("[{uri: {prefix: /}, gateways: [mesh]}]", gateways="mesh, ingress"))
    assert await matched(client)


async def test_the_first_rule_that_matches_is_taken(client: Caller, rules: Rules) -> None:
    await rules("""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: reviews}
        spec:
          hosts: [reviews]
          http:
            - match: [{uri: {prefix: /a}}]
              directResponse: {status: 201}
            - match: [{uri: {prefix: /a/b}}]
              directResponse: {status: 202}
            - directResponse: {status: 203}
    """)
    assert (await client.get(HOST + "/a/b")).status_code == 201
    assert (await client.get(HOST + "/b")).status_code == 203
