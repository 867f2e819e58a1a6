"""AuthorizationPolicies of action CUSTOM, for HTTP: an external authorizer decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.config.group_kinds import AUTHORIZATION_POLICY
from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.external_authorization import (
    NOTE_PREFIX,
    external_rules,
    http_external_authorization,
)
from mizzen.translator.filters.http.rbac import NAME as RBAC
from mizzen.translator.filters.http_filter import HttpFilter, HttpFilterContext, HttpStep
from mizzen.translator.filters.role import Role

NAME: Final = "envoy.filters.http.ext_authz"


def ext_authz(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filters for policies of action CUSTOM. They stand before the filter for tokens.

    One filter finds the requests, and one asks the authorizer. If there is no authorizer to ask, a single
    filter denies the requests.
    """
    if context.role is Role.SIDECAR_OUTBOUND:
        return
    for found in external_rules(context.policies, context.mesh_config, http=True):
        if found.authorizer is None:
            yield typed(hcm.HttpFilter, RBAC, rbac_pb2.RBAC(rules=found.rules))
            continue
        note = rbac_pb2.RBAC(shadow_rules=found.rules, shadow_rules_stat_prefix=NOTE_PREFIX)
        yield typed(hcm.HttpFilter, RBAC, note)
        yield typed(hcm.HttpFilter, NAME, http_external_authorization(found, RBAC))


FILTER: Final = HttpFilter(NAME, HttpStep.CUSTOM_AUTHORIZATION, ext_authz, policy=AUTHORIZATION_POLICY)
