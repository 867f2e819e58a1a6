"""The attributes that conditions (`when`) of an AuthorizationPolicy may ask about.

https://istio.io/latest/docs/reference/config/security/conditions/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class AttributeKind(StrEnum):
    """What an attribute is of. Those of `NAMED` have a name in brackets: `request.headers[user-agent]`."""

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
        """Whether a plain TCP connection has no such attribute."""
        return self.value.startswith("request.")


NAMED: Final = frozenset({AttributeKind.REQUEST_HEADERS, AttributeKind.REQUEST_CLAIMS})
_ENVOY_FILTER: Final = re.compile(r"experimental\.(envoy\.filters\.[^\[]*)\[(.+)\]", re.DOTALL)
_NAMED: Final = re.compile(r"(request\.headers|request\.auth\.claims)\[(.+)\]", re.DOTALL)
_NESTED: Final = re.compile(r"[^\[\]]+(?:\]\[[^\[\]]+)*")


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute, and the names in its brackets: of a header, of a claim and those within it, of what an
    Envoy filter found out (`filter_name` and the key)."""

    kind: AttributeKind
    names: tuple[str, ...] = ()
    filter_name: str = ""


def attribute_of(key: str) -> Attribute | None:
    """Return the attribute that `key` names, None if there is none such."""
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
    """Tell whether a path of an operation has the parts `{*}` (one segment) or `{**}` (any number)."""
    return "{*}" in path or "{**}" in path
