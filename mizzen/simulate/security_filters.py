"""Security filters: RBAC, tokens, external authorization."""

from __future__ import annotations

from typing import Any, Final, Protocol

from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2 as http_ext_authz_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_authn_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.extensions.filters.network.ext_authz.v3 import ext_authz_pb2 as network_ext_authz_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2

from mizzen.simulate.condition import UnknownSettingError
from mizzen.simulate.external_authorization import ExternalAuthorization
from mizzen.simulate.jwt_authn import JwtAuthentication
from mizzen.simulate.rbac import RbacFilter
from mizzen.simulate.request import Request
from mizzen.simulate.typed_config import type_name
from mizzen.simulate.verdict import PolicyStep


class SecurityFilter(Protocol):
    """A filter that lets a request or a connection pass, or denies it."""

    name: str

    def judge(self, request: Request, *, explain: bool) -> PolicyStep | None:
        """Return what the filter decides, or None if nothing; `explain`: also why.
        It may change the request."""


_KINDS: Final[dict[str, tuple[Any, Any]]] = {
    message.DESCRIPTOR.full_name: (message, kind)
    for message, kind in (
        (http_rbac_pb2.RBAC, RbacFilter),
        (network_rbac_pb2.RBAC, RbacFilter),
        (jwt_authn_pb2.JwtAuthentication, JwtAuthentication),
        (http_ext_authz_pb2.ExtAuthz, ExternalAuthorization),
        (network_ext_authz_pb2.ExtAuthz, ExternalAuthorization),
    )
}


def security_filter(name: str, packed: Any) -> SecurityFilter | None:
    """Return the compiled filter of a typed configuration; None for a filter of any other type, and for one
    with settings that the simulator does not know."""
    found = _KINDS.get(type_name(packed))
    if found is None:
        return None
    message, kind = found
    try:
        made: SecurityFilter = kind(name, message.FromString(packed.value))
    except UnknownSettingError:
        return None
    return made
