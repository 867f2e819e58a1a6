"""What stands in for a security policy that Mizzen fails to translate: a policy that lets nothing pass.

Left out, such a policy would open what it was to protect. Its stand-in selects the same workloads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from mizzen.config.document import Config
from mizzen.config.dry_run import is_dry_run
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
    """Return the stand-in of a policy; None of another kind, and of a policy that keeps nobody out anyway."""
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
    """Tell whether a policy is a stand-in."""
    return _STANDS_IN in config.annotations


def denying(config: Config[Any]) -> Config[Any]:
    """Return the AuthorizationPolicy by which the stand-in of a RequestAuthentication lets nothing pass."""
    return replace(config, kind="AuthorizationPolicy", spec=_denies(config.spec))


def _denies(spec: Any) -> AuthorizationPolicy:
    return AuthorizationPolicy.of(
        **_target(spec), action=AuthorizationAction.DENY, rules=(AuthorizationRule(),)
    )


def _target(spec: Any) -> dict[str, Any]:
    return {"selector": spec.selector, "target_ref": spec.target_ref, "target_refs": spec.target_refs}
