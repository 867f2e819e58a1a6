"""From a saved file to a served change, and nothing that was good lost on the way."""

from __future__ import annotations

import itertools
import re
import time
from typing import Any

import pytest
import pytest_asyncio
import yaml

from mizzen.sources import FileSource
from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import eventually
from tests.e2e.conftest import Rules
from tests.forked_mizzen import launch, mizzen

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

URL = "http://reviews:9080/"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[True, False], ids=["delta", "sotw"])
async def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    async with LiveMesh(tmp_path_factory.mktemp("mesh"), delta=request.param, launch=launch) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(mesh: LiveMesh) -> Caller:
    for version in ("v1", "v2"):
        await mesh.workload("reviews", version=version)
    client = await mesh.client()
    await mesh.settled()
    return client


def answering(status: int, name: str = "reviews") -> str:
    """Return a VirtualService that answers with this status."""
    return f"""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: {name}}}
        spec:
          hosts: [reviews]
          http: [{{directResponse: {{status: {status}}}}}]
    """


async def sent(mesh: LiveMesh) -> dict[str, int]:
    """Return how many responses of each type the proxies have been sent, when all has been."""

    async def synced() -> bool:
        return all(proxy["synced"] for proxy in (await mesh.status())["proxies"])

    await eventually(synced, "every proxy has all, and what it needs no longer is gone")
    counts: dict[str, int] = {}
    for proxy in (await mesh.status())["proxies"]:
        for kind, held in proxy["types"].items():
            counts[kind] = counts.get(kind, 0) + held["responses"]
    return counts


async def metric(mesh: LiveMesh, name: str) -> float:
    """Return the value of a metric of the control plane."""
    text = (await mesh.http.get(f"http://{mesh.admin}/metrics")).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


async def test_a_saved_file_is_served(mesh: LiveMesh, client: Caller, rules: Rules) -> None:
    for status in (201, 202, 203):
        await rules(answering(status))
        assert (await client.get(URL)).status_code == status


async def test_a_deleted_file_is_no_longer_served(mesh: LiveMesh, client: Caller) -> None:
    await mesh.apply("gone.yaml", answering(204))
    assert (await client.get(URL)).status_code == 204
    mesh.remove("gone.yaml")
    await client.eventually(URL, lambda answer: answer.status_code == 200)


async def test_a_renamed_file_changes_nothing_that_is_sent(mesh: LiveMesh, client: Caller) -> None:
    await mesh.apply("before.yaml", answering(205))
    before = await sent(mesh)
    (mesh.config / "before.yaml").rename(mesh.config / "after.yaml")
    await mesh.settled()
    assert (await client.get(URL)).status_code == 205
    assert await sent(mesh) == before
    mesh.remove("after.yaml")
    await client.eventually(URL, lambda answer: answer.status_code == 200)


async def test_a_change_of_endpoints_sends_endpoints_only(mesh: LiveMesh, client: Caller) -> None:
    await mesh.settled()
    before = await sent(mesh)
    third = await mesh.server("reviews-v3", {"app": "reviews", "version": "v3"})
    await mesh.apply(
        "third.yaml",
        f"""
        apiVersion: networking.istio.io/v1
        kind: WorkloadEntry
        metadata: {{name: third}}
        spec: {{address: {third.address}, labels: {{app: reviews, version: v3}}}}
        """,
    )
    assert set(await client.count(URL, 60, lambda answer: answer.json()["version"])) == {"v1", "v2", "v3"}
    after = await sent(mesh)
    assert after["EDS"] == before["EDS"] + 1
    assert {**after, "EDS": 0} == {**before, "EDS": 0}
    mesh.remove("third.yaml")
    await mesh.settled()
    assert set(await client.count(URL, 30, lambda answer: answer.json()["version"])) == {"v1", "v2"}


async def test_an_invalid_version_is_refused_and_the_last_good_one_goes_on(
    mesh: LiveMesh, client: Caller
) -> None:
    await mesh.apply("edited.yaml", answering(206))
    bad = answering(207).replace("status: 207", "status: many")
    path = mesh.write("edited.yaml", bad)

    async def refused() -> bool:
        return bool((await mesh.status())["configuration"]["refused"])

    await eventually(refused, "the document is refused")
    assert (await client.get(URL)).status_code == 206
    [document] = (await mesh.status())["configuration"]["refused"]
    assert document["document"] == "VirtualService/default/reviews"
    assert document["in_force"].startswith(str(path))
    assert f"{path}:7" in mesh.log()
    assert await metric(mesh, "mizzen_documents_refused") == 1
    _, table, _ = await mizzen("status", "--admin", mesh.admin)
    assert f"{path}:7" in table

    await mesh.apply("edited.yaml", answering(208))
    assert (await client.get(URL)).status_code == 208
    assert await metric(mesh, "mizzen_documents_refused") == 0
    mesh.remove("edited.yaml")


@pytest.mark.optional("needs a machine that does not stand still for as long as no editor does")
async def test_a_half_written_file_does_no_harm(mesh: LiveMesh, client: Caller) -> None:
    """Some editors write in place: what is read in the middle of that must not count."""
    await mesh.apply("written.yaml", answering(209))
    text = answering(209)
    for _ in range(20):
        moments = [time.monotonic()]
        statuses = set()
        for length in range(0, len(text), 20):
            mesh.write_in_place("written.yaml", text[:length])
            statuses.add((await client.get(URL)).status_code)
            moments.append(time.monotonic())
        longest = max(later - earlier for earlier, later in itertools.pairwise(moments))
        if longest < FileSource.GRACE / 2 and moments[-1] - moments[0] < FileSource.LONGEST / 2:
            assert statuses == {209}
            break
        # This machine stood still for longer than any editor leaves a file half written: once more.
        await mesh.apply("written.yaml", text)
    else:
        pytest.skip("this machine is too slow to write like an editor")
    mesh.write_in_place("written.yaml", answering(210))
    await client.eventually(URL, lambda answer: answer.status_code == 210)
    mesh.remove("written.yaml")
    await client.eventually(URL, lambda answer: answer.status_code == 200)


async def test_a_thousand_files_at_once_are_few_pushes(mesh: LiveMesh, client: Caller) -> None:
    await mesh.settled()
    pushes, before = await metric(mesh, "mizzen_config_changes_total"), await sent(mesh)
    aside = mesh.directory / "many"
    aside.mkdir()
    for number in range(1000):
        entry = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": f"many-{number}", "namespace": "default"},
            "spec": {
                "hosts": [f"many-{number}.test"],
                "ports": [{"number": 9080, "name": "http", "protocol": "HTTP"}],
                "resolution": "STATIC",
                "endpoints": [{"address": mesh.workloads[0].address}],
            },
        }
        (aside / f"{number}.yaml").write_text(yaml.dump(entry, Dumper=yaml.CSafeDumper))
    aside.rename(mesh.config / "many")
    answer = await client.eventually("http://many-999.test/", lambda answer: answer.status_code == 200)
    assert answer.json()["workload"] == "reviews-v1"
    assert await metric(mesh, "mizzen_config_changes_total") - pushes <= 2
    await mesh.settled()  # saves documents, so it counts as changes too
    after = await sent(mesh)
    assert after["CDS"] - before["CDS"] <= 2
    assert after["RDS"] - before["RDS"] <= 2
    (mesh.config / "many").rename(mesh.directory / "away")
    await client.eventually("http://many-999.test/", lambda answer: answer.status_code != 200)
