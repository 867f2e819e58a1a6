"""`mizzen why` of files: a request with a token, real or vouched for."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from mizzen.testing.ports import free_port
from tests.unit.cli.conftest import Command

KEY = ec.generate_private_key(ec.SECP256R1())
KEY_SET = {"keys": [json.loads(jwt.get_algorithm_by_name("ES256").to_jwk(KEY.public_key()))]}
ISSUER = "https://issuer.example"
MESH = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec: {selector: {app: shop}, clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: shop-1, namespace: default}
spec: {address: 10.0.0.1, labels: {app: shop}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: default}
spec: {jwtRules: [{issuer: "https://issuer.example", jwks: 'KEY_SET'}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: jane, namespace: default}
spec: {rules: [{from: [{source: {requestPrincipals: ["https://issuer.example/jane"]}}]}]}
"""


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    (tmp_path / "mesh.yaml").write_text(MESH.replace("KEY_SET", json.dumps(KEY_SET)), encoding="utf-8")
    return tmp_path / "mesh.yaml"


def asked(mizzen: Command, mesh: Path, *options: str) -> dict[str, Any]:
    ended = mizzen("why", "http://shop/", "--from", "shop-1", "--config", mesh, "-o", "json", *options)
    assert ended.code == 0, ended.err
    hop: dict[str, Any] = json.loads(ended.out)["hops"][-1]
    return hop


def bearing(**claims: Any) -> tuple[str, str]:
    return "-H", f"authorization: Bearer {jwt.encode({'iss': ISSUER, **claims}, KEY, 'ES256')}"


def test_a_token_is_checked_by_the_keys_in_the_files_and_at_this_time(mizzen: Command, mesh: Path) -> None:
    now = int(time.time())
    assert asked(mizzen, mesh)["status"] == 403
    assert asked(mizzen, mesh, *bearing(sub="jane", exp=now + 3600))["outcome"] == "forwarded"
    assert asked(mizzen, mesh, *bearing(sub="mary", exp=now + 3600))["status"] == 403
    late = asked(mizzen, mesh, *bearing(sub="jane", exp=now - 3600))
    assert late["status"] == 401
    [token] = [step for step in late["steps"] if step["kind"] == "token"]
    assert token["lost"]["condition"] == "exp of the token"
    assert token["origins"] == [f"{mesh}:15"]


def test_claims_stand_for_a_token(mizzen: Command, mesh: Path) -> None:
    claims = json.dumps({"iss": ISSUER, "sub": "jane"})
    assert asked(mizzen, mesh, "--claims", claims)["outcome"] == "forwarded"
    wrong = mizzen("why", "http://shop/", "--from", "shop-1", "--config", mesh, "--claims", "jane")
    assert wrong.code == 2
    assert "are no claims; write a JSON object" in wrong.err


@pytest.mark.parametrize(
    "command",
    [
        ("why", "http://shop/", "--from", "shop-1"),
        ("describe", "shop"),
        ("routes", "shop-1"),
        ("secrets", "shop-1"),
    ],
    ids=lambda command: command[0],
)
def test_without_files_a_server_is_asked_and_both_ways_are_named(
    command: tuple[str, ...], mizzen: Command
) -> None:
    address = f"127.0.0.1:{free_port()}"
    nobody = mizzen(*command, "--admin", address)
    assert nobody.code == 1
    assert f"no server answers at {address}" in nobody.err
    assert "give --config PATH" in nobody.err
    assert nobody.err.count("\n") == 1


def test_what_belongs_to_files_needs_them(mizzen: Command, mesh: Path) -> None:
    wrong = mizzen("why", "http://shop/", "--from", "shop-1", "--mesh-config", mesh)
    assert wrong.code == 2
    assert "go with --config" in wrong.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("shop:80/x",), '"shop:80/x" has no scheme; write http://shop:80/x, or https://shop:80/x'),
        (("shop",), '"shop" is no URL; write http://shop/, or --tcp shop:PORT'),
        (("PUT", "shop:80/x"), '"shop:80/x" has no scheme; write http://shop:80/x'),
        (("PUT",), "say which URL: mizzen why PUT http://reviews:9080/path"),
    ],
)
def test_a_call_without_a_scheme_says_what_to_write(
    words: tuple[str, ...], said: str, mizzen: Command, mesh: Path
) -> None:
    wrong = mizzen("why", *words, "--from", "shop-1", "--config", mesh)
    assert wrong.code == 2
    assert said in wrong.err
