"""One document that Mizzen itself fails at: all others take effect, and it is named with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.testing.live_mesh import SERVICE_PORT, LiveMesh
from mizzen.testing.waiting import eventually
from tests.e2e import faulty_mizzen
from tests.forked_mizzen import mizzen

pytestmark = pytest.mark.envoy


def faulty(label: str) -> str:
    return f"""
        # A line above it.
        apiVersion: v1
        kind: Service
        metadata: {{name: faulty, namespace: default, labels: {{fault: "{label}"}}}}
        spec: {{ports: [{{name: http, port: {SERVICE_PORT}}}]}}
    """


def route(version: str) -> str:
    return f"""
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {{name: reviews, namespace: default}}
        spec:
          hosts: [reviews]
          http:
            - headers: {{response: {{set: {{x-version: {version}}}}}}}
              route: [{{destination: {{host: reviews}}}}]
    """


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_one_document_does_not_stop_the_others(tmp_path: Path, delta: bool) -> None:
    mesh = LiveMesh(tmp_path, delta=delta, launch=faulty_mizzen.launch)
    async with mesh:
        await mesh.workload("reviews", version="v1")
        mesh.write("faulty.yaml", faulty("none"))
        mesh.write("routes.yaml", route("first"))
        client = await mesh.client()
        await client.eventually("http://reviews/", lambda answer: answer.headers["x-version"] == "first")

        file = mesh.write("faulty.yaml", faulty("translation"))

        async def named() -> bool:
            return bool((await mesh.status())["configuration"]["refused"])

        await eventually(named, "the document is refused")
        [refused] = (await mesh.status())["configuration"]["refused"]
        assert refused["document"] == "Service/default/faulty"
        assert refused["in_force"] == f"{file}:3", "its last version"
        [diagnostic] = refused["diagnostics"]
        assert (diagnostic["code"], diagnostic["file"], diagnostic["line"]) == ("MZ0105", str(file), 3)
        assert "ValueError: out of range" in diagnostic["message"]

        mesh.write("routes.yaml", route("second"))
        await client.eventually("http://reviews/", lambda answer: answer.headers["x-version"] == "second")
        late = await mesh.workload("late", version="v1")
        new = await mesh.client("new")
        await new.eventually("http://late/", lambda answer: answer.json()["workload"] == late.name)
        await client.eventually("http://late/", lambda answer: answer.is_success)
        assert (await new.get("http://reviews/")).headers["x-version"] == "second"

        code, table, _ = await mizzen("status", "--admin", mesh.admin, "--fail-on-rejected")
        assert code == 1
        assert "MZ0105" in table or "faulty.yaml:3" in table
        metrics = (await mesh.http.get(f"http://{mesh.admin}/metrics")).text
        assert "mizzen_documents_refused 1.0" in metrics
        assert "mizzen_faults_total 1.0" in metrics
        log = mesh.log()
        assert "a document cannot be translated" in log
        assert "faulty_mizzen.py" in log, "the traceback leads to the fault"

        mesh.write("faulty.yaml", faulty("mended"))

        async def recovered() -> bool:
            return not await named()

        await eventually(recovered, "the mended document is taken")
        code, _, _ = await mizzen("status", "--admin", mesh.admin, "--fail-on-rejected")
        assert code == 0
