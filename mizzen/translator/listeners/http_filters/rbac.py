"""AuthorizationPolicies for HTTP: who may do what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mizzen.config.models import AuthorizationAction
from mizzen.translator.base.typed_config import typed
from mizzen.translator.listeners.authorization import ORDER, enforcements
from mizzen.translator.listeners.http_filters.context import HttpFilterContext
from mizzen.translator.listeners.roles import Role

NAME: Final = "envoy.filters.http.rbac"
_BEFORE_TOKENS: Final = (AuthorizationAction.CUSTOM,)
_AFTER_TOKENS: Final = tuple(action for action in ORDER if action not in _BEFORE_TOKENS)


def custom_authorization(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filter for policies of action CUSTOM, which come before tokens are looked at."""
    return _filters(context, _BEFORE_TOKENS)


def authorization(context: HttpFilterContext) -> Iterator[Any]:
    """Yield the filters for the other policies: audit, then deny, then allow."""
    return _filters(context, _AFTER_TOKENS)


def _filters(context: HttpFilterContext, actions: Sequence[AuthorizationAction]) -> Iterator[Any]:
    policies = context.policies.authorization_policies
    if not policies or context.role is Role.SIDECAR_OUTBOUND:
        return
    for each in enforcements(policies, context.mesh_config, http=True, actions=actions):
        yield typed(hcm.HttpFilter, NAME, each.fill(rbac_pb2.RBAC()))
