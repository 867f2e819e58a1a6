"""Documents of services for the tests of the registry, and short ways to what becomes of them."""

from collections.abc import Callable

from mizzen.mesh.service import Service
from mizzen.mesh.snapshot import Mesh

MeshOf = Callable[..., Mesh]


def service_of(mesh: Mesh, host: str, namespace: str = "default") -> Service:
    return mesh.registry.services[(namespace, host)]


def addresses(mesh: Mesh, host: str, namespace: str = "default") -> list[str]:
    return [endpoint.address for endpoint in mesh.endpoints(service_of(mesh, host, namespace))]


KUBERNETES = """
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: web}
  ports:
  - {name: http-main, port: 80, targetPort: main}
  - {name: api, port: 81, appProtocol: grpc}
  - {name: plain, port: 3306}
---
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web, version: v1}}
spec:
  serviceAccountName: web
  containers: [{name: c, ports: [{name: main, containerPort: 8080}]}]
status: {podIP: 10.0.0.1}
---
kind: WorkloadEntry
metadata: {name: vm, namespace: shop, labels: {app: web}}
spec: {address: 10.0.0.2, ports: {http-main: 9090}}
"""


TWO = """
kind: ServiceEntry
metadata: {{name: {name}, creationTimestamp: "{year}-01-01T00:00:00Z", labels: {labels}}}
spec:
  hosts: [a.com]
  ports: {ports}
  resolution: {resolution}
  exportTo: {export_to}
{more}
"""


FIRST_PORTS = "[{number: 80, name: http, protocol: HTTP}]"


def declared(name: str, ports: str, year: int = 2000, **changes: str) -> str:
    values = {"labels": "{}", "resolution": "STATIC", "export_to": "[]", "more": "", **changes}
    return TWO.format(name=name, ports=ports, year=year, **values)
