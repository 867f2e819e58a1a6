"""docs/testing.md: its Python runs as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.testing.forked_pytest import run

pytest_plugins = "pytester"
ROOT = Path(__file__).parents[3]
BLOCKS: list[str] = re.findall(
    r"^```python\n(.*?)```$",
    (ROOT / "docs" / "testing.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
MESH = """\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v1, labels: {app: reviews, version: v1}}
spec: {address: 10.2.0.1}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v2, labels: {app: reviews, version: v2}}
spec: {address: 10.2.0.2}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1}
spec: {address: 10.2.0.3}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 90}
    - {destination: {host: reviews, subset: v2}, weight: 10}
"""


@pytest.mark.envoy
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_the_page(block: str, pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("mesh")
    (folder / "mesh.yaml").write_text(MESH, encoding="utf-8")
    pytester.makepyfile(block)
    result = run(pytester)
    result.assert_outcomes(passed=block.count("def test_"))


def test_the_page_has_python() -> None:
    assert len(BLOCKS) == 2
