"""Diagnostics stand at the line of their field, or of the nearest thing above it that the file has."""

from __future__ import annotations

from mizzen.config import parse_documents, to_config

MESH = b"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts:
  - reviews
  - re_views
  http:
  - timeout: 0s
    route:
    - destination:
        host: reviews
        subset: v_1
      weight: 1
    - weight: 1
    fault:
      delay:
        fixedDelay: 1s
        percent: 5
    retries: {attempts: 0,
      retryOn: 5xx}
"""


def test_lines() -> None:
    (document,) = parse_documents(MESH, "mesh.yaml").documents
    config, found = to_config(document)

    assert config is None
    assert sorted((it.origin.line, it.path) for it in found) == [
        (8, "spec.hosts[1]"),
        (10, "spec.http[0].timeout"),
        (14, "spec.http[0].route[0].destination.subset"),
        (16, "spec.http[0].route[1].destination"),
        (20, "spec.http[0].fault.delay.percent"),
        (22, "spec.http[0].retries.retryOn"),
    ]
    assert {it.origin.file for it in found} == {"mesh.yaml"}
    assert str(next(it for it in found if it.origin.line == 20)) == (
        "mesh.yaml:20: spec.http[0].fault.delay.percent: percent is deprecated; write percentage"
    )
