"""Each finding: a mesh that has it, and the same mesh put right."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mizzen.config import Severity
from mizzen.mesh.analysis import analyze
from mizzen.mesh.snapshot import Mesh

MeshOf = Callable[..., Mesh]
ENTRY = """
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.com]
  addresses: [10.1.1.1]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1, labels: {version: v1}}]
---
"""
ROUTE = """
kind: VirtualService
metadata: {name: route}
spec:
  hosts: [web.com]
  http:
  - route: [{destination: {host: web.com}}]
"""
RULE = """
kind: DestinationRule
metadata: {name: rule}
spec:
  host: web.com
  subsets: [{name: v1, labels: {version: v1}}]
"""
GATEWAY = """
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: gw}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [web.com]
"""
TLS_GATEWAY = GATEWAY.replace("HTTP}", "HTTPS}") + "    tls: {mode: SIMPLE, credentialName: cert}\n"
EDGE_VM = """
---
kind: WorkloadEntry
metadata: {name: edge, namespace: edge}
spec: {address: 10.0.0.8, labels: {istio: gw}}
---
"""
CERTIFICATE = """
kind: Secret
metadata: {name: cert}
"""
ALIAS = """
kind: Service
metadata: {name: web}
spec: {type: ExternalName, externalName: TARGET}
---
"""
SIDECAR = """
kind: Sidecar
metadata: {name: first}
spec: {egress: [{hosts: ["*/*"]}]}
"""
TCP_ROUTES = """\
  tcp:
  - {match: [{port: 1}], route: [{destination: {host: web.com}}]}
  - route: [{destination: {host: OTHER}}]
