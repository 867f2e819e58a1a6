"""AuthorizationPolicies of action CUSTOM, for plain TCP: an external authorizer decides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2

from mizzen.config.group_kinds import AUTHORIZATION_POLICY
from mizzen.translator.base.typed_config import typed
from mizzen.translator.filters.external_authorization import (
    NOTE_PREFIX,
    external_rules,
    network_external_authorization,
)
from mizzen.translator.filters.network.rbac import NAME as RBAC
from mizzen.translator.filters.network.rbac import STAT_PREFIX
from mizzen.translator.filters.network_filter import NetworkFilter, NetworkFilterContext, NetworkStep
from mizzen.translator.filters.role import Role

NAME: Final = "envoy.filters.network.ext_authz"


def ext_authz(context: NetworkFilterContext) -> Iterator[Any]:
    """Yield the filters for policies of action CUSTOM. Authorizers that are asked by HTTP get none, as in
    Istio."""
    if context.role is Role.SIDECAR_OUTBOUND:
        return
    for found in external_rules(context.policies, context.mesh_config, http=False):
        if found.authorizer is None:
            deny = rbac_pb2.RBAC(rules=found.rules, stat_prefix=STAT_PREFIX)
            yield typed(listener_components_pb2.Filter, RBAC, deny)
            continue
        asks = network_external_authorization(found, RBAC)
        if asks is not None:
            note = rbac_pb2.RBAC(
                shadow_rules=found.rules, shadow_rules_stat_prefix=NOTE_PREFIX, stat_prefix=STAT_PREFIX
            )
            yield typed(listener_components_pb2.Filter, RBAC, note)
            yield typed(listener_components_pb2.Filter, NAME, asks)


FILTER: Final = NetworkFilter(NAME, NetworkStep.CUSTOM_AUTHORIZATION, ext_authz, policy=AUTHORIZATION_POLICY)
