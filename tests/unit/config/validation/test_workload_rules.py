"""The rules of WorkloadEntry and WorkloadGroup."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.diagnostics import Diagnostic

Validate = Callable[..., list[Diagnostic]]
Expect = Callable[..., None]

ENTRIES = [
    ("{}", "{address: 10.0.0.1}", "spec.address", "the address is missing"),
    ("{address: a_b}", "{address: a-b}", "spec.address", '"a_b" is not an address'),
    ("{address: '*.a'}", "{address: a.b.}", "spec.address", '"*.a" is not an address'),
    ("{address: unix://a/}", "{address: unix:///a}", "spec.address", "names no socket"),
    ("{address: 'unix:///a', ports: {b: 1}}", "{address: unix:///a}", "spec.ports", "has no ports"),
    ("{address: '::1', ports: {a_b: 1}}", "{address: '::1', ports: {a-b: 1}}", "spec.ports.a_b", "port name"),
    (
        "{address: '::1', ports: {a: 65536}}",
        "{address: '::1', ports: {a: 1}}",
        "spec.ports.a",
        "65536 is not a port",
    ),
    (
        "{address: '::1', labels: {a/: b}}",
        "{address: '::1', labels: {a/b: B_c}}",
        "spec.labels[a/]",
        "is not a label's key",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), ENTRIES)
def test_entries(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("WorkloadEntry", bad, good, path, words)


def test_an_entry_behind_a_gateway_of_its_network(expect: Expect) -> None:
    expect(
        "WorkloadEntry",
        "{network: n}",
        "{network: n, address: 10.0.0.1}",
        "spec.address",
        'the gateway of network "n" is called',
        "warning",
        "IST0133",
    )


GROUPS = [
    ("{}", "{template: {}}", "spec.template", "the template is missing"),
    (
        "{template: {}, metadata: {labels: {a: 'b c'}}}",
        "{template: {address: ''}, metadata: {labels: {a: b}, annotations: {a: 'b c'}}}",
        "spec.metadata.labels.a",
        "is not a label's value",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), GROUPS)
def test_groups(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("WorkloadGroup", bad, good, path, words)


PROBES = [
    ("{}", "", "the probe has no method"),
    ("{grpc: {port: 80}}", ".grpc", "a probe by grpc is not possible"),
    ("{tcpSocket: {}}", ".tcpSocket.port", "0 is not a port number"),
    ("{exec: {}}", ".exec.command", "the command is missing"),
    ("{httpGet: {port: 0}}", ".httpGet.port", "0 is not a port number"),
    ("{httpGet: {port: 80, scheme: http}}", ".httpGet.scheme", "write HTTP or HTTPS"),
    (
        "{httpGet: {port: 80, httpHeaders: [{name: a_b}]}}",
        ".httpGet.httpHeaders[0].name",
        "is not a header's name",
    ),
    ("{tcpSocket: {port: 80}, periodSeconds: -1}", ".periodSeconds", "-1 is negative"),
    ("{tcpSocket: {port: 80}, initialDelaySeconds: -1}", ".initialDelaySeconds", "-1 is negative"),
    ("{tcpSocket: {port: 80}, timeoutSeconds: -1}", ".timeoutSeconds", "-1 is negative"),
    ("{tcpSocket: {port: 80}, successThreshold: -1}", ".successThreshold", "-1 is negative"),
    ("{tcpSocket: {port: 80}, failureThreshold: -1}", ".failureThreshold", "-1 is negative"),
]


@pytest.mark.parametrize(("probe", "path", "words"), PROBES)
def test_bad_probes(validate: Validate, probe: str, path: str, words: str) -> None:
    error, warning = validate("WorkloadGroup", f"{{template: {{}}, probe: {probe}}}")

    assert (error.severity.value, error.path) == ("error", "spec.probe" + path)
    assert words in error.message
    assert (warning.severity.value, warning.code, warning.path) == ("warning", "MZ0001", "spec.probe")


@pytest.mark.parametrize(
    "probe",
    [
        "{httpGet: {port: 80, scheme: HTTPS, path: /, httpHeaders: [{name: a-b, value: c}]}}",
        "{tcpSocket: {port: 80}, periodSeconds: 5}",
        "{exec: {command: ['true']}}",
    ],
)
def test_good_probes_take_no_effect_though(validate: Validate, probe: str) -> None:
    found = validate("WorkloadGroup", f"{{template: {{}}, probe: {probe}}}")

    assert [(it.code, it.path) for it in found] == [("MZ0001", "spec.probe")]


def test_a_mode_of_interception_that_is_none_is_said(validate: Validate) -> None:
    name = "sidecar.istio.io/interceptionMode"
    (found,) = validate("WorkloadEntry", "{address: 10.0.0.1}", annotations={name: "none"})
    assert (found.severity.value, found.path) == ("warning", f"metadata.annotations[{name}]")
    assert found.message == '"none" is no mode and counts as absent; write REDIRECT, TPROXY, NONE'
    assert validate("WorkloadEntry", "{address: 10.0.0.1}", annotations={name: "NONE"}) == []
