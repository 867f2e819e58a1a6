"""Keys of token issuers that were fetched: values of the mesh that reach the filters that need them."""

from __future__ import annotations

from typing import Any

import mizzen
from mizzen.config import Config, parse_documents, to_config
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.rules.token_keys import FetchedKeys, KeySource, TokenKeys
from mizzen.mesh.snapshot import Mesh
from mizzen.translator.contained import ContainedTranslation
from mizzen.translator.translation import Translation
from mizzen.xds import type_urls

DOCUMENTS = """
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {selector: {app: store}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: store}
spec: {address: 10.0.0.7, labels: {app: store}}
---
apiVersion: v1
kind: Service
metadata: {name: other}
spec: {selector: {app: other}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: other}
spec: {address: 10.0.0.8, labels: {app: other}}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens}
spec:
  selector: {matchLabels: {app: store}}
  jwtRules:
  - {issuer: "https://a.example/"}
  - {issuer: b, jwksUri: "https://b.example/keys"}
"""
A = KeySource("https://a.example/.well-known/openid-configuration", discovered=True)
B = KeySource("https://b.example/keys")


def mesh() -> Mesh:
    found: list[Config[Any]] = []
    for document in parse_documents(DOCUMENTS.encode(), "mesh.yaml").documents:
        config, _ = to_config(document)
        assert config is not None
        found.append(config)
    return Mesh.build(found)


def proxy(name: str, address: str) -> mizzen.Proxy:
    return mizzen.Proxy.from_node({"id": f"sidecar~{address}~{name}.default~default.svc.cluster.local"})


STORE, OTHER = proxy("store", "10.0.0.7"), proxy("other", "10.0.0.8")


def told(translation: Translation) -> tuple[tuple[str, ...], bytes]:
    resources = translation.resources(STORE)
    listener = resources[type_urls.LISTENER]["virtualInbound"].value
    return tuple(f"{each.code} {each.message}" for each in resources.diagnostics), bytes(listener)


def test_what_was_fetched_reaches_the_filter_and_what_was_not_is_said() -> None:
    translation = Translation(mesh())
    words, listener = told(translation)
    assert [each.split(" until ")[0] for each in words] == [
        "MZ0303 every token of https://a.example/ is refused",
        "MZ0303 every token of b is refused",
    ]
    assert b"no-keys-known" in listener
    other = translation.snapshot(OTHER)
    keys = TokenKeys({A: FetchedKeys(problem="down"), B: FetchedKeys('{"keys":["KEYS-OF-B"]}')})
    updated, delta = translation.mesh.with_token_keys(keys)
    assert delta.token_keys
    assert not delta.is_empty
    translation.update(updated)
    words, listener = told(translation)
    assert words == (
        "MZ0303 every token of https://a.example/ is refused, as its keys could not be fetched from "
        "https://a.example/.well-known/openid-configuration: down",
    )
    assert b"KEYS-OF-B" in listener
    assert b"no-keys-known" in listener
    assert told(Translation(updated)) == (words, listener)
    after = translation.snapshot(OTHER)
    for type_url in type_urls.PUSH_ORDER:
        assert after.collection(type_url) is other.collection(type_url)


def test_keys_of_before_stay_and_that_is_said() -> None:
    keys = TokenKeys({B: FetchedKeys('{"keys":["KEYS-OF-B"]}', "2026-01-01 00:00:00 UTC", "down")})
    words, listener = told(Translation(mesh().with_token_keys(keys)[0]))
    assert words[1] == (
        "MZ0304 the keys of b could not be fetched again from https://b.example/keys: down; those of "
        "2026-01-01 00:00:00 UTC stay in force"
    )
    assert b"KEYS-OF-B" in listener


def test_equal_keys_change_nothing_and_documents_keep_them() -> None:
    keys = TokenKeys({B: FetchedKeys('{"keys":["KEYS-OF-B"]}')})
    with_keys, _ = mesh().with_token_keys(keys)
    again, delta = with_keys.with_token_keys(TokenKeys(dict(keys.by_source)))
    assert again is with_keys
    assert delta.is_empty
    contained = ContainedTranslation(mesh())
    contained.update(with_keys, MeshDelta(everything=True))
    assert (
        b"KEYS-OF-B"
        in contained.snapshot(STORE).collection(type_urls.LISTENER).resources["virtualInbound"].value
    )
