"""A mesh whose translation is contained, and the documents and proxies of it."""

from __future__ import annotations

import base64
import json
from typing import Any

from mizzen.config import ConfigStore, parse_documents
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.contained import ContainedTranslation
from mizzen.xds import type_urls
from mizzen.xds.snapshot import Snapshot
from tests.self_signed import certificate_and_key

HOST = "a.default.svc.cluster.local"


def service(name: str, port: int = 80) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"name": "http", "port": port}]},
    }


def sidecar(namespace: str, name: str = "a") -> Proxy:
    return Proxy.from_node(
        {
            "id": f"sidecar~10.0.0.1~{name}.{namespace}~{namespace}.svc.cluster.local",
            "metadata": {"NAMESPACE": namespace, "TLS_CLIENT_KEY": namespace},
        }
    )


def gateway(name: str) -> Proxy:
    return Proxy.from_node(
        {
            "id": f"router~10.0.0.1~{name}.default~default.svc.cluster.local",
            "metadata": {"NAMESPACE": "default", "LABELS": {"istio": "gw"}},
        }
    )


def virtual_service(prefix: str) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "v", "namespace": "default"},
        "spec": {
            "hosts": ["a.example"],
            "gateways": ["gw"],
            "http": [{"match": [{"uri": {"prefix": prefix}}], "route": [{"destination": {"host": "a"}}]}],
        },
    }


def versions(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    return {(each.type_url, each.name): each.version for each in snapshot}


class World:
    def __init__(self, **documents: dict[str, Any]) -> None:
        self.comments = 0
        self.store = ConfigStore()
        self.store.apply({f"{name}.yaml": self._parsed(name, one) for name, one in documents.items()})
        self.mesh = Mesh.build(self.store.configs())
        self.translation = ContainedTranslation(self.mesh)

    def _parsed(self, name: str, content: dict[str, Any]) -> Any:
        text = "# a comment\n" * self.comments + json.dumps(content)
        return parse_documents(text.encode(), f"{name}.yaml")

    def write(self, **documents: dict[str, Any] | None) -> None:
        change = self.store.apply(
            {
                f"{name}.yaml": self._parsed(name, one) if one is not None else None
                for name, one in documents.items()
            }
        )
        self.mesh, delta = self.mesh.updated(change)
        self.translation.update(self.mesh, delta)

    def clusters(self, proxy: Proxy) -> set[str]:
        found = self.translation.snapshot(proxy).collection(type_urls.CLUSTER).resources
        return {name.split("|")[3].split(".")[0] + ":" + name.split("|")[1] for name in found if "|" in name}


def is_bad(service: Any, _: Any) -> bool:
    return bool(service.ports[0].number == 666)


def tls_gateway(name: str) -> dict[str, Any]:
    tls = {"mode": "SIMPLE", "credentialName": name}
    port = {"number": 443, "name": "https", "protocol": "HTTPS"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "gw", "namespace": "default"},
        "spec": {"selector": {"istio": "gw"}, "servers": [{"port": port, "hosts": ["*"], "tls": tls}]},
    }


def secret(name: str) -> dict[str, Any]:
    pair = zip(("tls.crt", "tls.key"), certificate_and_key(), strict=True)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": "kubernetes.io/tls",
        "data": {field: base64.b64encode(text.encode()).decode() for field, text in pair},
    }
