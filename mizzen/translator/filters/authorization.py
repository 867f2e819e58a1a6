"""AuthorizationPolicies as the policies of Envoy's RBAC filters.

Source: https://istio.io/latest/docs/reference/config/security/authorization-policy/ and conditions/, Istio's
pilot/pkg/security/authz; of the fields: Envoy's envoy.config.rbac.v3.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from envoy.config.core.v3 import address_pb2, extension_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.path.match.uri_template.v3 import uri_template_match_pb2
from envoy.type.matcher.v3 import path_pb2, string_pb2

from mizzen.config.authorization_attributes import Attribute, AttributeKind, attribute_of, is_path_template
from mizzen.config.document import Config
from mizzen.config.dry_run import is_dry_run
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import (
    AuthorizationAction,
    AuthorizationCondition,
    AuthorizationOperation,
    AuthorizationPolicy,
    AuthorizationRule,
    AuthorizationSource,
)
from mizzen.translator.base.dynamic_metadata import claim, found_out
from mizzen.translator.base.typed_config import pack

_Principal = rbac_pb2.Principal
_Permission = rbac_pb2.Permission
_RBAC = rbac_pb2.RBAC

_SPIFFE: Final = "spiffe://"
_DEFAULT_TRUST_DOMAIN: Final = "cluster.local"
"""In policies, it stands for the mesh's own trust domain (Istio's trust domain migration)."""
_ANYTHING: Final = ".+"
_RULE_NAME: Final = re.compile(r"ns\[(.*?)\]-policy\[(.*?)\]-rule\[([0-9]+)\]")
_ENVOYS: Final = {
    AuthorizationAction.AUDIT: _RBAC.LOG,
    AuthorizationAction.DENY: _RBAC.DENY,
    AuthorizationAction.ALLOW: _RBAC.ALLOW,
}
"""The actions that Envoy carries out by itself, in the order of evaluation."""
SHADOW_PREFIXES: Final = {
    AuthorizationAction.ALLOW: "istio_dry_run_allow_",
    AuthorizationAction.DENY: "istio_dry_run_deny_",
}
"""Prefixes of Envoy's statistics for dry-run policies, by the actions that allow a dry run."""


@dataclass(frozen=True, slots=True)
class RuleName:
    """The name of a policy's rule in Envoy, as Istio's access logs and metrics show it."""

    namespace: str
    policy: str
    index: int

    def __str__(self) -> str:
        return f"ns[{self.namespace}]-policy[{self.policy}]-rule[{self.index}]"

    @classmethod
    def parse(cls, text: str) -> RuleName | None:
        """Return the first rule name in a text, or None."""
        found = _RULE_NAME.search(text)
        return cls(found[1], found[2], int(found[3])) if found is not None else None


@dataclass(frozen=True, slots=True)
class Enforcement:
    """One RBAC filter: the enforced rules, and the shadow rules of dry-run policies; each None if empty."""

    action: AuthorizationAction
    rules: Any
    shadow_rules: Any

    def fill(self, filter_config: Any) -> Any:
        """Write the rules into the RBAC message of an HTTP or network filter, and return the message."""
        if self.rules is not None:
            filter_config.rules.CopyFrom(self.rules)
        if self.shadow_rules is not None:
            filter_config.shadow_rules.CopyFrom(self.shadow_rules)
            filter_config.shadow_rules_stat_prefix = SHADOW_PREFIXES[self.action]
        return filter_config


def enforcements(
    policies: Sequence[Config[AuthorizationPolicy]],
    mesh_config: MeshConfig,
    *,
    http: bool,
) -> Iterator[Enforcement]:
    """Yield the RBAC filters for a workload's policies: audit, then deny, then allow. The module
    `external_authorization` handles policies of action CUSTOM."""
    for action in _ENVOYS:
        mine = [policy for policy in policies if policy.spec.action == action]
        counted = [policy for policy in mine if not is_dry_run(policy.annotations)]
        tried = [policy for policy in mine if is_dry_run(policy.annotations)]
        rules = rbac_rules(counted, action, mesh_config, http=http)
        shadow_rules = rbac_rules(tried, action, mesh_config, http=http)
        if rules is not None or shadow_rules is not None:
            yield Enforcement(action, rules, shadow_rules)


