"""What a plan says of routes that do something else to the requests that they pass on."""

from __future__ import annotations

from pathlib import Path

import pytest

from mizzen.mesh.snapshot import Mesh
from mizzen.plan import fleet, plan
from mizzen.sources.two_versions import read_files, read_two_versions

MESH = """\
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: [shop]
  http:
  - {route: [{destination: {host: shop}}], HERE}
"""

DEFAULT_RETRIES = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
DELAY = "fault: {delay: {percentage: {value: 10}, fixedDelay: 5s}}"
ABORT = "fault: {abort: {percentage: {value: 10}, grpcStatus: %s}}"

CASES: dict[str, tuple[str, str, list[str]]] = {
    "more retries": ("", "retries: {attempts: 5}", ["number of retries: 2 to 5"]),
    "other retries": (
        "retries: {attempts: 2, retryOn: 5xx, perTryTimeout: 2s}",
        'retries: {attempts: 2, retryOn: "gateway-error,418"}',
        [
            "retries on gateway-error,retriable-status-codes and status 418, in place of 5xx",
            "time for each try: 2s to no limit",
        ],
    ),
    "no retries": (
        "retries: {attempts: 3, retryOn: 5xx, perTryTimeout: 2s}",
        "retries: {attempts: 0}",
        ["no retries, in place of up to 3 retries on 5xx, each within 2s"],
    ),
    "retries, with a difference that has no words": (
        "",
        "retries: {attempts: 5, retryIgnorePreviousHosts: false}",
        ["number of retries: 2 to 5", "retry_policy.retry_host_predicate[envoy.retry_host_predicates."],
    ),
    "a fault": ("", DELAY, ["fault: 10 % are delayed by 5s, in place of none"]),
    "a different fault": (
        DELAY,
        "fault: {abort: {percentage: {value: 0.5}, httpStatus: 503}}",
        ["fault: 0.5 % are answered with 503, in place of 10 % are delayed by 5s"],
    ),
    "a fault with a different code of gRPC": (
        ABORT % "UNAVAILABLE",
        ABORT % "INTERNAL",
        ["typed_per_filter_config[envoy.filters.http.fault].abort.grpc_status: 14 to 13"],
    ),
    "a fault less often, with a different code of gRPC": (
        ABORT % "UNAVAILABLE",
        (ABORT % "INTERNAL").replace("10", "5"),
        [
            "fault: 5 % are answered with 200, in place of 10 % are answered with 200",
            "typed_per_filter_config[envoy.filters.http.fault].abort.grpc_status: 14 to 13",
            "typed_per_filter_config[envoy.filters.http.fault].abort.percentage.numerator: 100000 to 50000",
        ],
    ),
    "a mirror": (
        "",
        "mirror: {host: audit.example}",
        ["mirrors: 100 % mirrored to audit.example:80, in place of none"],
    ),
    "less mirrored": (
        "mirror: {host: audit.example}",
        "mirror: {host: audit.example}, mirrorPercentage: {value: 5}",
        ["mirrors: 5 % mirrored to audit.example:80, in place of 100 % mirrored to audit.example:80"],
    ),
    "headers": (
        "headers: {request: {set: {x-one: a}, add: {x-two: b}}, response: {remove: [server]}}",
        "headers: {request: {set: {x-one: c}, remove: [x-three]}, response: {set: {server: me}}}",
        [
            "request header x-one set: c, in place of x-one set: a",
            "request header x-two left as it is, in place of x-two added: b",
            "request header x-three removed, in place of x-three left as it is",
            "response header server set: me, in place of server removed",
        ],
    ),
    "the limit of gRPC goes with the timeout": ("", "timeout: 3s", ["timeout none to 3s"]),
}


@pytest.mark.parametrize(("before", "after", "expected"), CASES.values(), ids=CASES)
def test_a_difference_is_told_once_in_words(
    before: str, after: str, expected: list[str], tmp_path: Path
) -> None:
    details = route_details(tmp_path, before, after)
    assert len(details) == len(expected), details
    for detail, words in zip(sorted(details), sorted(expected), strict=True):
        assert detail.startswith(words)


def route_details(folder: Path, before: str, after: str) -> tuple[str, ...]:
    """Return what a plan says of the one route if it also has these fields, separated by commas."""
    sides = []
    for name, fields in (("old", before), ("new", after)):
        (folder / name).mkdir()
        text = MESH.replace("HERE", fields)
        (folder / name / "mesh.yaml").write_text(text, encoding="utf-8")
        sides.append(read_files(folder / name, "mesh"))
    versions = read_two_versions(*sides)
    mesh = Mesh.build(versions.configs, versions.settings)
    changed, _ = mesh.updated(versions.change, versions.new_settings)
    found = plan(list(fleet(mesh, changed, (), old_file=sides[0].known_as, new_file=sides[1].known_as)))
    (change,) = {told.change for group in found.groups for told in group.changes}
    return change.details
