"""Messages that take no effect as a whole are named in a warning."""

from __future__ import annotations

import json

import pytest

from mizzen.config import parse_documents, to_config

SIDECAR = {
    "ingress": [
        {
            "port": {"number": 443, "protocol": "HTTPS", "name": "https"},
            "defaultEndpoint": "127.0.0.1:8080",
            "tls": {"mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"},
        }
    ]
}
GROUP = {"metadata": {"labels": {"app": "a"}}, "template": {"serviceAccount": "a"}}


@pytest.mark.parametrize(
    ("kind", "spec", "paths"),
    [
        ("Sidecar", SIDECAR, ["spec.ingress[0].tls"]),
        ("WorkloadGroup", GROUP, ["spec.metadata", "spec.template"]),
    ],
)
def test_a_warning_names_it(kind: str, spec: dict[str, object], paths: list[str]) -> None:
    document = {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}
    parsed = parse_documents(json.dumps(document).encode(), "mesh.json")

    config, found = to_config(parsed.documents[0])

    assert config is not None
    assert sorted((it.code, it.path) for it in found) == [("MZ0001", path) for path in paths]
    assert all("takes no effect" in it.message for it in found)