def rbac_rules(
    policies: Sequence[Config[AuthorizationPolicy]],
    action: AuthorizationAction,
    mesh_config: MeshConfig,
    *,
    http: bool,
    name_format: str = "{}",
) -> Any | None:
    """Return Envoy's RBAC message for the policies, or None if they have no effect.

    `name_format` makes the names of the rules. ALLOW policies without any rule have an effect: they allow
    nothing (Envoy's RBAC.rules: "if present and empty, DENY"). Rules of action CUSTOM are translated like
    those of DENY.
    """
    rules = _RBAC(action=_ENVOYS.get(action, _RBAC.DENY))
    for policy in policies:
        reader = _Reader(policy, mesh_config, http)
        for index, rule in enumerate(policy.spec.rules):
            made = reader.policy(rule)
            if made is not None:
                name = str(RuleName(policy.namespace, policy.name, index))
                rules.policies[name_format.format(name)].CopyFrom(made)
    return rules if rules.policies or (policies and action is AuthorizationAction.ALLOW) else None


class _NotOnTcpError(Exception):
    """A condition about HTTP, in a filter for plain TCP."""


class _Reader:
    """Translates the rules of one policy, for HTTP or for plain TCP."""

    def __init__(self, config: Config[AuthorizationPolicy], mesh_config: MeshConfig, http: bool) -> None:
        self._namespace = config.namespace
        self._allows = config.spec.action == AuthorizationAction.ALLOW
        self._http = http
        self._trust_domains = mesh_config.spiffe_trust_domains

    def policy(self, rule: AuthorizationRule) -> Any | None:
        """Return the rule as Envoy's Policy; None if it is left out on TCP.

        On TCP, an ALLOW rule with an HTTP condition is left out as a whole, so that less is allowed. In all
        other rules only the condition is left out, so that more is denied.
        """
        conditions = list(self._conditions(rule.when))
        if any(one is None for one in conditions):
            return None
        about_client = [one for one in conditions if isinstance(one, _Principal)]
        about_target = [one for one in conditions if isinstance(one, _Permission)]
        sources = [one.source for one in rule.from_ if one.source is not None] or [AuthorizationSource()]
        operations = [one.operation for one in rule.to if one.operation is not None]
        principals = [self._all_of(self._source(source), about_client, _Principal) for source in sources]
        permissions = [
            self._all_of(self._operation(operation), about_target, _Permission)
            for operation in operations or [AuthorizationOperation()]
        ]
        if None in principals or None in permissions:
            return None
        return rbac_pb2.Policy(permissions=permissions, principals=principals)

    def _all_of(self, made: Iterable[Callable[[], Any]], more: list[Any], kind: Any) -> Any | None:
        found = []
        for make in made:
            try:
                found.append(make())
            except _NotOnTcpError:
                if self._allows:
                    return None
        found += more
        if not found:
            return kind(any=True)
        if len(found) == 1:
            return found[0]
        if kind is _Principal:
            return _Principal(and_ids=_Principal.Set(ids=found))
        return _Permission(and_rules=_Permission.Set(rules=found))

    def _conditions(self, when: Iterable[AuthorizationCondition]) -> Iterator[Any]:
        """Yield the matcher of each condition; None if the whole rule must be left out."""
        for condition in when:
            attribute = attribute_of(condition.key)
            if attribute is None:
                yield None
                continue
            if attribute.kind.is_http_only and not self._http:
                if self._allows:
                    yield None
                continue
            kind, make = self._matcher(attribute)
            if condition.values:
                yield _any_of([make(value) for value in condition.values], kind)
            if condition.not_values:
                yield _none_of([make(value) for value in condition.not_values], kind)

    def _matcher(self, attribute: Attribute) -> tuple[Any, Callable[[str], Any]]:
        """Return the type of message for an attribute (Principal: of the client; Permission: of the request),
        and the function that makes the matcher for a value."""
        names = attribute.names
        match attribute.kind:
            case AttributeKind.REQUEST_HEADERS:
                return _Principal, lambda value: _Principal(header=_header(names[0], value))
            case AttributeKind.SOURCE_IP:
                return _Principal, lambda value: _Principal(direct_remote_ip=_cidr(value))
            case AttributeKind.REMOTE_IP:
                return _Principal, lambda value: _Principal(remote_ip=_cidr(value))
            case AttributeKind.SOURCE_NAMESPACE:
                return _Principal, self._of_namespace
            case AttributeKind.SOURCE_PRINCIPAL:
                return _Principal, self._principal
            case AttributeKind.SOURCE_SERVICE_ACCOUNT:
                return _Principal, self._service_account
            case AttributeKind.SOURCE_TRUST_DOMAIN:
                return _Principal, self._trust_domain
            case AttributeKind.REQUEST_PRINCIPAL:
                return _Principal, _request_principal
            case AttributeKind.REQUEST_AUDIENCES:
                return _Principal, lambda value: _claim(("aud",), value)
            case AttributeKind.REQUEST_PRESENTER:
                return _Principal, lambda value: _claim(("azp",), value)
            case AttributeKind.REQUEST_CLAIMS:
                return _Principal, lambda value: _claim(names, value)
            case AttributeKind.DESTINATION_IP:
                return _Permission, lambda value: _Permission(destination_ip=_cidr(value))
            case AttributeKind.DESTINATION_PORT:
                return _Permission, lambda value: _Permission(destination_port=int(value))
            case AttributeKind.CONNECTION_SNI:
                return _Permission, lambda value: _Permission(requested_server_name=_string(value))
        name = attribute.filter_name
        return _Permission, lambda value: _Permission(metadata=found_out(name, names, _string(value)))

    def _source(self, source: AuthorizationSource) -> Iterator[Callable[[], Any]]:
        makers: tuple[tuple[str, Callable[[str], Any]], ...] = (
            ("principals", self._principal),
            ("request_principals", self._for_http(_request_principal)),
            ("namespaces", self._of_namespace),
            ("service_accounts", self._service_account),
            ("ip_blocks", lambda value: _Principal(direct_remote_ip=_cidr(value))),
            ("remote_ip_blocks", lambda value: _Principal(remote_ip=_cidr(value))),
            ("trust_domains", self._trust_domain),
        )
        return self._fields(source, makers, _Principal)

    def _operation(self, operation: AuthorizationOperation) -> Iterator[Callable[[], Any]]:
        http = self._for_http
        makers: tuple[tuple[str, Callable[[str], Any]], ...] = (
            ("hosts", http(lambda value: _Permission(header=_header(":authority", value, ignore_case=True)))),
            ("ports", lambda value: _Permission(destination_port=int(value))),
            ("methods", http(lambda value: _Permission(header=_header(":method", value)))),
            ("paths", http(_path)),
        )
        return self._fields(operation, makers, _Permission)

    @staticmethod
    def _fields(
        model: Any, makers: Iterable[tuple[str, Callable[[str], Any]]], kind: Any
    ) -> Iterator[Callable[[], Any]]:
        for name, make in makers:
            for values, joined in (
                (getattr(model, name), _any_of),
                (getattr(model, f"not_{name}"), _none_of),
            ):
                if values:
                    yield partial(_joined, joined, make, values, kind)

    def _for_http(self, make: Callable[[str], Any]) -> Callable[[str], Any]:
        def made(value: str) -> Any:
            if not self._http:
                raise _NotOnTcpError
            return make(value)

        return made

    def _principal(self, value: str) -> Any:
        trust_domain, slash, rest = value.partition("/")
        ours = {*self._trust_domains, _DEFAULT_TRUST_DOMAIN}
        names = (
            [f"{each}/{rest}" for each in self._trust_domains] if slash and trust_domain in ours else [value]
        )
        return _any_of([_authenticated(_spiffe(name)) for name in names], _Principal)

    @staticmethod
    def _of_namespace(value: str) -> Any:
        return _authenticated(_regex(f".*/ns/{_pattern(value, '.*')}/.*"))

    def _service_account(self, value: str) -> Any:
        namespace, slash, account = value.rpartition("/")
        namespace = namespace if slash else self._namespace
        return _authenticated(
            _regex(f"{_SPIFFE}.+/ns/{re.escape(namespace)}/(.+/|)sa/{re.escape(account)}(/.+)?")
        )

    def _trust_domain(self, value: str) -> Any:
        if value == "*":
            return _authenticated(string_pb2.StringMatcher(prefix=_SPIFFE))
        if "*" in value:
            return _authenticated(_regex(f"{_SPIFFE}{_pattern(value, '[^/]*')}/.*"))
        ours = {*self._trust_domains, _DEFAULT_TRUST_DOMAIN}
        names = self._trust_domains if value in ours else (value,)
        return _any_of(
            [_authenticated(string_pb2.StringMatcher(prefix=f"{_SPIFFE}{each}/")) for each in names],
            _Principal,
        )


