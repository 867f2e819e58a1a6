"""External authorizers: policies of action CUSTOM name them, MeshConfig says which service each is.

Source: Istio's pilot/pkg/security/authz/builder/extauthz.go and pilot/pkg/model (LookupCluster).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mizzen.config.document import Config
from mizzen.config.extension_provider_rules import provider_problems
from mizzen.config.extension_providers import ExtensionProvider
from mizzen.config.mesh_config import MeshConfig
from mizzen.config.models import AuthorizationAction
from mizzen.mesh.services.registry import Registry


@dataclass(frozen=True, slots=True)
class ExternalAuthorizer:
    """An authorizer: the host of its service, or in `problem` why it cannot be called."""

    name: str
    hostname: str = ""
    problem: str = ""


def external_authorizer_names(policies: Iterable[Config[Any]]) -> tuple[str, ...]:
    """Return the sorted names of the authorizers that the AuthorizationPolicies use."""
    names = {
        config.spec.provider.name
        for config in policies
        if config.spec.action is AuthorizationAction.CUSTOM and config.spec.provider is not None
    }
    return tuple(sorted(names))


def provider_named(name: str, mesh_config: MeshConfig) -> ExtensionProvider | None:
    """Return MeshConfig's provider of external authorization with that name, or None."""
    found = (
        one for one in mesh_config.extension_providers if one.name == name and one.authorizer is not None
    )
    return next(found, None)


def external_authorizer(name: str, mesh_config: MeshConfig, registry: Registry) -> ExternalAuthorizer:
    """Return the authorizer that MeshConfig has under `name`, with the host of its service."""
    provider = provider_named(name, mesh_config)
    if provider is None or provider.authorizer is None:
        known = ", ".join(one.name for one in mesh_config.extension_providers if one.authorizer is not None)
        problem = f'MeshConfig has no extension provider "{name}" of external authorization'
        return ExternalAuthorizer(name, problem=f"{problem} (it has {known})" if known else problem)
    for field, reason in provider_problems(provider).items():
        return ExternalAuthorizer(name, problem=f'extension provider "{name}" is broken: {field}: {reason}')
    namespace, slash, host = provider.authorizer.service.rpartition("/")
    services = [
        service
        for service in registry.hosts.get(host.lower()) or ()
        if not slash or service.namespace == namespace
    ]
    if len(services) == 1:
        return ExternalAuthorizer(name, services[0].hostname)
    if not services:
        problem = f'"{provider.authorizer.service}" is not a service of the mesh'
        return ExternalAuthorizer(name, problem=problem)
    namespaces = ", ".join(sorted(service.namespace for service in services))
    return ExternalAuthorizer(
        name, problem=f'"{host}" is in the namespaces {namespaces}; write <namespace>/{host} in its service'
    )
