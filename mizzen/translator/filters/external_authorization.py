"""Policies of action CUSTOM: Envoy finds the matching requests, and an external authorizer decides.

An RBAC filter writes the matching rule into the request's metadata and denies nothing. We call this the note.
The filter after it asks the authorizer about requests that have the note.
Source: Istio's pilot/pkg/security/authz/builder/extauthz.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from envoy.config.core.v3 import base_pb2, config_source_pb2, grpc_service_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.extensions.filters.network.ext_authz.v3 import ext_authz_pb2 as network_ext_authz_pb2
from envoy.type.matcher.v3 import metadata_pb2

from mizzen.config.diagnostics import Diagnostic, Severity
from mizzen.config.extension_providers import (
    EnvoyExternalAuthorizationGrpcProvider,
    EnvoyExternalAuthorizationHttpProvider,
)
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import AuthorizationAction, AuthorizationRule
from mizzen.mesh.rules.external_authorizers import provider_named
from mizzen.mesh.rules.security_policies import WorkloadPolicies
from mizzen.translator.base.cluster_names import outbound_cluster_name
from mizzen.translator.base.config_sources import duration
from mizzen.translator.filters.authorization import rbac_rules

NOTE_PREFIX: Final = "istio_ext_authz_"
"""Prefix of the keys in the note of the RBAC filter."""
_NOTE: Final = f"{NOTE_PREFIX}shadow_effective_policy_id"
_PREFIX: Final = "istio-ext-authz-"
_BROKEN: Final = "-deny-due-to-bad-CUSTOM-action"

Authorizer = EnvoyExternalAuthorizationHttpProvider | EnvoyExternalAuthorizationGrpcProvider


@dataclass(frozen=True, slots=True)
class ExternalRules:
    """The rules of one authorizer. Without `authorizer`, matching requests are denied."""

    rules: Any
    name: str
    hostname: str
    authorizer: Authorizer | None


def external_rules(
    policies: WorkloadPolicies, mesh_config: MeshConfig, *, http: bool
) -> Iterator[ExternalRules]:
    """Yield the rules of the policies of action CUSTOM, by authorizer. If a workload has several authorizers,
    Envoy asks none and denies the requests, as in Istio, because a request can have only one note."""
    several = len(policies.external_authorizers) > 1
    for external in policies.external_authorizers:
        chosen = [
            config
            for config in policies.authorization_policies
            if config.spec.action is AuthorizationAction.CUSTOM
            and config.spec.provider is not None
            and config.spec.provider.name == external.name
        ]
        provider = provider_named(external.name, mesh_config)
        denied = several or bool(external.problem) or provider is None
        rules = rbac_rules(
            chosen,
            AuthorizationAction.CUSTOM,
            mesh_config,
            http=http,
            name_format=f"{_prefix(external.name)}{{}}{_BROKEN if denied else ''}",
        )
        if rules is None:
            continue
        if denied or provider is None:
            yield ExternalRules(rules, external.name, "", None)
        else:
            yield ExternalRules(rules, external.name, external.hostname, provider.authorizer)


def authorizer_named_in(rule_name: str) -> str:
    """Return the authorizer in the name that a rule has in Envoy; empty for rules without authorizer."""
    name, found, _ = rule_name.removeprefix(_PREFIX).partition("-ns[")
    return name if found and rule_name.startswith(_PREFIX) else ""


def several_authorizers(policies: WorkloadPolicies) -> Iterator[Diagnostic]:
    """Yield a warning for each policy if the policies of a workload name different authorizers."""
    names = [external.name for external in policies.external_authorizers]
    if len(names) < 2:
        return
    for config in policies.authorization_policies:
        if config.spec.action is AuthorizationAction.CUSTOM:
            message = (
                f"the policies of one workload name the external authorizers {' and '.join(names)}: none is "
                "asked, and the requests are denied; name the same one in all"
            )
            origin = config.origin_of("spec", "provider", "name")
            yield Diagnostic(Severity.WARNING, "MZ0106", message, origin)


def unasked_about_tcp(
    policies: WorkloadPolicies, mesh_config: MeshConfig, ports: Iterable[int]
) -> Iterator[Diagnostic]:
    """Yield a warning for each policy that plain TCP connections bypass.

    They do so, as in Istio, if the authorizer is asked by HTTP. `ports` are the ports that accept plain TCP;
    only policies for one of them get a warning.
    """
    [*authorizers] = policies.external_authorizers
    if len(authorizers) != 1 or authorizers[0].problem:
        return  # they are denied
    provider = provider_named(authorizers[0].name, mesh_config)
    if provider is None or not isinstance(provider.authorizer, EnvoyExternalAuthorizationHttpProvider):
        return
    numbers = sorted(set(ports))
    for config in policies.authorization_policies:
        if config.spec.action is not AuthorizationAction.CUSTOM:
            continue
        passed = [port for port in numbers if any(_may_be_for(rule, port) for rule in config.spec.rules)]
        if passed:
            message = (
                f"{authorizers[0].name} is asked by HTTP, so plain TCP passes unasked at port "
                f"{' and '.join(map(str, passed))}; name a provider of gRPC (envoyExtAuthzGrpc), deny these "
                "ports by a policy of action DENY, or name the ports that the rules are for"
            )
            origin = config.origin_of("spec", "provider", "name")
            yield Diagnostic(Severity.WARNING, "MZ0107", message, origin)


def _may_be_for(rule: AuthorizationRule, port: int) -> bool:
    """Return whether a rule can match at a port."""
    number = str(port)
    operations = [entry.operation for entry in rule.to if entry.operation is not None]
    return not operations or any(
        (not each.ports or number in each.ports) and number not in each.not_ports for each in operations
    )


def http_external_authorization(found: ExternalRules, rbac_filter: str) -> Any:
    """Return the HTTP filter's configuration; `rbac_filter` is the name of the filter that writes the
    note."""
    authorizer = found.authorizer
    assert authorizer is not None
    config = ext_authz_pb2.ExtAuthz(
        transport_api_version=config_source_pb2.ApiVersion.V3,
        failure_mode_allow=authorizer.fail_open,
        clear_route_cache=authorizer.clear_route_cache,
        filter_enabled_metadata=_note_matcher(found.name, rbac_filter),
    )
    if authorizer.status_on_error:
        config.status_on_error.code = int(authorizer.status_on_error)
    body = authorizer.include_request_body_in_check
    if body is not None:
        config.with_request_body.max_request_bytes = body.max_request_bytes
        config.with_request_body.allow_partial_message = body.allow_partial_message
        config.with_request_body.pack_as_bytes = body.pack_as_bytes
    if isinstance(authorizer, EnvoyExternalAuthorizationHttpProvider):
        _ask_by_http(config, authorizer, found.hostname)
    else:
        config.grpc_service.CopyFrom(_grpc_service(authorizer, found.hostname))
    return config


def network_external_authorization(found: ExternalRules, rbac_filter: str) -> Any | None:
    """Return the network filter's configuration; None if the authorizer is asked by HTTP, which is not
    possible on TCP chains."""
    authorizer = found.authorizer
    if not isinstance(authorizer, EnvoyExternalAuthorizationGrpcProvider):
        return None
    return network_ext_authz_pb2.ExtAuthz(
        stat_prefix="tcp.",
        transport_api_version=config_source_pb2.ApiVersion.V3,
        failure_mode_allow=authorizer.fail_open,
        filter_enabled_metadata=_note_matcher(found.name, rbac_filter),
        grpc_service=_grpc_service(authorizer, found.hostname),
    )


def _prefix(name: str) -> str:
    return f"{_PREFIX}{name}-"


def _note_matcher(name: str, rbac_filter: str) -> Any:
    matcher = metadata_pb2.MetadataMatcher(filter=rbac_filter)
    matcher.path.add(key=_NOTE)
    matcher.value.string_match.prefix = _prefix(name)
    return matcher


def _ask_by_http(config: Any, authorizer: EnvoyExternalAuthorizationHttpProvider, hostname: str) -> None:
    service = config.http_service
    service.path_prefix = authorizer.path_prefix
    service.server_uri.uri = f"http://{hostname}"
    service.server_uri.cluster = outbound_cluster_name(authorizer.port, "", hostname)
    service.server_uri.timeout.CopyFrom(duration(authorizer.timeout))
    asked = authorizer.include_request_headers_in_check or authorizer.include_headers_in_check
    _add_headers(config.allowed_headers, asked)
    for name, value in sorted(authorizer.include_additional_headers_in_check.items()):
        service.authorization_request.headers_to_add.append(base_pb2.HeaderValue(key=name, value=value))
    answer = service.authorization_response
    _add_headers(answer.allowed_upstream_headers, authorizer.headers_to_upstream_on_allow)
    _add_headers(answer.allowed_client_headers, authorizer.headers_to_downstream_on_deny)
    _add_headers(answer.allowed_client_headers_on_success, authorizer.headers_to_downstream_on_allow)


def _add_headers(matcher: Any, names: Sequence[str]) -> None:
    for name in names:
        if name.startswith("*"):
            matcher.patterns.add(suffix=name[1:], ignore_case=True)
        elif name.endswith("*"):
            matcher.patterns.add(prefix=name[:-1], ignore_case=True)
        else:
            matcher.patterns.add(exact=name, ignore_case=True)


def _grpc_service(authorizer: EnvoyExternalAuthorizationGrpcProvider, hostname: str) -> Any:
    service = grpc_service_pb2.GrpcService(timeout=duration(authorizer.timeout))
    service.envoy_grpc.cluster_name = outbound_cluster_name(authorizer.port, "", hostname)
    # Envoy's default authority is the cluster's name, which has characters that are invalid there.
    service.envoy_grpc.authority = hostname
    return service
