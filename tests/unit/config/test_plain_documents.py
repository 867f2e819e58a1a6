"""Documents in force as plain values, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mizzen.config import Config, parse_documents
from mizzen.config.plain_documents import from_plain, plain, plain_origin
from mizzen.config.typed_documents import to_config

ROOT = Path(__file__).parents[3]
FILES = sorted(
    (
        *ROOT.glob("examples/**/*.yaml"),
        *ROOT.glob("tests/golden/**/mesh.yaml"),
        ROOT / "tests/chaos/corpus.yaml",
    )
)


def configs_of(text: bytes, name: str = "mesh.yaml") -> list[Config[Any]]:
    found = (to_config(document)[0] for document in parse_documents(text, name).documents)
    return [config for config in found if config is not None]


def there_and_back(config: Config[Any]) -> Config[Any]:
    content, place = json.loads(json.dumps([plain(config), plain_origin(config)]))
    found = from_plain(content, place)
    assert found is not None
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_documents_are_the_same_behind_json(file: Path) -> None:
    for config in configs_of(file.read_bytes(), str(file)):
        if config.kind == "Secret":
            continue
        again = there_and_back(config)
        assert again.spec == config.spec
        assert again.spec.model_fields_set == config.spec.model_fields_set
        assert (again.key, again.api_version) == (config.key, config.api_version)
        assert (again.labels, again.annotations) == (config.labels, config.annotations)
        assert again.creation_timestamp == config.creation_timestamp
        assert again.origin == config.origin
        assert again.origin.document == config.origin.document
        assert again.origin_of("spec", "http", 1, "route") == config.origin_of("spec", "http", 1, "route")


def test_files_hold_many_documents() -> None:
    assert sum(len(configs_of(file.read_bytes())) for file in FILES) > 100


def test_durations_and_bytes_are_told_as_istio_reads_them() -> None:
    text = b"""\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, creationTimestamp: "2024-05-06T07:08:09Z"}
spec:
  hosts: [shop]
  http:
  - {match: [{uri: {exact: /a}}], timeout: 1h1m0.5s, route: [{destination: {host: shop}}]}
  - directResponse: {status: 503, body: {bytes: AAEC/w==}}
"""
    (config,) = configs_of(text)
    again = there_and_back(config)
    assert again.spec.http[0].timeout == config.spec.http[0].timeout
    assert again.spec.http[1].direct_response == config.spec.http[1].direct_response
    assert again.creation_timestamp == config.creation_timestamp


def test_values_of_a_secret_are_not_told() -> None:
    text = b"""\
apiVersion: v1
kind: Secret
metadata: {name: shop}
type: Opaque
stringData: {password: hunter2, tls.key: a key, note: hunter2}
"""
    (config,) = configs_of(text)
    told = json.dumps(plain(config))
    assert "hunter2" not in told
    assert "a key" not in told
    digests = plain(config)["digests"]
    assert digests.keys() == {"password", "tls.key", "note"}
    # Whoever guesses a password finds it by its digest; a key nobody guesses.
    assert digests["password"] == digests["note"] == ""
    assert len(digests["tls.key"]) == 64


def test_of_the_keys_of_tokens_only_the_public_ones_are_told() -> None:
    public = {"kty": "OKP", "crv": "Ed25519", "x": "cHVibGlj", "kid": "a"}
    keys = [{**public, "d": "cHJpdmF0ZQ"}, {"kty": "oct", "k": "c2hhcmVk"}]
    [config] = configs_of(
        b"""\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec:
  jwtRules:
  - issuer: a
    jwks: '%s'
  - issuer: b
    jwksUri: https://b.example/keys
"""
        % json.dumps({"keys": keys}).encode()
    )
    [first, second] = plain(config)["spec"]["jwtRules"]
    assert json.loads(first["jwks"]) == {"keys": [public]}
    assert second == {"issuer": "b", "jwksUri": "https://b.example/keys"}
    assert "c2hhcmVk" in config.spec.jwt_rules[0].jwks, "what is served is as it was"