def _any_of(found: list[Any], kind: Any) -> Any:
    if len(found) == 1:
        return found[0]
    if kind is _Principal:
        return _Principal(or_ids=_Principal.Set(ids=found))
    return _Permission(or_rules=_Permission.Set(rules=found))


def _joined(
    join: Callable[[list[Any], Any], Any], make: Callable[[str], Any], values: Iterable[str], kind: Any
) -> Any:
    return join([make(value) for value in values], kind)


def _none_of(found: list[Any], kind: Any) -> Any:
    either = _any_of(found, kind)
    return _Principal(not_id=either) if kind is _Principal else _Permission(not_rule=either)


def _authenticated(name: Any) -> Any:
    return _Principal(authenticated=_Principal.Authenticated(principal_name=name))


def _regex(pattern: str) -> Any:
    matcher = string_pb2.StringMatcher()
    matcher.safe_regex.regex = pattern
    return matcher


def _pattern(value: str, wild: str) -> str:
    return wild.join(map(re.escape, value.split("*")))


def _string(value: str, *, ignore_case: bool = False) -> Any:
    """Return the matcher of a value: exact, `prefix*`, `*suffix`, or `*` for any text that is not empty."""
    if value == "*":
        return _regex(_ANYTHING)
    if value.startswith("*"):
        return string_pb2.StringMatcher(suffix=value[1:], ignore_case=ignore_case)
    if value.endswith("*"):
        return string_pb2.StringMatcher(prefix=value[:-1], ignore_case=ignore_case)
    return string_pb2.StringMatcher(exact=value, ignore_case=ignore_case)


