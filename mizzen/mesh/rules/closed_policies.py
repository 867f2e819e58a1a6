"""Closed policies: what replaces a security policy that Mizzen fails to translate. It lets nothing pass.

To leave such a policy out would open what it protects. The closed policy selects the same workloads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from mizzen.config.document import Config
from mizzen.config.dry_run import is_dry_run
from mizzen.config.group_kinds import AUTHORIZATION_POLICY
from mizzen.config.models import (
    AuthorizationAction,
    AuthorizationPolicy,
    AuthorizationRule,
    MutualTLS,
    MutualTLSMode,
    PeerAuthentication,
    RequestAuthentication,
)

_STANDS_IN: Final = "mizzen.io/stands-in"


def closed_policy(config: Config[Any]) -> Config[Any] | None:
    """Return the closed policy that replaces `config`; None if `config` is no
    security policy, or denies nothing anyway."""
    spec = config.spec
    closed: Any
    if isinstance(spec, AuthorizationPolicy):
        if spec.action is AuthorizationAction.AUDIT or is_dry_run(config.annotations):
            return None
        closed = _denies(spec)
    elif isinstance(spec, RequestAuthentication):
        closed = RequestAuthentication.of(**_target(spec))
    elif isinstance(spec, PeerAuthentication):
        closed = PeerAuthentication.of(selector=spec.selector, mtls=MutualTLS.of(mode=MutualTLSMode.STRICT))
    else:
        return None
    return replace(config, spec=closed, labels={}, annotations={_STANDS_IN: "true"})


def is_closed_policy(config: Config[Any]) -> bool:
    """Tell whether a policy is a closed policy."""
    return _STANDS_IN in config.annotations


def denying(config: Config[Any]) -> Config[Any]:
    """Return the AuthorizationPolicy that denies everything, for the closed policy
    of a RequestAuthentication."""
    return replace(config, kind=AUTHORIZATION_POLICY.kind, spec=_denies(config.spec))


def _denies(spec: Any) -> AuthorizationPolicy:
    return AuthorizationPolicy.of(
        **_target(spec), action=AuthorizationAction.DENY, rules=(AuthorizationRule(),)
    )


def _target(spec: Any) -> dict[str, Any]:
    return {"selector": spec.selector, "target_ref": spec.target_ref, "target_refs": spec.target_refs}
