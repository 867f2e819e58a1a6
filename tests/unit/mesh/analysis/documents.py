"""Documents that diagnostics are made of."""

from __future__ import annotations

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
DELEGATE = """
kind: VirtualService
metadata: {name: leaf, namespace: far}
spec:
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
OF_KUBERNETES = """
kind: Service
metadata: {name: web, namespace: default}
spec: {ports: [{name: http, port: 80}]}
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
SHOP = """
kind: Service
metadata: {name: shop}
spec: {selector: {app: a}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
"""
INGRESS = SELECTING.replace("egress:", "ingress: [{port: {number: NUMBER, protocol: HTTP}}], egress:")
INGRESS_WITH_METRICS = INGRESS.replace("ingress: [", "ingress: [{port: {number: 9090, protocol: HTTP}}, ")
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


def delegating(delegate: str) -> str:
    """Return ROUTE as one that delegates."""
    return ROUTE.replace("route: [{destination: {host: web.com}}]", f"delegate: {delegate}")


def other(text: str, name: str, namespace: str = "default") -> str:
    """Return the document under another name."""
    old = text.split("metadata: {name: ")[1].split("}")[0].split(",")[0]
    return text.replace(f"metadata: {{name: {old}", f"metadata: {{name: {name}, namespace: {namespace}", 1)


STRICT_PORT = """kind: PeerAuthentication
metadata: {name: strict}
spec:
  selector: {matchLabels: {app: a}}
  portLevelMtls: {8080: {mode: STRICT}}
"""
PERMISSIVE = STRICT_PORT.replace("STRICT", "PERMISSIVE")
BOUND = ROUTE.replace("  http:", "  gateways: [gw]\n  http:")
STABLE = RULE.replace("name: v1", "name: stable")
TO_STABLE = TO_SUBSET.replace("subset: v1", "subset: stable")