def _spiffe(value: str) -> Any:
    if value == "*":
        return _regex(_ANYTHING)
    if value.startswith("*"):
        return _regex(f"{_SPIFFE}.*{re.escape(value[1:])}")
    return _string(f"{_SPIFFE}{value}")


def _header(name: str, value: str, *, ignore_case: bool = False) -> Any:
    if value == "*":
        return route_components_pb2.HeaderMatcher(name=name, present_match=True)
    return route_components_pb2.HeaderMatcher(name=name, string_match=_string(value, ignore_case=ignore_case))


def _cidr(value: str) -> Any:
    network = ipaddress.ip_network(value, strict=False)
    cidr = address_pb2.CidrRange(address_prefix=str(network.network_address))
    cidr.prefix_len.value = network.prefixlen
    return cidr


def _path(value: str) -> Any:
    if is_path_template(value):
        template = value.replace("{**}", "**").replace("{*}", "*")
        config = pack(uri_template_match_pb2.UriTemplateMatchConfig(path_template=template))
        return _Permission(
            uri_template=extension_pb2.TypedExtensionConfig(
                name="envoy.path.match.uri_template.uri_template_matcher", typed_config=config
            )
        )
    return _Permission(url_path=path_pb2.PathMatcher(path=_string(value)))


def _request_principal(value: str) -> Any:
    issuer, slash, subject = value.rpartition("/")
    if not slash:
        issuer, subject = value, "*"
    found = [_claim(("iss",), issuer), _claim(("sub",), subject)]
    return _Principal(and_ids=_Principal.Set(ids=found))


def _claim(names: Sequence[str], value: str) -> Any:
    return _Principal(metadata=claim(names, _string(value)))
