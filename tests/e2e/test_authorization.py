"""AuthorizationPolicy at a gateway: what is denied, allowed, audited and only tried out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import eventually
from tests.e2e.edge import HOST, SELECTOR, edge

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(mesh: LiveMesh) -> Caller:
    return await edge(mesh)


def policy(
    name: str, rules: list[dict[str, Any]], action: str = "ALLOW", **annotations: str
) -> dict[str, Any]:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "selector": SELECTOR,
            "action": action,
            "rules": rules,
        },
    }


def to(**operation: Any) -> dict[str, Any]:
    return {"to": [{"operation": operation}]}


A, B = ("GET", "/a"), ("GET", "/b")


async def statuses(gateway: Caller, *asked: tuple[str, str, dict[str, str]]) -> list[int]:
    found = []
    for method, path, headers in asked:
        url = f"http://{HOST}{path}"
        fresh = {"connection": "close", **headers}  # a connection that is kept stays with the old listener
        found.append((await gateway.request(method, url, headers=fresh)).status_code)
    return found


async def answers(
    gateway: Caller, mesh: LiveMesh, policies: list[dict[str, Any]], expected: dict[Any, int]
) -> None:
    """Apply the policies, and wait until the gateway answers the requests like that."""
    await mesh.apply("policies.yaml", policies)
    asked = [(method, path, dict(headers)) for method, path, *headers in expected]

    async def as_expected() -> bool:
        return await statuses(gateway, *asked) == list(expected.values())

    await eventually(as_expected, f"{list(expected.values())}")


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        (
            [policy("d", [to(paths=["/admin*"])], "DENY")],
            {("GET", "/admin/x"): 403, ("GET", "/a"): 200},
        ),
        (
            [policy("a", [to(methods=["GET"], notPaths=["/secret"])])],
            {("GET", "/a"): 200, ("POST", "/a"): 403, ("GET", "/secret"): 403},
        ),
        ([policy("nothing", [])], {("GET", "/a"): 403}),
        ([policy("all", [{}])], {("GET", "/a"): 200}),
        (
            [policy("ip", [{"from": [{"source": {"ipBlocks": ["203.0.113.0/24"]}}]}])],
            {("GET", "/a"): 403},
        ),
        (
            [policy("ip", [{"from": [{"source": {"notIpBlocks": ["203.0.113.0/24"]}}]}])],
            {("GET", "/a"): 200},
        ),
        (
            [policy("h", [{"when": [{"key": "request.headers[x-user]", "values": ["adm*"]}]}])],
            {
                ("GET", "/a", ("x-user", "admin")): 200,
                ("GET", "/a", ("x-user", "bob")): 403,
                ("GET", "/b"): 403,
            },
        ),
        (
            [policy("t", [to(paths=["/shops/{*}/items/{**}"])])],
            {("GET", "/shops/1/items/2/3"): 200, ("GET", "/shops/1/2/items/3"): 403},
        ),
        ([policy("try", [to(paths=["/a"])], "DENY", **{"istio.io/dry-run": "true"})], {("GET", "/a"): 200}),
        ([policy("audit", [to(paths=["/a"])], "AUDIT")], {("GET", "/a"): 200}),
        (
            [policy("a", [to(hosts=["REVIEWS.example.com"])]), policy("d", [to(ports=["9999"])], "DENY")],
            {("GET", "/a"): 200},
        ),
        (
            [policy("who", [{"from": [{"source": {"requestPrincipals": ["*"]}}]}])],
            {("GET", "/a"): 403},
        ),
        ([policy("d", [to(hosts=["*.example.com"], notPaths=["/a*"])], "DENY")], {A: 200, B: 403}),
        ([policy("d", [to(notHosts=["reviews.*"])], "DENY")], {A: 200}),
        ([policy("d", [to(notMethods=["GET"])], "DENY")], {A: 200, ("PUT", "/a"): 403}),
        ([policy("d", [to(notPorts=["8080"])], "DENY")], {A: 200}),
        ([policy("a", [{"when": [{"key": "destination.port", "notValues": ["8080"]}]}])], {A: 403}),
        ([policy("a", [{"when": [{"key": "source.ip", "values": ["127.0.0.0/8"]}]}])], {A: 200}),
        ([policy("d", [{"when": [{"key": "destination.ip", "values": ["127.0.0.0/8"]}]}], "DENY")], {A: 403}),
        ([policy("a", [{"from": [{"source": {"remoteIpBlocks": ["127.0.0.0/8"]}}]}])], {A: 200}),
        ([policy("d", [{"from": [{"source": {"notRemoteIpBlocks": ["::/0"]}}]}], "DENY")], {A: 403}),
        ([policy("d", [{"when": [{"key": "remote.ip", "notValues": ["203.0.113.7"]}]}], "DENY")], {A: 403}),
        (
            [policy("h", [{"when": [{"key": "request.headers[x-user]", "notValues": ["bob"]}]}])],
            {("GET", "/a", ("x-user", "bob")): 403, A: 200},
        ),
    ],
    ids=[
        *("path", "method", "nothing is allowed", "all", "ip block", "no ip block", "header", "template"),
        *("dry run", "audit", "host and port", "token", "another path", "another host", "another method"),
        *("another port", "condition on another port", "direct address", "own address", "client's address"),
        *("another client's address", "condition on another client's address", "another header"),
    ],
)
async def test_what_is_allowed(
    gateway: Caller, mesh: LiveMesh, policies: list[dict[str, Any]], expected: dict[Any, int]
) -> None:
    await answers(gateway, mesh, policies, expected)


async def test_what_an_external_authorizer_would_decide_is_denied(gateway: Caller, mesh: LiveMesh) -> None:
    custom = policy("ask", [to(paths=["/ask"])], "CUSTOM")
    custom["spec"]["provider"] = {"name": "opa"}
    await answers(gateway, mesh, [custom], {("GET", "/ask"): 403, ("GET", "/a"): 200})


ACCESS_LOG = """
    apiVersion: v1
    kind: ConfigMap
    metadata: {{name: istio, namespace: istio-system}}
    data:
      mesh: |
        accessLogFile: {file}
        accessLogFormat: "%REQ(:PATH)% %DYNAMIC_METADATA(envoy.common:access_log_hint)%\\n"
