"""What documents name and do not find is said by the running server too, and taken back when it comes."""

from __future__ import annotations

from pathlib import Path

from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import eventually
from tests.forked_mizzen import launch

VIRTUAL_SERVICE = """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: shop}
    spec:
      hosts: [shop.example.com]
      http: [{route: [{destination: {host: nowhere.example.com}}]}]
"""

SERVICE_ENTRY = """
    apiVersion: networking.istio.io/v1
    kind: ServiceEntry
    metadata: {name: nowhere}
    spec:
      hosts: [nowhere.example.com]
      ports: [{number: 80, name: http, protocol: HTTP}]
      resolution: STATIC
      location: MESH_INTERNAL
      endpoints: [{address: 127.0.0.1}]
"""


async def test_a_missing_host_is_named_until_it_is_there(tmp_path: Path) -> None:
    async with LiveMesh(tmp_path, launch=launch) as mesh:

        async def codes() -> list[str]:
            return [found["code"] for found in (await mesh.status())["configuration"]["diagnostics"]]

        async def named() -> bool:
            return "IST0101" in await codes()

        async def gone() -> bool:
            return "IST0101" not in await codes()

        mesh.write("shop.yaml", VIRTUAL_SERVICE)
        await eventually(named, "the missing host is named")
        assert "nowhere.example.com" in mesh.log()

        mesh.write("nowhere.yaml", SERVICE_ENTRY)
        await eventually(gone, "nothing is missing any more")
