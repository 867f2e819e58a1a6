"""`mizzen why` asks a running server: where a call goes, and what the Envoys on its way have of that."""

from __future__ import annotations

import json
from pathlib import Path

from mizzen.testing.live_mesh import SERVICE_PORT, LiveMesh
from tests.forked_mizzen import launch, mizzen

RULES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop]
  http:
  - match: [{headers: {who: {exact: me}}}]
    route: [{destination: {host: shop}}]
    timeout: 3s
  - fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
    route: [{destination: {host: shop}}]
"""


async def test_a_running_server_tells_where_a_call_goes(tmp_path: Path) -> None:
    async with LiveMesh(tmp_path, launch=launch) as mesh:
        await mesh.workload("shop", version="v1")
        client = await mesh.client()
        await mesh.apply("rules.yaml", RULES)
        called = ("GET", f"http://{client.address}:{SERVICE_PORT}/", "-H", f"Host: shop:{SERVICE_PORT}")
        ask = ("why", *called, "--admin", mesh.admin, "--from", "client")

        code, out, err = await mizzen(*ask, "-H", "who: me")
        assert (code, err) == (0, "")
        assert "timeout 3s" in out
        assert f"{mesh.config / 'rules.yaml'}:7" in out
        assert "client.default is not connected" not in out
        assert "2. sidecar of the server, shop-v1.default" in out
        assert "shop-v1.default is not connected: it has no open stream to this server" in out

        code, out, _ = await mizzen(*ask, "-o", "json")
        answer = json.loads(out)
        assert code == 0
        assert answer["hops"][0]["status"] == 418
        assert answer["notes"] == []

        mesh.remove("rules.yaml")
        await mesh.settled()
        _, out, _ = await mizzen(*ask)
        assert "418" not in out, "what is in force now is told"

        code, _, err = await mizzen(*ask[:-1], "nobody")
        assert code == 2
        assert "connected: client.default" in err
        code, _, err = await mizzen(*ask, "--config", str(mesh.config))
        assert code == 2
        assert 'no workload is named "client"' in err, "files know who is declared, not who is connected"
