"""Access control in the demonstration: mutual TLS for all, tokens and a denied path at the details.

The key that signs the tokens is made for each run.
"""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from mizzen.demo.topology import NAMESPACE, SERVICE_PORT

ISSUER = "demo@bookinfo.example.com"
GUARDED_APP = "details"
"""The app that checks tokens and denies a path."""
DENIED_PATH = "/private"

_TOKEN_SECONDS = 3600
_ALGORITHM = "ES256"
_KEY_ID = "demo"


class TokenIssuer:
    """Signs tokens (JWT, ES256) with a key of its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def key_set(self) -> str:
        """The public key, as a JSON Web Key Set."""
        key = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return json.dumps({"keys": [{**key, "alg": _ALGORITHM, "kid": _KEY_ID}]})

    def token(self) -> str:
        """Return a token of ISSUER for the visitor jason, valid for an hour."""
        claims = {"iss": ISSUER, "sub": "jason", "exp": int(time.time()) + _TOKEN_SECONDS}
        return jwt.encode(claims, self._key, _ALGORITHM, headers={"kid": _KEY_ID})


def security_yaml(issuer: TokenIssuer) -> str:
    """Return the policies: STRICT for the namespace, and what the details require of a call."""
    selector = {"matchLabels": {"app": GUARDED_APP}}
    # Without ports it would deny every call that is not HTTP, and get a warning.
    denied = {"paths": [f"{DENIED_PATH}*"], "ports": [str(SERVICE_PORT)]}
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
                "rules": [{"to": [{"operation": denied}]}],
            },
        ),
    ]
    return yaml.safe_dump_all(documents, sort_keys=False)


def _policy(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
