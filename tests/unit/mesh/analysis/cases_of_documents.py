"""Diagnostics about documents that take no effect, claim one thing or cannot do what they say."""

from __future__ import annotations

from tests.unit.mesh.analysis.documents import (
    ADDRESSED_TCP,
    ENTRY,
    EXTERNAL_NAME,
    GATEWAY_SERVICE,
    INGRESS,
    INGRESS_WITH_METRICS,
    NAMED_PORT,
    PERMISSIVE,
    ROUTE,
    RULE,
    SELECTING,
    SHOP,
    SIDECAR,
    STRICT_PORT,
    TCP,
    VM,
    other,
)

# code, path, words of the message, the mesh, the mesh put right
DOCUMENTS: dict[str, tuple[str, str, str, str, str]] = {
    "policy for labels that no workload has": (
        "IST0127",
        "spec.selector.matchLabels.app",
        "no workload and no Service of namespace default has app=aaab, so the policy is for no call; did "
        "you mean app=aaa?",
        VM.replace("app: a", "app: aaa") + PERMISSIVE.replace("app: a", "app: aaab"),
        VM.replace("app: a", "app: aaa") + PERMISSIVE.replace("app: a", "app: aaa"),
    ),
    "policy for workloads of a different namespace": (
        "IST0127",
        "spec.selector.matchLabels",
        "no workload and no Service of namespace default has app=aaa, so the policy is for no call; did you "
        "mean namespace far?",
        VM.replace("name: vm", "namespace: far, name: vm").replace("app: a", "app: aaa")
        + PERMISSIVE.replace("app: a", "app: aaa"),
        VM.replace("app: a", "app: aaa") + PERMISSIVE.replace("app: a", "app: aaa"),
    ),
    "rule for a host that is misspelt": (
        "MZ0216",
        "spec.hosts[0]",
        "no service has the host webb.com, so no call to a service follows these rules; did you mean web.com",
        ENTRY + ROUTE.replace("hosts: [web.com]", "hosts: [webb.com]"),
        ENTRY + ROUTE,
    ),
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
        "web gives no protocol",
        GATEWAY_SERVICE.replace("name: http", "name: web").removesuffix("---\n"),
        GATEWAY_SERVICE.removesuffix("---\n"),
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
    "ingress at the port of the Service": (
        "MZ0224",
        "spec.ingress[1].port.number",
        "shop.default.svc.cluster.local:80 (mesh.yaml:6) leads to port 8080, where there is no listener; ",
        VM + SHOP + INGRESS_WITH_METRICS.replace("NUMBER", "80"),
        VM + SHOP + INGRESS_WITH_METRICS.replace("NUMBER", "8080"),
    ),
    "ingress at a port that nothing calls": (
        "MZ0224",
        "spec.ingress[0].port.number",
        "clients do not call port 8081 of these workloads",
        VM + SHOP + INGRESS.replace("NUMBER", "8081"),
        VM + SHOP + INGRESS.replace("NUMBER", "8080"),
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
        "TCP port 80 of zoo.com cannot be distinguished from that of web.com",
        TCP + other(TCP, "zoo").replace("web.com", "zoo.com").removesuffix("---\n"),
        ADDRESSED_TCP + other(TCP, "zoo").replace("web.com", "zoo.com").removesuffix("---\n"),
    ),
    "one document of several collides": (
        "MZ0210",
        "spec.ports",
        "TCP port 80 of zoo.com cannot be distinguished from that of web.com",
        TCP
        + other(ADDRESSED_TCP, "addressed").replace("web.com", "zoo.com")
        + other(TCP, "zoo").replace("web.com", "zoo.com").removesuffix("---\n"),
        TCP
        + other(ADDRESSED_TCP, "addressed").replace("web.com", "zoo.com")
        + other(ADDRESSED_TCP, "zoo").replace("web.com", "zoo.com").removesuffix("---\n"),
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
    "a CA in a ConfigMap, of a client": (
        "MZ0221",
        "spec.trafficPolicy.tls.credentialName",
        "put it into a Secret",
        ENTRY + RULE + "  trafficPolicy: {tls: {mode: SIMPLE, credentialName: 'configmap://ca'}}\n",
        ENTRY + RULE + "  trafficPolicy: {tls: {mode: SIMPLE, credentialName: ca}}\n",
    ),
}
