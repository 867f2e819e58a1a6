"""The attributes that conditions (`when`) of an AuthorizationPolicy may name.

https://istio.io/latest/docs/reference/config/security/conditions/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class AttributeKind(StrEnum):
    """The kind of an attribute. The kinds in `NAMED` take a name in brackets:
    `request.headers[user-agent]`."""

    REQUEST_HEADERS = "request.headers"
    SOURCE_IP = "source.ip"
    REMOTE_IP = "remote.ip"
    SOURCE_NAMESPACE = "source.namespace"
    SOURCE_SERVICE_ACCOUNT = "source.serviceAccount"
    SOURCE_PRINCIPAL = "source.principal"
    SOURCE_TRUST_DOMAIN = "source.trustDomain"
    REQUEST_PRINCIPAL = "request.auth.principal"
    REQUEST_AUDIENCES = "request.auth.audiences"
    REQUEST_PRESENTER = "request.auth.presenter"
    REQUEST_CLAIMS = "request.auth.claims"
    DESTINATION_IP = "destination.ip"
    DESTINATION_PORT = "destination.port"
    CONNECTION_SNI = "connection.sni"
    ENVOY_FILTER = "experimental.envoy.filters"

    @property
    def is_http_only(self) -> bool:
        """True if plain TCP connections do not have this attribute."""
        return self.value.startswith("request.")


NAMED: Final = frozenset({AttributeKind.REQUEST_HEADERS, AttributeKind.REQUEST_CLAIMS})
_ENVOY_FILTER: Final = re.compile(r"experimental\.(envoy\.filters\.[^\[]*)\[(.+)\]", re.DOTALL)
_NAMED: Final = re.compile(r"(request\.headers|request\.auth\.claims)\[(.+)\]", re.DOTALL)
_NESTED: Final = re.compile(r"[^\[\]]+(?:\]\[[^\[\]]+)*")


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute, and the names in its brackets: of a header; of a claim and the claims nested in it; or
    the key in the metadata of an Envoy filter (`filter_name`)."""

    kind: AttributeKind
    names: tuple[str, ...] = ()
    filter_name: str = ""


def attribute_of(key: str) -> Attribute | None:
    """Return the attribute that `key` names, or None."""
    if named := _NAMED.fullmatch(key):
        kind = AttributeKind(named[1])
        nested = kind is AttributeKind.REQUEST_CLAIMS and _NESTED.fullmatch(named[2]) is not None
        return Attribute(kind, tuple(named[2].split("][")) if nested else (named[2],))
    if found := _ENVOY_FILTER.fullmatch(key):
        return Attribute(AttributeKind.ENVOY_FILTER, (found[2],), found[1])
    try:
        kind = AttributeKind(key)
    except ValueError:
        return None
    return None if kind in NAMED or kind is AttributeKind.ENVOY_FILTER else Attribute(kind)


def is_path_template(path: str) -> bool:
    """Tell whether the path of an operation has a part `{*}` (one segment) or `{**}`
    (any number of segments)."""
    return "{*}" in path or "{**}" in path