"""


async def test_what_is_audited_is_marked_for_the_access_log(gateway: Caller, mesh: LiveMesh) -> None:
    file = mesh.directory / "access.log"
    mesh.write("access-log.yaml", ACCESS_LOG.format(file=file))
    await mesh.apply("policies.yaml", policy("audit", [to(paths=["/secret"])], "AUDIT"))

    async def written() -> bool:
        assert await statuses(gateway, ("GET", "/secret", {}), ("GET", "/a", {})) == [200, 200]
        lines = await asyncio.to_thread(lambda: file.read_text().splitlines() if file.exists() else [])
        return {"/secret true", "/a false"} <= set(lines)

    try:
        await eventually(written, "the mark is in the log")
    finally:
        mesh.remove("access-log.yaml")


@pytest.mark.parametrize(("action", "refused"), [("ALLOW", "/a"), ("DENY", "/secret")])
async def test_what_is_only_tried_out_is_counted(
    gateway: Caller, mesh: LiveMesh, action: str, refused: str
) -> None:
    tried = policy("try", [to(paths=["/secret"])], action, **{"istio.io/dry-run": "true"})
    await answers(gateway, mesh, [tried], {("GET", "/a"): 200, ("GET", "/secret"): 200})
    counter = f"istio_dry_run_{action.lower()}_.shadow_denied"
    before = await gateway.stat(rf"{counter}$")
    assert await statuses(gateway, ("GET", refused, {})) == [200]
    assert await gateway.stat(rf"{counter}$") == before + 1
