"""AuthorizationPolicies for plain TCP, without their conditions about HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2

from mizzen.translator.base.typed_config import typed
from mizzen.translator.listeners.authorization import enforcements
from mizzen.translator.listeners.external_authorization import (
    NOTE_PREFIX,
    external_rules,
    network_external_authorization,
)
from mizzen.translator.listeners.network_filters.context import NetworkFilterContext
from mizzen.translator.listeners.roles import Role

NAME: Final = "envoy.filters.network.rbac"
EXTERNAL_NAME: Final = "envoy.filters.network.ext_authz"
_STAT_PREFIX: Final = "tcp."


def rbac(context: NetworkFilterContext) -> Iterator[Any]:
    """Yield the filters for the workload's policies: custom, audit, deny, allow."""
    policies = context.policies.authorization_policies
    if not policies or context.role is Role.SIDECAR_OUTBOUND:
        return
    yield from _custom(context)
    for each in enforcements(policies, context.mesh_config, http=False):
        config = each.fill(rbac_pb2.RBAC(stat_prefix=_STAT_PREFIX))
        yield typed(listener_components_pb2.Filter, NAME, config)


def _custom(context: NetworkFilterContext) -> Iterator[Any]:
    """Yield the filters for policies of action CUSTOM. Authorizers that are asked by HTTP get none, as in
    Istio."""
    for found in external_rules(context.policies, context.mesh_config, http=False):
        if found.authorizer is None:
            deny = rbac_pb2.RBAC(rules=found.rules, stat_prefix=_STAT_PREFIX)
            yield typed(listener_components_pb2.Filter, NAME, deny)
            continue
        asks = network_external_authorization(found, NAME)
        if asks is not None:
            note = rbac_pb2.RBAC(
                shadow_rules=found.rules, shadow_rules_stat_prefix=NOTE_PREFIX, stat_prefix=_STAT_PREFIX
            )
            yield typed(listener_components_pb2.Filter, NAME, note)
            yield typed(listener_components_pb2.Filter, EXTERNAL_NAME, asks)
