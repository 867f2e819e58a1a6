"""The rules of AuthorizationPolicy.

https://istio.io/latest/docs/reference/config/security/authorization-policy/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mizzen.config.authorization_attributes import AttributeKind, attribute_of
from mizzen.config.document import Config
from mizzen.config.dry_run import DRY_RUN, dry_run_problem
from mizzen.config.models import (
    AuthorizationAction,
    AuthorizationCondition,
    AuthorizationOperation,
    AuthorizationPolicy,
    AuthorizationRule,
    AuthorizationSource,
)
from mizzen.config.models.base import camel_case
from mizzen.config.validation.addresses import ip_subnet_problem
from mizzen.config.validation.authorization_values import (
    check_attribute_values,
    check_methods,
    check_paths,
    check_principals,
    check_service_accounts,
    check_values,
    path_problem,
    port_text_problem,
    trust_domain_problem,
)
from mizzen.config.validation.header_forms import match_name_problem
from mizzen.config.validation.place import Place
from mizzen.config.validation.policy_targets import check_policy_targets

_MOST: Final = 512
_IDENTITIES: Final = ("principals", "namespaces")
_NOT_FOR_CUSTOM: Final = (
    "namespaces",
    "service_accounts",
    "trust_domains",
    "principals",
    "request_principals",
)
_ATTRIBUTES_NOT_FOR_CUSTOM: Final = frozenset(
    {
        AttributeKind.SOURCE_NAMESPACE,
        AttributeKind.SOURCE_SERVICE_ACCOUNT,
        AttributeKind.SOURCE_TRUST_DOMAIN,
        AttributeKind.SOURCE_PRINCIPAL,
        AttributeKind.REQUEST_PRINCIPAL,
        AttributeKind.REQUEST_AUDIENCES,
        AttributeKind.REQUEST_PRESENTER,
        AttributeKind.REQUEST_CLAIMS,
    }
)
_KEYS: Final = ", ".join(
    f"{kind}[...]" if kind in (AttributeKind.REQUEST_HEADERS, AttributeKind.REQUEST_CLAIMS) else kind.value
    for kind in AttributeKind
    if kind is not AttributeKind.ENVOY_FILTER
)


def check_authorization_policy(config: Config[AuthorizationPolicy], place: Place) -> None:
    """Report at `place`, the spec, all that is wrong with an AuthorizationPolicy."""
    policy = config.spec
    check_policy_targets(policy.selector, policy.target_ref, policy.target_refs, place)
    _check_dry_run(config, place)
    _check_action(policy, place)
    _check_length(len(policy.rules), place / "rules")
    for index, rule in enumerate(policy.rules):
        here = place / "rules" / index
        _check_rule(rule, here)
        if policy.action is AuthorizationAction.CUSTOM:
            _check_custom(rule, here)
    if policy.action is AuthorizationAction.DENY:
        _check_what_is_left_for_tcp(policy.rules, place / "rules")


def _check_dry_run(config: Config[AuthorizationPolicy], place: Place) -> None:
    value = config.annotations.get(DRY_RUN)
    if value is None:
        return
    here = Place(config, ("metadata", "annotations", DRY_RUN), place.diagnostics)
    action = config.spec.action
    if action not in (AuthorizationAction.ALLOW, AuthorizationAction.DENY):
        here.error(f"{DRY_RUN} is for actions ALLOW and DENY, not for {action}; leave it out")
    else:
        here.check(dry_run_problem(value))


def _check_action(policy: AuthorizationPolicy, place: Place) -> None:
    action = policy.action
    needs_rules = action in (AuthorizationAction.DENY, AuthorizationAction.CUSTOM)
    if needs_rules and not policy.rules:
        (place / "rules").error(
            f"action {action} without rules takes no effect; write rules, `rules: [{{}}]` for all requests"
        )
    if action is AuthorizationAction.CUSTOM:
        if policy.provider is None or not policy.provider.name:
            (place / "provider" / "name").error(
                "the external authorizer is missing; write the name of one of MeshConfig's extensionProviders"
            )
    elif policy.provider is not None and not place.lost("action"):
        (place / "provider").error(f"provider is for action CUSTOM, not for {action}; leave it out")


def _check_length(count: int, place: Place) -> None:
    if count > _MOST:
        place.error(f"there are {count} entries; at most {_MOST} are possible")


def _check_rule(rule: AuthorizationRule, place: Place) -> None:
    for attribute, entries in (("from_", rule.from_), ("to", rule.to)):
        here = place / camel_case(attribute)
        if attribute in rule.model_fields_set and not entries:
            here.error("the list is empty; write an entry, or leave it out for any")
        _check_length(len(entries), here)
    for index, entry in enumerate(rule.from_):
        here = place / "from" / index / "source"
        if entry.source is None or not _given(entry.source):
            here.error("the source has no conditions; write one, or leave `from` out for any source")
        else:
            _check_source(entry.source, here)
    for index, target in enumerate(rule.to):
        here = place / "to" / index / "operation"
        if target.operation is None or not _given(target.operation):
            here.error("the operation has no conditions; write one, or leave `to` out for any operation")
        else:
            _check_operation(target.operation, here)
    for index, condition in enumerate(rule.when):
        _check_condition(condition, place / "when" / index)


def _given(model: AuthorizationSource | AuthorizationOperation) -> bool:
    return any(getattr(model, attribute) for attribute in type(model).model_fields)


def _both(attribute: str) -> Iterator[str]:
    """Yield the field and its negation."""
    yield attribute
    yield f"not_{attribute}"


def _check_source(source: AuthorizationSource, place: Place) -> None:
    for attribute, problem in (
        ("principals", None),
        ("request_principals", None),
        ("namespaces", None),
        ("ip_blocks", ip_subnet_problem),
        ("remote_ip_blocks", ip_subnet_problem),
        ("trust_domains", trust_domain_problem),
    ):
        for each in _both(attribute):
            check_values(getattr(source, each), place / camel_case(each), problem)
    check_principals(source.principals, source.not_principals, place, "principals", "notPrincipals")
    for each in _both("service_accounts"):
        check_service_accounts(getattr(source, each), place / camel_case(each))
    if any(each in source.model_fields_set for each in _both("service_accounts")) and any(
        each in source.model_fields_set for attribute in _IDENTITIES for each in _both(attribute)
    ):
        place.error(
            "serviceAccounts cannot stand beside principals or namespaces; write two entries of `from`"
        )


def _check_operation(operation: AuthorizationOperation, place: Place) -> None:
    for attribute, problem in (
        ("hosts", None),
        ("ports", port_text_problem),
        ("methods", None),
        ("paths", path_problem),
    ):
        for each in _both(attribute):
            check_values(getattr(operation, each), place / camel_case(each), problem)
    for prefix, effect in (("", "no request matches it"), ("not_", "it excludes no request")):
        for name, check in (("methods", check_methods), ("paths", check_paths)):
            here = place / camel_case(f"{prefix}{name}")
            check(getattr(operation, f"{prefix}{name}"), here, effect)


def _check_condition(condition: AuthorizationCondition, place: Place) -> None:
    key = condition.key
    attribute = attribute_of(key)
    if not key:
        (place / "key").error("the key is missing; write an attribute such as request.headers[x-user]")
        return
    if attribute is None:
        (place / "key").error(f'"{key}" is not an attribute; write one of {_KEYS}')
        return
    if attribute.kind is AttributeKind.REQUEST_HEADERS:
        (place / "key").check(match_name_problem(attribute.names[0]))
    if not condition.values and not condition.not_values:
        place.error(f"the condition on {key} compares with nothing; write values or notValues")
    check_attribute_values(attribute, condition.values, place / "values")
    check_attribute_values(attribute, condition.not_values, place / "notValues")
    if attribute.kind is AttributeKind.SOURCE_PRINCIPAL:
        check_principals(condition.values, condition.not_values, place, "values", "notValues")


def _check_custom(rule: AuthorizationRule, place: Place) -> None:
    """Action CUSTOM is evaluated before tokens are verified, so its rules must not ask who the client is."""
    for index, entry in enumerate(rule.from_):
        if entry.source is None:
            continue
        for attribute in _NOT_FOR_CUSTOM:
            for each in _both(attribute):
                if getattr(entry.source, each):
                    here = place / "from" / index / "source" / camel_case(each)
                    here.error(f"{camel_case(each)} is not possible with action CUSTOM; leave it out")
    for index, condition in enumerate(rule.when):
        found = attribute_of(condition.key)
        if found is not None and found.kind in _ATTRIBUTES_NOT_FOR_CUSTOM:
            here = place / "when" / index / "key"
            here.error(f"{condition.key} is not possible with action CUSTOM; leave the condition out")


_TCP_SOURCE: Final = ("principals", "namespaces", "ip_blocks", "remote_ip_blocks", "service_accounts")


def _check_what_is_left_for_tcp(rules: Sequence[AuthorizationRule], place: Place) -> None:
    denying = [index for index, rule in enumerate(rules) if _denies_all_tcp(rule)]
    if denying:
        others = ", ".join(f"rules[{index}]" for index in denying[1:])
        (place / denying[0]).warning(
            "the rule denies every plain TCP connection, since it asks for attributes of HTTP alone"
            f"{f' ({others} too)' if others else ''}; "
            "write the ports that it is for (to.operation.ports)"
        )


def _denies_all_tcp(rule: AuthorizationRule) -> bool:
    """Tell whether a plain TCP chain ignores all conditions of a DENY rule, so that
    it denies every connection."""
    sources = [entry.source for entry in rule.from_ if entry.source is not None]
    operations = [entry.operation for entry in rule.to if entry.operation is not None]
    tcp_source = any(
        getattr(source, each) for source in sources for name in _TCP_SOURCE for each in _both(name)
    )
    tcp_operation = any(operation.ports or operation.not_ports for operation in operations)
    return not tcp_operation if operations else bool(sources) and not tcp_source
