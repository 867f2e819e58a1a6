"""Keys of token issuers that the control plane fetches: `jwksUri`, and discovery where nothing says where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mizzen.testing import ports
from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import eventually
from mizzen.testing.workloads import Workload
from tests.e2e.edge import HOST, SELECTOR, edge
from tests.e2e.test_tokens import KEY, STRANGER, ask, key_set, token
from tests.forked_mizzen import launch

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

NOT_JSON = Response("<html>no keys here</html>", media_type="text/html")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveMesh]:
    directory = tmp_path_factory.mktemp("mesh")
    state = directory / "state"
    arguments = ("--jwks-refresh", "1", "--state", str(state))
    async with LiveMesh(directory, arguments=arguments, launch=launch) as running:
        yield running


class Issuer:
    """A server that tells keys: what it answers can be changed."""

    def __init__(self, server: Workload) -> None:
        self.server = server
        self.uri = f"http://{server.address}:{server.port}"
        self.answer: Response = NOT_JSON
        self.seconds = 0.0
        server.respond = self._respond

    async def _respond(self, request: Request) -> Response:
        if request.url.path == "/.well-known/openid-configuration":
            return JSONResponse({"issuer": self.uri, "jwks_uri": f"{self.uri}/found"})
        if self.seconds:
            await asyncio.sleep(self.seconds)
        return self.answer


def keys(key: Any) -> Response:
    return Response(key_set(key), media_type="application/json")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def issuer(mesh: LiveMesh) -> Issuer:
    return Issuer(await mesh.server("issuer"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(mesh: LiveMesh, issuer: Issuer) -> Caller:
    mesh.write("tokens.yaml", policy(jwksUri=f"{issuer.uri}/keys"))
    return await edge(mesh)


def policy(**rule: Any) -> dict[str, Any]:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "tokens"},
        "spec": {"selector": SELECTOR, "jwtRules": [{"issuer": "issuer@example.com", **rule}]},
    }


async def answered(gateway: Caller, shown: str, status: int) -> None:
    async def as_expected() -> bool:
        return bool((await ask(gateway, shown)).status_code == status)

    await eventually(as_expected, f"{status}")


async def told(mesh: LiveMesh) -> dict[str, Any]:
    [row] = (await mesh.status())["configuration"]["token_keys"]
    found: dict[str, Any] = row
    return found


async def reason(mesh: LiveMesh, words: str) -> None:
    async def is_said() -> bool:
        return words in (await told(mesh))["problem"]

    await eventually(is_said, words)


async def diagnosed(mesh: LiveMesh, code: str) -> dict[str, Any]:
    """Return the one diagnostic with this code. It comes with the mesh that has the keys, after their row."""
    found: list[dict[str, Any]] = []

    async def is_told() -> bool:
        diagnostics = (await mesh.status())["configuration"]["diagnostics"]
        found[:] = [each for each in diagnostics if each["code"] == code]
        return len(found) == 1

    await eventually(is_told, code)
    return found[0]


async def test_an_issuer_that_tells_no_keys_is_closed_and_opens_when_it_does(
    gateway: Caller, mesh: LiveMesh, issuer: Issuer
) -> None:
    await answered(gateway, token(), 401)
    assert (await ask(gateway, None)).status_code == 200  # who shows no token is not concerned
    await reason(mesh, "the answer is not JSON")
    diagnostic = await diagnosed(mesh, "MZ0303")
    assert "tokens.yaml" in diagnostic["file"]
    assert f"could not be fetched from {issuer.uri}/keys: the answer is not JSON" in diagnostic["message"]
    assert "no keys here" not in mesh.log()
    issuer.answer = keys(KEY)
    await answered(gateway, token(), 200)
    assert (await told(mesh))["problem"] == ""


async def test_keys_that_are_rotated_at_the_uri_take_effect(
    gateway: Caller, mesh: LiveMesh, issuer: Issuer
) -> None:
    issuer.answer = keys(STRANGER)
    await answered(gateway, token(STRANGER), 200)
    await answered(gateway, token(), 401)


@pytest.mark.parametrize(
    ("answer", "seconds", "words"),
    [
        (Response("[" + " " * 300_000 + "]"), 0.0, "more than 256 KiB"),
        (keys(KEY), 3.0, "no whole answer within 0.5 s"),
        (Response("gone", 503), 0.0, "status 503"),
    ],
    ids=["huge", "slow", "down"],
)
async def test_the_last_good_keys_stay_when_a_refresh_fails(
    gateway: Caller, mesh: LiveMesh, issuer: Issuer, answer: Response, seconds: float, words: str
) -> None:
    issuer.answer, issuer.seconds = keys(STRANGER), 0.0
    timeout = "500ms" if seconds else "60s"  # only what is to be too slow ends by it
    await mesh.apply("tokens.yaml", policy(jwksUri=f"{issuer.uri}/keys-{len(words)}", timeout=timeout))
    await answered(gateway, token(STRANGER), 200)
    issuer.answer, issuer.seconds = answer, seconds
    await reason(mesh, words)
    assert (await ask(gateway, token(STRANGER))).status_code == 200
    row = await told(mesh)
    assert row["age_seconds"] >= 0
    diagnostic = await diagnosed(mesh, "MZ0304")
    assert "UTC stay in force" in diagnostic["message"]
    metrics = (await mesh.http.get(f"http://{mesh.admin}/metrics")).text
    assert 'mizzen_token_key_sets{state="old"} 1.0' in metrics
    issuer.seconds = 0.0


async def test_an_issuer_whose_keys_cannot_be_had_closes_nobody_else(
    gateway: Caller, mesh: LiveMesh, issuer: Issuer
) -> None:
    issuer.answer = keys(KEY)
    both = policy(jwksUri=f"{issuer.uri}/good")
    down = f"http://127.0.0.1:{ports.free_port()}/keys"
    both["spec"]["jwtRules"].append({"issuer": "down@example.com", "jwksUri": down})
    await mesh.apply("tokens.yaml", both)
    await answered(gateway, token(), 200)
    assert (await ask(gateway, token(iss="down@example.com"))).status_code == 401
    assert (await ask(gateway, None)).status_code == 200

    async def said() -> bool:
        configuration = (await mesh.status())["configuration"]
        problems = {row["uri"]: row["problem"] for row in configuration["token_keys"]}
        diagnostics = [each["message"] for each in configuration["diagnostics"] if each["code"] == "MZ0303"]
        return (
            problems.keys() == {f"{issuer.uri}/good", down}
            and not problems[f"{issuer.uri}/good"]
            and len(diagnostics) == 1
            and down in diagnostics[0]
            and bool(problems[down])
        )

    await eventually(said, "status names the one that cannot be had")


async def test_keys_outlive_a_restart_while_their_uri_is_down(
    gateway: Caller, mesh: LiveMesh, issuer: Issuer
) -> None:
    issuer.answer = keys(KEY)
    await mesh.apply("tokens.yaml", policy(jwksUri=f"{issuer.uri}/kept"))
    await answered(gateway, token(), 200)
    kept: Path = mesh.directory / "state" / "token-keys.json"

    async def is_kept() -> bool:
        return "/kept" in await asyncio.to_thread(kept.read_text)

    await eventually(is_kept, "the keys are kept")
    issuer.answer = Response("", 503)
    assert mesh.control_plane is not None
    await mesh.control_plane.stop()
    await mesh.start_control_plane()
    await mesh.settled()
    await reason(mesh, "status 503")
    assert (await ask(gateway, token())).status_code == 200


async def test_an_issuer_tells_by_discovery_where_its_keys_are(
    gateway: Caller, mesh: LiveMesh, issuer: Issuer
) -> None:
    issuer.answer = keys(STRANGER)
    await mesh.apply("tokens.yaml", policy(issuer=issuer.uri))
    await answered(gateway, token(STRANGER, iss=issuer.uri), 200)
    await answered(gateway, token(KEY, iss=issuer.uri), 401)
    assert (await gateway.get(f"http://{HOST}/a", headers={"connection": "close"})).status_code == 200
