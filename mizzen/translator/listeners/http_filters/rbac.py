"""AuthorizationPolicies for HTTP: who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.config.models import AuthorizationAction
from mizzen.translator.base.typed_config import typed
from mizzen.translator.listeners.authorization import Enforcement, enforcements
from mizzen.translator.listeners.http_filters.context import HttpFilterContext
from mizzen.translator.listeners.roles import Role

NAME: Final = "envoy.filters.http.rbac"
SHADOW_PREFIXES: Final = {
    AuthorizationAction.ALLOW: "istio_dry_run_allow_",
    AuthorizationAction.DENY: "istio_dry_run_deny_",
}


def custom_authorization(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filter for policies of action CUSTOM, which come before tokens are looked at."""
    return _filters(context, custom=True)


def authorization(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filters for the other policies: audit, then deny, then allow."""
    return _filters(context, custom=False)


def _filters(context: HttpFilterContext, *, custom: bool) -> Iterator[Any]:
    if context.role is Role.SIDECAR_OUTBOUND:
        return
    policies = context.policies.authorization_policies
    for each in enforcements(policies, context.mesh_config, http=True):
        if (each.action is AuthorizationAction.CUSTOM) is custom:
            yield typed(hcm.HttpFilter, NAME, _rbac(each))


def _rbac(each: Enforcement) -> Any:
    config = rbac_pb2.RBAC(rules=each.rules, shadow_rules=each.shadow_rules)
    if each.shadow_rules is not None:
        config.shadow_rules_stat_prefix = SHADOW_PREFIXES[each.action]
    return config
