"""AuthorizationPolicy: who may do what with a workload.

https://istio.io/latest/docs/reference/config/security/authorization-policy/
"""

from __future__ import annotations

from mizzen.config.models.base import IstioModel
from mizzen.config.models.selector import PolicyTargetReference, TypeWorkloadSelector
from mizzen.config.models.types import IstioEnum


class AuthorizationAction(IstioEnum):
    """What happens to a request that a rule matches."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    AUDIT = "AUDIT"
    CUSTOM = "CUSTOM"


class AuthorizationSource(IstioModel):
    """Where a request comes from: all fields must match, each by any one of its
    values (`not...`: by none)."""

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    request_principals: tuple[str, ...] = ()
    not_request_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    not_service_accounts: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()
    remote_ip_blocks: tuple[str, ...] = ()
    not_remote_ip_blocks: tuple[str, ...] = ()
    trust_domains: tuple[str, ...] = ()
    not_trust_domains: tuple[str, ...] = ()


class AuthorizationOperation(IstioModel):
    """What a request asks for: all fields must match, each by any one of its values (`not...`: by none)."""

    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    not_ports: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()


class RuleFrom(IstioModel):
    """One of the sources of a rule."""

    source: AuthorizationSource | None = None


class RuleTo(IstioModel):
    """One of the operations of a rule."""

    operation: AuthorizationOperation | None = None


class AuthorizationCondition(IstioModel):
    """A further condition: the attribute `key` has one of `values` and none of `not_values`."""

    key: str = ""
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()


class AuthorizationRule(IstioModel):
    """Matches a request from one of the sources, for one of the operations, if all conditions hold."""

    from_: tuple[RuleFrom, ...] = ()
    to: tuple[RuleTo, ...] = ()
    when: tuple[AuthorizationCondition, ...] = ()


class AuthorizationProvider(IstioModel):
    """The external authorizer of action CUSTOM: one of MeshConfig's `extensionProviders`."""

    name: str = ""


class AuthorizationPolicy(IstioModel):
    """Rules for the workloads that `selector` picks; without a selector, for all workloads of the namespace,
    or of the mesh if it is the root namespace."""

    selector: TypeWorkloadSelector | None = None
    target_ref: PolicyTargetReference | None = None
    target_refs: tuple[PolicyTargetReference, ...] = ()
    rules: tuple[AuthorizationRule, ...] = ()
    action: AuthorizationAction = AuthorizationAction.ALLOW
    provider: AuthorizationProvider | None = None
