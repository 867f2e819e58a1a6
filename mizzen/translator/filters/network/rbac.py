"""AuthorizationPolicies for plain TCP, without their conditions about HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2

from mizzen.config.group_kinds import AUTHORIZATION_POLICY
from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.authorization import enforcements
from mizzen.translator.filters.network_filter import NetworkFilter, NetworkFilterContext, NetworkStep
from mizzen.translator.filters.role import Role

NAME: Final = "envoy.filters.network.rbac"
STAT_PREFIX: Final = "tcp."


def rbac(context: NetworkFilterContext) -> Iterator[Any]:
    """Yield the filters for the workload's policies: audit, deny, allow."""
    policies = context.policies.authorization_policies
    if not policies or context.role is Role.SIDECAR_OUTBOUND:
        return
    for each in enforcements(policies, context.mesh_config, http=False):
        config = each.fill(rbac_pb2.RBAC(stat_prefix=STAT_PREFIX))
        yield typed(listener_components_pb2.Filter, NAME, config)


FILTER: Final = NetworkFilter(NAME, NetworkStep.AUTHORIZATION, rbac, policy=AUTHORIZATION_POLICY)
