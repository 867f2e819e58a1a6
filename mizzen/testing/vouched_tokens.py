"""Tokens with any claims that real Envoys accept: a key of the test is added to those of every issuer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from jwt.algorithms import ECAlgorithm

from mizzen.config.models.request_authentication import JWTRule
from mizzen.simulate import Call
from mizzen.translator.base.dynamic_metadata import JWT_FILTER

_ALGORITHM: Final = "ES256"
_KEY_ID: Final = "mizzen-test"


class VouchedTokens:
    """Signs tokens with a key that lives as long as the object."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public: dict[str, Any] = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self._public = {**public, "alg": _ALGORITHM, "kid": _KEY_ID}

    def vouch(self, listeners: Iterable[Any]) -> None:
        """Let the JWT filters of Listeners accept this key for every issuer."""
        for listener in listeners:
            for chain in (*listener.filter_chains, listener.default_filter_chain):
                for each in chain.filters:
                    self._vouch(each)

    def _vouch(self, network_filter: Any) -> None:
        manager: Any = http_connection_manager_pb2.HttpConnectionManager()
        if not network_filter.typed_config.Unpack(manager):
            return
        for http_filter in manager.http_filters:
            if http_filter.name == JWT_FILTER:
                authentication: Any = config_pb2.JwtAuthentication()
                http_filter.typed_config.Unpack(authentication)
                for provider in authentication.providers.values():
                    keys = json.loads(provider.local_jwks.inline_string)["keys"]
                    provider.local_jwks.inline_string = json.dumps({"keys": [*keys, self._public]})
                http_filter.typed_config.Pack(authentication)
        network_filter.typed_config.Pack(manager)

    def bring(self, call: Call, rules: Iterable[JWTRule]) -> Call:
        """Return a call whose request contains a token with its claims, where the
        first rule for its issuer looks for one."""
        if call.claims is None:
            return call
        token = jwt.encode(dict(call.claims), self._key, _ALGORITHM, headers={"kid": _KEY_ID})
        own = (rule for rule in rules if rule.issuer == call.claims.get("iss"))
        return _bearing(call, token, next(own, JWTRule()))


def _bearing(call: Call, token: str, rule: JWTRule) -> Call:
    if rule.from_headers:
        first = rule.from_headers[0]
        header = (first.name, f"{first.prefix}{token}")
    elif rule.from_params:
        mark = "&" if "?" in call.path else "?"
        return replace(call, path=f"{call.path}{mark}{urlencode({rule.from_params[0]: token})}")
    elif rule.from_cookies:
        header = ("cookie", f"{rule.from_cookies[0]}={token}")
    else:
        header = ("authorization", f"Bearer {token}")
    return replace(call, headers=(*call.headers, header))
