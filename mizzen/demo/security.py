"""Who may call whom in a demonstration: mutual TLS for all, tokens and a denied path at the details.

The key that signs the tokens is made for each run.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mizzen.demo.topology import NAMESPACE

ISSUER = "demo@bookinfo.example.com"
GUARDED_APP = "details"
"""The app that checks tokens and denies a path."""
DENIED_PATH = "/private"

_TOKEN_SECONDS = 3600
_COORDINATE_BYTES = 32


class TokenIssuer:
    """Signs tokens (JWT, ES256) with a key of its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def key_set(self) -> str:
        """The public key, as a JSON Web Key Set."""
        numbers = self._key.public_key().public_numbers()
        x, y = (_encoded(each.to_bytes(_COORDINATE_BYTES, "big")) for each in (numbers.x, numbers.y))
        key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "demo", "x": x, "y": y}
        return json.dumps({"keys": [key]})

    def token(self) -> str:
        """Return a token of ISSUER for the visitor jason, good for an hour."""
        claims = {"iss": ISSUER, "sub": "jason", "exp": int(time.time()) + _TOKEN_SECONDS}
        header = {"alg": "ES256", "kid": "demo"}
        signed = ".".join(_encoded(json.dumps(each).encode()) for each in (header, claims))
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
        return f"{signed}.{_encoded(signature)}"


def security_yaml(issuer: TokenIssuer) -> str:
    """Return the policies: STRICT for the namespace, and what the details demand of a call."""
    selector = {"matchLabels": {"app": GUARDED_APP}}
    documents = [
        _policy("PeerAuthentication", "default", {"mtls": {"mode": "STRICT"}}),
        _policy(
            "RequestAuthentication",
            GUARDED_APP,
            {"selector": selector, "jwtRules": [{"issuer": ISSUER, "jwks": issuer.key_set}]},
        ),
        _policy(
            "AuthorizationPolicy",
            f"{GUARDED_APP}-private",
            {
                "selector": selector,
                "action": "DENY",
                "rules": [{"to": [{"operation": {"paths": [f"{DENIED_PATH}*"]}}]}],
            },
        ),
    ]
    return yaml.safe_dump_all(documents, sort_keys=False)


def _policy(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
