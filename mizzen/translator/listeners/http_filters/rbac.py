"""AuthorizationPolicies for HTTP: who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.translator.base.typed_config import typed
from mizzen.translator.listeners.authorization import enforcements
from mizzen.translator.listeners.external_authorization import (
    NOTE_PREFIX,
    external_rules,
    http_external_authorization,
)
from mizzen.translator.listeners.http_filters.context import HttpFilterContext
from mizzen.translator.listeners.roles import Role

NAME: Final = "envoy.filters.http.rbac"
EXTERNAL_NAME: Final = "envoy.filters.http.ext_authz"


def custom_authorization(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filters for policies of action CUSTOM. They stand before the filter for tokens.

    One filter finds the requests, and one asks the authorizer. If there is no authorizer to ask, a single
    filter denies the requests.
    """
    if context.role is Role.SIDECAR_OUTBOUND:
        return
    for found in external_rules(context.policies, context.mesh_config, http=True):
        if found.authorizer is None:
            yield typed(hcm.HttpFilter, NAME, rbac_pb2.RBAC(rules=found.rules))
            continue
        note = rbac_pb2.RBAC(shadow_rules=found.rules, shadow_rules_stat_prefix=NOTE_PREFIX)
        yield typed(hcm.HttpFilter, NAME, note)
        yield typed(hcm.HttpFilter, EXTERNAL_NAME, http_external_authorization(found, NAME))


def authorization(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filters for all policies but CUSTOM ones: audit, then deny, then allow."""
    policies = context.policies.authorization_policies
    if not policies or context.role is Role.SIDECAR_OUTBOUND:
        return
    for each in enforcements(policies, context.mesh_config, http=True):
        yield typed(hcm.HttpFilter, NAME, each.fill(rbac_pb2.RBAC()))