"""
TO_SUBSET = ROUTE.replace("{host: web.com}", "{host: web.com, subset: v1}")
TCP = ENTRY.replace("  addresses: [10.1.1.1]\n", "").replace(
    "name: http, protocol: HTTP", "name: tcp, protocol: TCP"
)
ADDRESSED_TCP = ENTRY.replace("name: http, protocol: HTTP", "name: tcp, protocol: TCP")
SELECTING = SIDECAR.replace("spec: {", "spec: {workloadSelector: {labels: {app: a}}, ")
VM = """
kind: WorkloadEntry
metadata: {name: vm, labels: {app: a, tier: b}}
spec: {address: 10.0.0.9}
---
"""
SELECTOR = """
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: VALUE}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
"""
EXTERNAL_NAME = """
kind: Service
metadata: {name: outside}
spec: {type: ExternalName, externalName: web.com, ports: [{name: https, port: 443}]}
"""
GATEWAY_SERVICE = """
kind: Service
metadata: {name: gw}
spec: {selector: {istio: gw}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
kind: WorkloadEntry
metadata: {name: gw, labels: {istio: gw}}
spec: {address: 10.0.0.9}
---
"""
NAMED_PORT = GATEWAY_SERVICE.replace("targetPort: 8080", "targetPort: web").removesuffix("---\n")


def other(text: str, name: str, namespace: str = "default") -> str:
    """Return the document under another name."""
    old = text.split("metadata: {name: ")[1].split("}")[0].split(",")[0]
    return text.replace(f"metadata: {{name: {old}", f"metadata: {{name: {name}, namespace: {namespace}", 1)


# code, path, words of the message, the mesh, the mesh put right
STRICT_PORT = """kind: PeerAuthentication
metadata: {name: strict}
spec:
  selector: {matchLabels: {app: a}}
  portLevelMtls: {8080: {mode: STRICT}}
"""

CASES: dict[str, tuple[str, str, str, str, str]] = {
    "delegate that nobody names": (
        "MZ0215",
        "spec",
        "no VirtualService delegates to it",
        ENTRY + ROUTE.replace("  hosts: [web.com]\n", ""),
        ENTRY
        + ROUTE.replace("  hosts: [web.com]\n", "")
        + "---"
        + other(ROUTE, "root").replace(
            "route: [{destination: {host: web.com}}]", "delegate: {name: route, namespace: default}"
        ),
    ),
    "rule for a host that no sidecar can call": (
        "MZ0216",
        "spec.hosts[0]",
        "no service has the host gone.com",
        ENTRY.replace("number: 80", "number: 8080") + ROUTE.replace("hosts: [web.com]", "hosts: [gone.com]"),
        ENTRY + ROUTE,
    ),
    "http rules for TCP": (
        "MZ0217",
        "spec.hosts[0]",
        "has no HTTP port",
        ADDRESSED_TCP + ROUTE,
        ENTRY + ROUTE,
    ),
    "WorkloadEntry that nothing selects": (
        "MZ0218",
        "spec",
        "no Service or ServiceEntry",
        VM + ENTRY.removesuffix("---\n"),
        VM + ENTRY + SELECTING,
    ),
    "ExternalName of an undeclared host": (
        "MZ0219",
        "spec.externalName",
        "nothing declares web.com",
        EXTERNAL_NAME,
        EXTERNAL_NAME + "---\n" + ENTRY.removesuffix("---\n"),
    ),
    "port name without a protocol": (
        "IST0118",
        "spec.ports[0]",
        "web tells no protocol",
        GATEWAY_SERVICE.replace("name: http", "name: web").removesuffix("---\n"),
        GATEWAY_SERVICE.removesuffix("---\n"),
    ),
    "a gateway's selector misspelt": (
        "IST0101",
        "spec.selector",
        "write what they have: istio=ingress",
        VM.replace("app: a, tier: b", "istio: ingress") + SELECTOR.replace("VALUE", "ingres"),
        VM.replace("app: a, tier: b", "istio: ingress") + SELECTOR.replace("VALUE", "ingress"),
    ),
    "unknown host": (
        "IST0101",
        "spec.http[0].route[0].destination.host",
        "host gone.com is no known service",
        ENTRY + ROUTE.replace("{host: web.com}", "{host: gone.com}"),
        ENTRY + ROUTE,
    ),
    "host that is not exported": (
        "IST0101",
        "spec.http[0].route[0].destination.host",
        "is not exported to namespace default",
        other(ENTRY, "web", "far").replace("  hosts:", "  exportTo: ['.']\n  hosts:") + ROUTE,
        other(ENTRY, "web", "far") + ROUTE,
    ),
    "alias of an unknown host": (
        "IST0101",
        "spec.http[0].route[0].destination.host",
        "host web.default.svc.cluster.local stands for gone.com (mesh.yaml:11), which is no known service",
        ENTRY + ALIAS.replace("TARGET", "gone.com") + ROUTE.replace("{host: web.com}", "{host: web}"),
        ENTRY
        + ALIAS.replace("TARGET", "web.com")
        + ROUTE.replace("{host: web.com}", "{host: web, port: {number: 80}}"),
    ),
    "unknown subset behind an alias": (
        "IST0101",
        "spec.http[0].route[0].destination.subset",
        "no DestinationRule for web.com defines subset v1",
        ENTRY + ALIAS.replace("TARGET", "web.com") + TO_SUBSET.replace("{host: web.com", "{host: web"),
        ENTRY
        + ALIAS.replace("TARGET", "web.com")
        + TO_SUBSET.replace("{host: web.com", "{host: web")
        + "---\n"
        + RULE,
    ),
    "rule for an alias": (
        "IST0174",
        "spec.host",
        "host web.default.svc.cluster.local stands for web.com, whose own rules hold",
        ENTRY + ALIAS.replace("TARGET", "web.com") + RULE.replace("host: web.com", "host: web"),
        ENTRY + ALIAS.replace("TARGET", "web.com") + RULE,
    ),
    "unknown mirror": (
        "IST0101",
        "spec.http[0].mirror.host",
        "host gone.com",
        ENTRY + ROUTE + "    mirror: {host: gone.com}\n",
        ENTRY + ROUTE + "    mirror: {host: web.com}\n",
    ),
    "unknown among several mirrors": (
        "IST0101",
        "spec.http[0].mirrors[1].destination.host",
        "host gone.com",
        ENTRY + ROUTE + "    mirrors: [{destination: {host: web.com}}, {destination: {host: gone.com}}]\n",
        ENTRY + ROUTE + "    mirrors: [{destination: {host: web.com}}]\n",
    ),
    "unknown host of a TCP route": (
        "IST0101",
        "spec.tcp[1].route[0].destination.host",
        "host gone.com",
        ENTRY + ROUTE + TCP_ROUTES.replace("OTHER", "gone.com"),
        ENTRY + ROUTE + TCP_ROUTES.replace("OTHER", "web.com"),
    ),
    "unknown host of a TLS route": (
        "IST0101",
        "spec.tls[0].route[0].destination.host",
        "host gone.com",
        ENTRY
        + ROUTE
        + "  tls: [{match: [{sniHosts: [web.com]}], route: [{destination: {host: gone.com}}]}]\n",
        ENTRY
        + ROUTE
        + "  tls: [{match: [{sniHosts: [web.com]}], route: [{destination: {host: web.com}}]}]\n",
    ),
    "unknown port": (
        "IST0101",
        "spec.http[0].route[0].destination.port",
        "has no port 81; its ports are: 80",
        ENTRY + ROUTE.replace("{host: web.com}", "{host: web.com, port: {number: 81}}"),
        ENTRY + ROUTE.replace("{host: web.com}", "{host: web.com, port: {number: 80}}"),
    ),
    "port needed": (
        "IST0112",
        "spec.http[0].route[0].destination",
        "several ports (80, 81)",
        ENTRY.replace("HTTP}]", "HTTP}, {number: 81, name: h2, protocol: HTTP}]") + ROUTE,
        ENTRY.replace("HTTP}]", "HTTP}, {number: 81, name: h2, protocol: HTTP}]")
        + ROUTE.replace("{host: web.com}", "{host: web.com, port: {number: 80}}"),
    ),
    "subset without a rule": (
        "IST0101",
        "spec.http[0].route[0].destination.subset",
        "no DestinationRule for web.com defines subset v1",
        ENTRY + TO_SUBSET,
        ENTRY + TO_SUBSET + "---" + RULE,
    ),
    "subset hidden by the client's own rule": (
        "MZ0211",
        "spec.http[0].route[0].destination.subset",
        "clients in namespace client get the DestinationRule at mesh.yaml",
        ENTRY + TO_SUBSET + "---" + RULE + "---" + other(RULE, "hides", "client").replace("v1", "v2"),
        ENTRY + TO_SUBSET + "---" + RULE,
    ),
    "unknown gateway": (
        "IST0101",
        "spec.gateways[0]",
        "there is no Gateway default/gw",
        ENTRY + ROUTE.replace("  http:", "  gateways: [gw]\n  http:"),
        ENTRY + ROUTE.replace("  http:", "  gateways: [gw]\n  http:") + "---" + GATEWAY,
    ),
    "two rules for one host": (
        "IST0109",
        "spec.hosts",
        "only one takes effect",
        ENTRY + ROUTE + "---" + other(ROUTE, "second"),
        ENTRY
        + ROUTE
        + "---"
        + other(ROUTE, "second")
        .replace("  http:", "  exportTo: [far]\n  http:")
        .replace("namespace: default", "namespace: far")
        .replace("hosts: [web.com]", "hosts: [b.com]"),
    ),
    "two sidecars for one workload": (
        "IST0110",
        "spec.workloadSelector",
        "workload vm",
        VM + SELECTING + "---" + other(SELECTING, "second").replace("app: a", "tier: b"),
        VM + SELECTING + "---" + other(SELECTING, "second").replace("app: a", "tier: c"),
    ),
    "two sidecars for a namespace": (
        "IST0111",
        "spec",
        "only the oldest takes effect",
        SIDECAR + "---" + other(SIDECAR, "second"),
        SIDECAR + "---" + other(SIDECAR, "second", "far"),
    ),
    "gateway serves none of the hosts": (
        "IST0132",
        "spec.gateways[0]",
        "serves none of the hosts web.com",
        ENTRY
        + ROUTE.replace("  http:", "  gateways: [gw]\n  http:")
        + "---"
        + GATEWAY.replace("web.com", "far/web.com"),
        ENTRY
        + ROUTE.replace("  http:", "  gateways: [gw]\n  http:")
        + "---"
        + GATEWAY.replace("web.com", "'*.com'"),
    ),
    "gateway passes subsets by": (
        "IST0140",
        "spec.http[0].route[0].destination",
        "does not hold at this gateway",
        ENTRY
        + TO_SUBSET
        + "---"
        + RULE
        + "---"
        + GATEWAY
        + "---"
        + other(ROUTE, "edge").replace("  http:", "  gateways: [gw]\n  http:"),
        ENTRY
        + TO_SUBSET
        + "---"
        + RULE
        + "---"
        + GATEWAY
        + "---"
        + other(TO_SUBSET, "edge").replace("  http:", "  gateways: [gw]\n  http:"),
    ),
    "gateways conflict": (
        "IST0145",
        "spec.servers[0].hosts[0]",
        "host web.com on port 80 is claimed by the Gateway at",
        GATEWAY + "---" + other(GATEWAY, "second"),
        GATEWAY + "---" + other(GATEWAY, "second").replace("istio: gw", "istio: gw2"),
    ),
    "servers cannot share a port": (
        "MZ0206",
        "spec.servers[0].port",
        "port 80 is already a HTTP listener because of mesh.yaml",
        GATEWAY
        + "---"
        + other(GATEWAY, "second").replace("protocol: HTTP", "protocol: TCP").replace("web", "b"),
        GATEWAY + "---" + other(GATEWAY, "second").replace("web", "b"),
    ),
    "gateway port without a service port": (
        "IST0162",
        "spec.servers[0].port.number",
        "port 81 is not among those",
        GATEWAY_SERVICE + GATEWAY.replace("number: 80", "number: 81"),
        GATEWAY_SERVICE + GATEWAY,
    ),
    "empty subset": (
        "IST0173",
        "spec.subsets[0].labels",
        "no endpoint of web.com has version=v2",
        ENTRY + RULE.replace("version: v1", "version: v2"),
        ENTRY + RULE,
    ),
    "rule for nothing": (
        "IST0174",
        "spec.host",
        "host gone.com is no known service",
        ENTRY + RULE.replace("host: web.com", "host: gone.com"),
        ENTRY + RULE.replace("host: web.com", "host: '*.com'"),
    ),
    "protocols of one port differ": (
        "IST0177",
        "spec.ports[0].protocol",
        "is HTTP2 here and HTTP at",
        ENTRY
        + other(ENTRY, "xsecond", "far").replace("protocol: HTTP", "protocol: HTTP2").removesuffix("---\n"),
        ENTRY + other(ENTRY, "xsecond", "far").removesuffix("---\n"),
    ),
    "tcp services collide": (
        "MZ0210",
        "spec.ports",
        "TCP port 80 of zoo.com cannot be told from that of web.com",
        TCP + other(TCP, "zoo").replace("web.com", "zoo.com").removesuffix("---\n"),
        ADDRESSED_TCP + other(TCP, "zoo").replace("web.com", "zoo.com").removesuffix("---\n"),
    ),
    "one document of several collides": (
        "MZ0210",
        "spec.ports",
        "TCP port 80 of zoo.com cannot be told from that of web.com",
        TCP
        + other(ADDRESSED_TCP, "addressed").replace("web.com", "zoo.com")
        + other(TCP, "zoo").replace("web.com", "zoo.com").removesuffix("---\n"),
        TCP
        + other(ADDRESSED_TCP, "addressed").replace("web.com", "zoo.com")
        + other(ADDRESSED_TCP, "zoo").replace("web.com", "zoo.com").removesuffix("---\n"),
    ),
    "missing credential": (
        "IST0101",
        "spec.servers[0].tls.credentialName",
        "there is no Secret cert; create it in the namespace of the proxies",
        TLS_GATEWAY,
        GATEWAY,
    ),
    "credential beside the Gateway and not beside its workload": (
        "IST0101",
        "spec.servers[0].tls.credentialName",
        "there is no Secret cert; create it in namespace edge, that of the proxies",
        TLS_GATEWAY + EDGE_VM + CERTIFICATE,
        TLS_GATEWAY + EDGE_VM + CERTIFICATE.replace("{name: cert", "{name: cert, namespace: edge"),
    ),
    "service without endpoints": (
        "MZ0212",
        "spec",
        "web.com has no endpoint, so calls to it fail (503); write its endpoints",
        ENTRY.partition("  endpoints:")[0],
        ENTRY.removesuffix("---\n"),
    ),
    "service whose workloads nobody wrote down": (
        "MZ0212",
        "spec.selector",
        "write a WorkloadEntry (or Pod, EndpointSlice) in namespace default with the labels istio: gw for",
        GATEWAY_SERVICE.partition("---")[0],
        GATEWAY_SERVICE.removesuffix("---\n"),
    ),
    "port by a name that the endpoints do not know": (
        "MZ0212",
        "spec.ports",
        "10.0.0.9 (mesh.yaml:6) does not say which number its port web has; write it there, as in ports: "
        "{http: 8080}",
        NAMED_PORT,
        NAMED_PORT.replace("10.0.0.9}", "10.0.0.9, ports: {http: 8080}}"),
    ),
    "certificates of the mesh for clients": (
        "MZ0213",
        "spec.subsets[0].trafficPolicy.portLevelSettings[0].tls.mode",
        "which are not issued: calls fail",
        ENTRY
        + RULE.replace(
            "version: v1}}",
            "version: v1}, trafficPolicy: {portLevelSettings: "
            "[{port: {number: 80}, tls: {mode: ISTIO_MUTUAL}}]}}",
        ),
        ENTRY + RULE + "  trafficPolicy: {tls: {mode: DISABLE}}\n",
    ),
    "no plain text where there are no certificates": (
        "MZ0220",
        "spec.portLevelMtls.8080.mode",
        "workloads get no certificates for mutual TLS, so all calls to them fail",
        ENTRY + STRICT_PORT,
        ENTRY + STRICT_PORT.replace("STRICT", "PERMISSIVE"),
    ),
    "certificates of the mesh for gateways": (
        "MZ0213",
        "spec.servers[0].tls.mode",
        "which is not issued: connections fail",
        TLS_GATEWAY.replace("SIMPLE, credentialName: cert", "ISTIO_MUTUAL"),
        GATEWAY,
    ),
    "a CA in a ConfigMap, of a gateway": (
        "MZ0221",
        "spec.servers[0].tls.caCertCredentialName",
        "configmap://ca names a CA in a ConfigMap, which is not served",
        TLS_GATEWAY.replace("SIMPLE,", "MUTUAL, caCertCredentialName: 'configmap://ca',"),
        GATEWAY,
    ),
    "a CA in a ConfigMap, of a client": (
        "MZ0221",
        "spec.trafficPolicy.tls.credentialName",
        "put it into a Secret",
        ENTRY + RULE + "  trafficPolicy: {tls: {mode: SIMPLE, credentialName: 'configmap://ca'}}\n",
        ENTRY + RULE + "  trafficPolicy: {tls: {mode: SIMPLE, credentialName: ca}}\n",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_finding(mesh_of: MeshOf, case: str) -> None:
    code, path, words, wrong, right = CASES[case]
    (found,) = [one for one in analyze(mesh_of(wrong)) if one.code == code]
    assert found.path == path
    assert words in found.message
    assert found.origin.line > 1
    assert "; " in found.message
    assert not [
        str(one)
        for one in analyze(mesh_of(right))
        if one.code == code or (one.severity is Severity.ERROR and one.code != "IST0161")
    ]


def test_a_selector_of_labels_that_nothing_in_the_files_has_may_be_right(mesh_of: MeshOf) -> None:
    found = analyze(mesh_of(VM + SELECTOR.replace("VALUE", "ingress")))
    assert "IST0101" not in [one.code for one in found]


@pytest.mark.parametrize("namespace", ["default", "far"])
def test_a_credential_may_be_beside_proxies_that_nobody_has_written_down(
    mesh_of: MeshOf, namespace: str
) -> None:
    """Istio's own pages have the Gateway in one namespace, its proxies and its Secret in another."""
    secret = CERTIFICATE.replace("{name: cert", f"{{name: cert, namespace: {namespace}")
    found = analyze(mesh_of(TLS_GATEWAY + "---" + secret))
    assert [one.code for one in found] == ["IST0161"], found


def pem_pair() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_credentials(mesh_of: MeshOf) -> None:
    certificate, key = pem_pair()
    _, foreign = pem_pair()

    def problems(mode: str = "SIMPLE", **data: bytes) -> list[str]:
        encoded = ", ".join(
            f"{name.replace('_', '.')}: {base64.b64encode(value).decode()}" for name, value in data.items()
        )
        mesh = mesh_of(
            GATEWAY.replace("HTTP}", "HTTPS}")
            + f"    tls: {{mode: {mode}, credentialName: cert}}\n---\n"
            + f"kind: Secret\nmetadata: {{name: cert}}\ndata: {{{encoded}}}\n"
        )
        found = [one for one in analyze(mesh) if one.code == "IST0161"]
        assert not any(key.decode() in str(one) for one in found)
        return [one.message for one in found]

    assert problems(tls_crt=certificate, tls_key=key) == []
    assert problems(cert=certificate, key=key) == []
    assert "has no certificate and key" in problems(tls_crt=certificate)[0]
    assert "has no certificate and key" in problems(tls_key=key)[0]
    assert "is not the certificate's" in problems(tls_crt=certificate, tls_key=foreign)[0]
    assert "certificate that is not in PEM form" in problems(tls_crt=b"x", tls_key=key)[0]
    assert "private key that is not in PEM form" in problems(tls_crt=certificate, tls_key=b"x")[0]
    assert "has no CA" in problems("MUTUAL", tls_crt=certificate, tls_key=key)[0]
    assert problems("MUTUAL", tls_crt=certificate, tls_key=key, ca_crt=certificate) == []


def test_the_secret_of_caCertCredentialName(mesh_of: MeshOf) -> None:
    certificate, key = (base64.b64encode(each).decode() for each in pem_pair())

    def found(*secrets: str) -> list[tuple[str, str]]:
        documents = (
            GATEWAY.replace("HTTP}", "HTTPS}")
            + "    tls: {mode: MUTUAL, credentialName: cert, caCertCredentialName: clients}",
            f"kind: Secret\nmetadata: {{name: cert}}\ndata: {{tls.crt: {certificate}, tls.key: {key}}}",
            *(f"kind: Secret\n{each}" for each in secrets),
        )
        wanted = ("IST0101", "IST0161")
        mesh = mesh_of("\n---\n".join(documents) + "\n")
        return [(one.path, one.message) for one in analyze(mesh) if one.code in wanted]

    ((path, message),) = found()
    assert path == "spec.servers[0].tls.caCertCredentialName"
    assert "there is no Secret clients" in message
    ((_, message),) = found(f"metadata: {{name: clients}}\ndata: {{tls.crt: {certificate}}}")
    assert "has no CA for clients' certificates" in message
    assert found(f"metadata: {{name: clients}}\ndata: {{ca.crt: {certificate}}}") == []


def test_a_rule_below_a_wildcard_service_is_for_a_known_host(mesh_of: MeshOf) -> None:
    wide = ENTRY.replace("hosts: [web.com]", "hosts: ['*.com']").replace("STATIC", "NONE")
    wide = wide.replace("  endpoints: [{address: 10.0.0.1, labels: {version: v1}}]\n", "")
    assert not [one for one in analyze(mesh_of(wide + RULE)) if one.code in ("IST0174", "IST0173")]


def test_a_gateway_may_serve_a_host_for_several_namespaces(mesh_of: MeshOf) -> None:
    bound = ROUTE.replace("  http:", "  gateways: [gw]\n  http:")
    for hosts in ("[default/web.com, far/web.com]", "[far/web.com, default/web.com]"):
        mesh = mesh_of(ENTRY + bound + "---" + GATEWAY.replace("[web.com]", hosts))
        assert not [one for one in analyze(mesh) if one.code == "IST0132"]


def test_one_certificate_in_two_gateways(mesh_of: MeshOf) -> None:
    secure = GATEWAY.replace("HTTP}", "HTTPS}") + "    tls: {mode: SIMPLE, credentialName: cert}\n"
    mesh = mesh_of(secure + "---" + other(secure, "second").replace("[web.com]", "[b.com]"))
    (found,) = [one for one in analyze(mesh) if one.code == "IST0138"]
    assert found.path == "spec.servers[0].tls.credentialName"


def test_selectors_are_compared_with_connected_proxies(mesh_of: MeshOf, proxy_at: Callable[..., Any]) -> None:
    mesh = mesh_of(GATEWAY + "---" + SELECTING)
    paths = ["spec.selector", "spec.workloadSelector.labels"]
    assert [one.path for one in analyze(mesh, [])] == paths
    assert analyze(mesh) == []
    assert analyze(mesh, [proxy_at(kind="router", istio="gw"), proxy_at(app="a")]) == []


def test_findings_of_the_mesh_itself_are_among_them(mesh_of: MeshOf) -> None:
    mesh = mesh_of(ENTRY + ROUTE + "  - delegate: {name: gone}\n    match: [{uri: {prefix: /x}}]\n")
    assert [one.code for one in analyze(mesh)] == ["MZ0203"]


def test_mutual_tls_is_no_finding_where_certificates_are_issued(mesh_of: MeshOf) -> None:
    text = ENTRY + STRICT_PORT
    assert "MZ0220" in {one.code for one in analyze(mesh_of(text))}
    assert "MZ0220" not in {one.code for one in analyze(mesh_of(text, enable_auto_mtls=True))}
