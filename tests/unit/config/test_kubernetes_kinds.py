"""Kubernetes' own manifests, as they are found in the wild."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.config import Config, parse_documents, to_config
from mizzen.config.kubernetes import Endpoints, EndpointSlice, Namespace, Pod, Secret, Service


def typed(text: str) -> tuple[Config[Any] | None, list[str]]:
    [document] = parse_documents(text.encode(), "k.yaml").documents
    config, diagnostics = to_config(document)
    return config, [str(each) for each in diagnostics]


def valid(text: str) -> Any:
    config, diagnostics = typed(text)
    assert config is not None, diagnostics
    assert diagnostics == []
    return config.spec


def test_service() -> None:
    service = valid(
        """
apiVersion: v1
kind: Service
metadata: {name: reviews, labels: {app: reviews, service: reviews}}
spec:
  clusterIP: None
  clusterIPs: [None]
  ipFamilyPolicy: SingleStack
  selector: {app: reviews}
  internalTrafficPolicy: Local
  trafficDistribution: PreferClose
  ports:
  - {port: 9080, name: http, targetPort: web, appProtocol: kubernetes.io/h2c}
  - {port: 53, name: dns, protocol: UDP, targetPort: 5353}
status: {loadBalancer: {ingress: [{ip: 1.2.3.4}]}}
"""
    )
    assert isinstance(service, Service)
    spec = service.spec
    assert [
        (port.name, port.port, port.target_port, port.protocol, port.app_protocol) for port in spec.ports
    ] == [
        ("http", 9080, "web", "TCP", "kubernetes.io/h2c"),
        ("dns", 53, 5353, "UDP", ""),
    ]
    assert (spec.headless, spec.cluster_ip, spec.selector) == (True, "None", {"app": "reviews"})
    assert (spec.internal_traffic_policy, spec.traffic_distribution) == ("Local", "PreferClose")
    assert service.status.load_balancer.ingress[0].ip == "1.2.3.4"


def test_external_name_service() -> None:
    spec = valid(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
        "spec: {type: ExternalName, externalName: example.com}\n"
    ).spec
    assert (spec.type, spec.external_name, spec.headless) == ("ExternalName", "example.com", False)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("ports: [{port: 0}]", "spec.ports[0].port: must be at least 1; not the integer 0"),
        ("ports: [{port: '80'}]", 'spec.ports[0].port: must be a whole number; not "80"'),
        ("ports: [{name: a}]", "spec.ports[0].port: is required; add it"),
        ("ports: [{port: 80, protocol: HTTP}]", "spec.ports[0].protocol: must be TCP, UDP or SCTP; not HTTP"),
        (
            "ports: [{port: 80, targetPort: 0}]",
            "spec.ports[0].targetPort: must be the number or the name of a port",
        ),
        ("ports: [{port: 80}, {port: 81}]", "spec: has several ports, so each needs a name; name them all"),
        ("ports: [{port: 80, name: a}, {port: 81, name: a}]", "spec: has two ports named a; rename one"),
        ("selector: {app: 1}", 'spec.selector.app: must be a string; not the integer 1; quote it: "1"'),
    ],
)
def test_service_mistakes(spec: str, expected: str) -> None:
    config, [diagnostic] = typed(f"apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec:\n  {spec}\n")
    assert config is None
    assert expected in diagnostic
    assert diagnostic.startswith(("k.yaml:5: ", "k.yaml:4: "))


def test_endpoints_and_slices() -> None:
    endpoints = valid(
        """
apiVersion: v1
kind: Endpoints
metadata: {name: a}
subsets:
- addresses: [{ip: 10.0.0.1, nodeName: n1, targetRef: {kind: Pod, name: p}}]
  notReadyAddresses: [{ip: 10.0.0.2}]
  ports: [{port: 80, name: http}]
"""
    )
    assert isinstance(endpoints, Endpoints)
    [subset] = endpoints.subsets
    assert (subset.addresses[0].ip, subset.addresses[0].target_ref.name) == ("10.0.0.1", "p")
    assert (subset.not_ready_addresses[0].ip, subset.ports[0].port) == ("10.0.0.2", 80)
    slices = valid(
        """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a-1, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
endpoints:
- {addresses: [10.0.0.1], conditions: {ready: true, serving: null}, zone: z1}
- {addresses: [10.0.0.2], conditions: {ready: false}}
ports: [{port: 80, name: ""}]
"""
    )
    assert isinstance(slices, EndpointSlice)
    assert [(each.addresses, each.conditions.ready) for each in slices.endpoints] == [
        (("10.0.0.1",), True),
        (("10.0.0.2",), False),
    ]
    assert slices.endpoints[0].conditions.serving is None


def test_pods() -> None:
    pod = valid(
        """
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: a}}
spec:
  serviceAccountName: reviews
  nodeName: n1
  volumes: [{name: x}]
  containers: [{name: c, image: i, ports: [{containerPort: 8080, name: web}]}]
status:
  phase: Running
  podIP: 10.0.0.1
  podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]
  conditions: [{type: Ready, status: "False"}]
