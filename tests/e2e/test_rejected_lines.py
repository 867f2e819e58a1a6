"""An Envoy that refuses one route of many: status, log and `mizzen why` name that line, and no other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mizzen.testing.live_mesh import SERVICE_PORT, LiveMesh
from mizzen.testing.waiting import eventually
from tests.forked_mizzen import launch, mizzen

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

MANY = 60
REFUSED = "%CEL(Foo{a:1})%"
"""Envoy knows no type Foo. Mizzen leaves it to Envoy what it knows."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveMesh]:
    async with LiveMesh(tmp_path_factory.mktemp("mesh"), launch=launch) as running:
        running.write("services.yaml", "---\n".join(service(number) for number in range(MANY)))
        await running.client()
        yield running


def service(number: int) -> str:
    return f"""\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: many-{number}}}
spec:
  hosts: [many-{number}.example]
  ports: [{{number: 9080, name: http, protocol: HTTP}}]
  resolution: STATIC
"""


def rules(value: str) -> str:
    """Return a VirtualService for each service. The last rule of the eighth, in line 86, sets `value`."""
    return "---\n".join(
        f"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: many-{number}}}
spec:
  hosts: [many-{number}.example]
  http:
    - match: [{{uri: {{prefix: /one}}}}]
      route: [{{destination: {{host: many-{number}.example}}}}]
    - headers: {{request: {{set: {{x-state: "{value if number == 7 else "good"}"}}}}}}
      route: [{{destination: {{host: many-{number}.example}}}}]
"""
        for number in range(MANY)
    )


async def origins(mesh: LiveMesh) -> list[list[str]]:
    """Return the lines of every resource that is refused."""
    rejections = (await mesh.status())["rejections"]
    return [resource["origins"] for each in rejections for resource in each["resources"]]


async def test_one_line_of_many_is_named(mesh: LiveMesh) -> None:
    [client] = mesh.callers
    await mesh.apply("rules.yaml", rules("good"))
    path = mesh.write("rules.yaml", rules(REFUSED))

    async def is_rejected() -> bool:
        return bool((await mesh.status())["rejections"])

    await eventually(is_rejected, "a route is rejected")
    assert await origins(mesh) == [[f"{path}:86"]]

    async def logged() -> bool:
        return f"{path}:86" in mesh.log()

    await eventually(logged, "the log names the line")
    [line] = [each for each in mesh.log().splitlines() if "a proxy rejected" in each]
    assert line.count(".yaml:") == 1

    called = ("GET", f"http://{client.address}:{SERVICE_PORT}/", "-H", "Host: many-7.example")
    _, told, _ = await mizzen("why", *called, "--admin", mesh.admin, "--from", "client")
    assert f"(new in it: {path}:86)" in told
    _, told, _ = await mizzen("diff", "client.default", "--admin", mesh.admin)
    assert told.count(".yaml:") == told.count(f"{path}:86") == 1

    mesh.write("rules.yaml", "# one\n# two\n# three\n" + rules(REFUSED))

    async def moved() -> bool:
        return await origins(mesh) == [[f"{path}:89"]]

    await eventually(moved, "the line that is told is the one where the rule stands now")


async def test_an_envoy_that_accepted_nothing_before_says_which_by_its_words(mesh: LiveMesh) -> None:
    path = mesh.write("rules.yaml", rules(REFUSED))
    await mesh.client("newcomer")

    async def both() -> bool:
        return await origins(mesh) == [[f"{path}:86"]] * 2

    await eventually(both, "both Envoys reject the route, and one line is named")
