"""The control plane goes, and comes back: the proxies go on, and are told only what is new."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import eventually
from tests.forked_mizzen import launch

pytestmark = pytest.mark.envoy

URL = "http://reviews:9080/"


def answering(status: int) -> str:
    return f"""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: reviews}}
        spec:
          hosts: [reviews]
          http:
            - match: [{{uri: {{exact: /rule}}}}]
              directResponse: {{status: {status}}}
            - route: [{{destination: {{host: reviews}}}}]
    """


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_a_restart(tmp_path: Path, delta: bool) -> None:
    async with LiveMesh(tmp_path, delta=delta, launch=launch) as mesh:
        await mesh.workload("reviews", version="v1")
        client = await mesh.client()
        await mesh.apply("rules.yaml", answering(201))
        assert (await client.get(URL + "rule")).status_code == 201
        updates = await client.stat(r"(cds|lds|rds\..*)\.update_success$")

        assert mesh.control_plane is not None
        await mesh.control_plane.stop(grace=0)
        for _ in range(20):
            assert (await client.get(URL)).status_code == 200
        assert (await client.get(URL + "rule")).status_code == 201

        await mesh.start_control_plane()

        async def back() -> bool:
            proxies = (await mesh.status())["proxies"]
            return bool(proxies) and all(
                held["state"] == "ACKED"
                for kind in ("CDS", "EDS", "LDS", "RDS")
                for held in [proxies[0]["types"].get(kind, {"state": ""})]
            )

        await eventually(back, "the proxy is back")
        [proxy] = (await mesh.status())["proxies"]
        responses = {kind: held["responses"] for kind, held in proxy["types"].items()}
        if delta:
            assert responses == {"CDS": 0, "EDS": 0, "LDS": 0, "RDS": 0}
            assert await client.stat(r"(cds|lds|rds\..*)\.update_success$") == updates
        else:
            assert max(responses.values()) == 1
        assert (await client.get(URL)).status_code == 200

        await mesh.apply("rules.yaml", answering(202))
        assert (await client.get(URL + "rule")).status_code == 202


async def test_a_change_made_while_it_was_away_is_told_alone(tmp_path: Path) -> None:
    async with LiveMesh(tmp_path, launch=launch) as mesh:
        await mesh.workload("reviews", version="v1")
        client = await mesh.client()
        await mesh.apply("rules.yaml", answering(201))
        assert mesh.control_plane is not None
        await mesh.control_plane.stop(grace=0)
        mesh.write("rules.yaml", answering(203))
        await mesh.start_control_plane()
        await client.eventually(URL + "rule", lambda answer: answer.status_code == 203)

        async def back() -> bool:
            [proxy] = (await mesh.status())["proxies"]
            return len(proxy["types"]) == 4 and bool(proxy["synced"])

        await eventually(back, "the proxy has asked for all that it had")
        [proxy] = (await mesh.status())["proxies"]
        responses = {kind: held["responses"] for kind, held in proxy["types"].items()}
        assert responses == {"CDS": 0, "EDS": 0, "LDS": 0, "RDS": 1}
