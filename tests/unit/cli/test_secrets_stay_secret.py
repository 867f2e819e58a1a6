import base64
import json
from pathlib import Path

from tests.self_signed import certificate_and_key
from tests.unit.cli.conftest import Command

GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: ["*"]
    tls: {mode: SIMPLE, credentialName: shop}
"""
NODE = {
    "id": "router~10.0.0.7~ingress.edge~edge.svc.cluster.local",
    "metadata": {"NAMESPACE": "edge", "LABELS": {"istio": "ingressgateway"}},
}


def test_a_private_key_is_printed_only_when_asked_for(mizzen: Command, tmp_path: Path) -> None:
    certificate, key = certificate_and_key()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "shop", "namespace": "edge"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key},
    }
    config = tmp_path / "config"
    config.mkdir()
    (config / "secret.json").write_text(json.dumps(secret))
    (config / "gateway.yaml").write_text(GATEWAY)
    node = tmp_path / "node.json"
    node.write_text(json.dumps(NODE))

    hidden = mizzen("translate", "--config", config, "--node", node)
    assert hidden.code == 0, hidden.err
    [sent] = [each for each in json.loads(hidden.out)["secrets"] if "tls_certificate" in each]
    assert sent["tls_certificate"]["private_key"] == {"inline_bytes": "[redacted]"}
    assert "PRIVATE KEY" not in hidden.out + hidden.err
    assert base64.b64encode(key.encode()).decode()[:60] not in hidden.out

    shown = mizzen("translate", "--config", config, "--node", node, "--show-secrets")
    [sent] = [each for each in json.loads(shown.out)["secrets"] if "tls_certificate" in each]
    assert "PRIVATE KEY" in base64.b64decode(sent["tls_certificate"]["private_key"]["inline_bytes"]).decode()
