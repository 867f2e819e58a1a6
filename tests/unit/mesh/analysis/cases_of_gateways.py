"""Diagnostics about Gateways, with what each is wrong in and what is right."""

from __future__ import annotations

from tests.unit.mesh.analysis.documents import (
    BOUND,
    CERTIFICATE,
    EDGE_VM,
    ENTRY,
    GATEWAY,
    GATEWAY_SERVICE,
    ROUTE,
    RULE,
    SELECTOR,
    TLS_GATEWAY,
    TO_SUBSET,
    VM,
    other,
)

# code, path, words of the message, the mesh, the mesh put right
GATEWAYS: dict[str, tuple[str, str, str, str, str]] = {
    "a gateway's selector misspelt": (
        "IST0101",
        "spec.selector",
        "write what they have: istio=ingress",
        VM.replace("app: a, tier: b", "istio: ingress") + SELECTOR.replace("VALUE", "ingres"),
        VM.replace("app: a, tier: b", "istio: ingress") + SELECTOR.replace("VALUE", "ingress"),
    ),
    "unknown gateway": (
        "IST0101",
        "spec.gateways[0]",
        "there is no Gateway default/gw",
        ENTRY + BOUND,
        ENTRY + BOUND + "---" + GATEWAY,
    ),
    "unknown gateway, and one like it": (
        "IST0101",
        "spec.gateways[0]",
        "there is no Gateway default/ggw; did you mean default/gw?",
        ENTRY + ROUTE.replace("  http:", "  gateways: [ggw]\n  http:") + "---" + GATEWAY,
        ENTRY + BOUND + "---" + GATEWAY,
    ),
    "gateway with two letters swapped": (
        "IST0101",
        "spec.gateways[0]",
        "there is no Gateway default/egde; did you mean default/edge?",
        ENTRY + BOUND.replace("[gw]", "[egde]") + "---" + other(GATEWAY, "edge"),
        ENTRY + BOUND.replace("[gw]", "[edge]") + "---" + other(GATEWAY, "edge"),
    ),
    "gateway of another namespace": (
        "IST0101",
        "spec.gateways[0]",
        "there is no Gateway default/gw; did you mean far/gw?",
        ENTRY + BOUND + "---" + other(GATEWAY, "gw", "far"),
        ENTRY + BOUND.replace("gw", "far/gw") + "---" + other(GATEWAY, "gw", "far"),
    ),
    "credential, and one like it": (
        "IST0101",
        "spec.servers[0].tls.credentialName",
        "there is no Secret cert; did you mean default/certs?",
        TLS_GATEWAY + "---" + CERTIFICATE.replace("cert", "certs"),
        TLS_GATEWAY + "---" + CERTIFICATE,
    ),
    "gateway serves none of the hosts": (
        "IST0132",
        "spec.gateways[0]",
        "serves none of the hosts web.com",
        ENTRY + BOUND + "---" + GATEWAY.replace("web.com", "far/web.com"),
        ENTRY + BOUND + "---" + GATEWAY.replace("web.com", "'*.com'"),
    ),
    "gateway passes subsets by": (
        "IST0140",
        "spec.http[0].route[0].destination",
        "does not apply at this gateway",
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
        "is in namespace default, and only proxies of that namespace get it; put it into namespace edge",
        TLS_GATEWAY + EDGE_VM + CERTIFICATE,
        TLS_GATEWAY + EDGE_VM + CERTIFICATE.replace("{name: cert", "{name: cert, namespace: edge"),
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
}
