"""AuthorizationPolicies for HTTP: who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.config.group_kinds import AUTHORIZATION_POLICY
from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.authorization import enforcements
from mizzen.translator.filters.http_filter import HttpFilter, HttpFilterContext, HttpStep
from mizzen.translator.filters.role import Role

NAME: Final = "envoy.filters.http.rbac"


def rbac(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filters for all policies but CUSTOM ones: audit, then deny, then allow."""
    policies = context.policies.authorization_policies
    if not policies or context.role is Role.SIDECAR_OUTBOUND:
        return
    for each in enforcements(policies, context.mesh_config, http=True):
        yield typed(hcm.HttpFilter, NAME, each.fill(rbac_pb2.RBAC()))


FILTER: Final = HttpFilter(NAME, HttpStep.AUTHORIZATION, rbac, policy=AUTHORIZATION_POLICY)