"""
    )
    assert isinstance(pod, Pod)
    assert (pod.spec.service_account_name, pod.spec.containers[0].ports[0].container_port) == (
        "reviews",
        8080,
    )
    assert pod.status.addresses == ("10.0.0.1", "fd00::1")
    assert not pod.status.ready
    bare = valid("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {podIP: 10.0.0.9}\n")
    assert (bare.status.addresses, bare.status.ready, bare.spec.service_account_name) == (
        ("10.0.0.9",),
        True,
        "default",
    )
    done = valid("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {phase: Succeeded}\n")
    assert (done.status.addresses, done.status.ready) == ((), False)


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ("conditions: [{type: Ready, status: 'True'}]", True),
        ("conditions: [{type: Ready, status: 'False'}]", False),
        ("conditions: [{type: Ready, status: Unknown}]", False),
        ("conditions: [{type: Initialized, status: 'False'}, {type: Ready, status: 'True'}]", True),
        ("conditions: [{type: Initialized, status: 'False'}]", True),
        ("phase: Failed, conditions: [{type: Ready, status: 'True'}]", False),
    ],
)
def test_a_pod_is_ready_as_its_condition_says(status: str, ready: bool) -> None:
    text = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nstatus: {{{status}}}\n"
    assert valid(text).status.ready is ready


@pytest.mark.parametrize("port", ["''", "65536", "-1", "true", "[1]", "1.5"])
def test_what_is_no_target_port(port: str) -> None:
    config, [diagnostic] = typed(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n"
        f"spec: {{ports: [{{port: 80, targetPort: {port}}}]}}\n"
    )
    assert config is None
    assert "spec.ports[0].targetPort: must be the number or the name of a port of the pods" in diagnostic


def test_secrets_are_decoded_and_never_shown() -> None:
    config, diagnostics = typed(
        """
apiVersion: v1
kind: Secret
metadata: {name: s}
type: kubernetes.io/tls
data: {tls.crt: aGVs bG8=, tls.key: b2xk}
stringData: {tls.key: swordfish}
"""
    )
    assert config is not None
    assert diagnostics == []
    secret = config.spec
    assert isinstance(secret, Secret)
    assert secret.type == "kubernetes.io/tls"
    assert dict(secret.data) == {"tls.crt": b"hello", "tls.key": b"swordfish"}
    shown = f"{secret!r} {secret} {config!r}"
    for hidden in ("swordfish", "hello", "aGVs", "b2xk", "old"):
        assert hidden not in shown


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ("data: {k: swordfish!}", "data.k: is not in base64"),
        ("data: swordfish", "data: must be a mapping of fields"),
        ("data: {k: [swordfish]}", "data.k: is not in base64"),
        ("stringData: {k: 12345}", "stringData.k: must be a string"),
        ("stringData: [swordfish]", "stringData: must be a mapping of fields"),
        ("type: [swordfish]", "type: must be a string"),
    ],
)
def test_mistakes_in_secrets_show_no_value(content: str, path: str) -> None:
    config, [diagnostic] = typed(f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{content}\n")
    assert config is None
    assert diagnostic.startswith(f"k.yaml:4: {path}")
    assert "swordfish" not in diagnostic
    assert "12345" not in diagnostic


@pytest.mark.parametrize(
    "content",
    [
        "stringData: {p: *swordfish}",
        "stringData: {p: !swordfish x}",
        "stringData: {p: !!swordfish x}",
        "stringData: {p: !!int swordfish}",
        "stringData: {p: 'swordfish}",
        "stringData: {p: @swordfish}",
        "stringData: {*swordfish : a}",
        'stringData: {p: "swordfish\\o"}',
        "stringData:\n  p: swordfish: b",
        "stringData: {p: !!binary swordfish}",
        "stringData: {<<: swordfish}",
        "metadata: {name: s}\nstringData: {p: swordfish}",
    ],
)
def test_a_secret_that_is_no_yaml_shows_no_value_either(content: str) -> None:
    text = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{content}\n"
    parsed = parse_documents(text.encode(), "k.yaml")
    diagnostics = [str(diagnostic) for each in parsed.refused for diagnostic in each.diagnostics]
    diagnostics += [str(diagnostic) for diagnostic in parsed.diagnostics]
    assert diagnostics
    assert diagnostics[0].startswith("k.yaml:")
    assert "swordfish" not in f"{diagnostics} {parsed!r}"


def test_the_raw_document_of_a_secret_is_in_no_repr() -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: swordfish}\n"
    parsed = parse_documents(text.encode(), "k.yaml")
    assert [document.key.name for document in parsed.documents] == ["s"]
    assert "swordfish" not in repr(parsed)


@pytest.mark.parametrize("text", ["swordfish", "-----BEGIN PRIVATE KEY-----\nswordfish\n-----END-----\n"])
def test_a_file_that_is_a_key_or_a_password_is_not_quoted(text: str) -> None:
    [diagnostic] = parse_documents(text.encode(), "k.yaml").diagnostics
    assert str(diagnostic) == (
        "k.yaml:1: a document must be a mapping with apiVersion, kind and metadata; not a text"
    )


def test_namespaces_have_no_namespace() -> None:
    config, _ = typed("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {tier: a}}\n")
    assert config is not None
    assert isinstance(config.spec, Namespace)
    assert (config.namespace, config.labels) == ("", {"tier": "a"})
