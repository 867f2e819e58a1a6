"""Checks the Secrets that Gateways name: they must be where the proxies are, with usable content."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from mizzen.config import models
from mizzen.config.document import Config, FieldPath
from mizzen.config.group_kinds import SECRET
from mizzen.mesh.analysis.analysed_gateways import Selector, sorted_selector
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.analysis.credentials import (
    authority_of,
    credential_problem,
    named_namespace,
    needs_client_ca,
    secret_name,
)
from mizzen.mesh.rules.gateways import GatewayConfig
from mizzen.mesh.rules.tls_fields import CA_CREDENTIAL, credential_names


@dataclass(frozen=True, slots=True)
class _Named:
    """A Secret that a Gateway names, the field that names it, and the `namespace` where the Secret is
    searched: that of the proxies if it is `known`, else a namespace where they may be."""

    gateway: GatewayConfig
    path: FieldPath
    namespace: str
    name: str
    known: bool


def check_secrets(mesh: AnalysedMesh, gateways: list[GatewayConfig], diagnostics: Diagnostics) -> None:
    """Find Secrets that are not in the namespace of the proxies (IST0101, MZ0222), that have no usable
    content (IST0161), or that two Gateways share (IST0138)."""
    users: dict[tuple[Selector, str, str], GatewayConfig] = {}
    for config in gateways:
        proxies = mesh.gateways.namespaces_of_proxies(config)
        for index, server in enumerate(config.spec.servers):
            for field, written in credential_names(server.tls):
                # Without a workload of the gateway, the namespace of its proxies is not known.
                of_name = mesh.namespaces_with_secret(written.rpartition("/")[2])
                namespace = named_namespace(written)
                if namespace is not None and proxies and namespace not in proxies:
                    _out_of_reach(config, ("spec", "servers", index, *field), written, proxies, diagnostics)
                    continue
                if namespace is None:
                    namespace = _first(proxies or {config.namespace, *of_name}, of_name, config.namespace)
                name = secret_name(written, namespace)
                if name is None:
                    continue
                named = _Named(config, ("spec", "servers", index, *field), namespace, name, bool(proxies))
                if field == CA_CREDENTIAL:
                    _check_authority(mesh, named, diagnostics)
                    continue
                _check_credential(mesh, named, server, diagnostics)
                user = users.setdefault((sorted_selector(config), namespace, name), config)
                if user is not config:
                    diagnostics.warning(
                        "IST0138",
                        config,
                        named.path,
                        f"the Gateway at {user.origin} has the same certificate on the same proxies: "
                        "browsers reuse one HTTP/2 connection for hosts of both, and get 404; put the hosts "
                        "into one Gateway, or use a certificate of its own",
                        user.origin,
                    )


def _first(possible: Collection[str], have: Collection[str], preferred: str) -> str:
    """Return the namespace to search: the preferred one if it has such a Secret, else any that has one."""
    fitting = [namespace for namespace in possible if namespace in have] or list(possible)
    return preferred if preferred in fitting else min(fitting)


def _check_credential(
    mesh: AnalysedMesh, named: _Named, server: models.Server, diagnostics: Diagnostics
) -> None:
    secret = mesh.secret(named.namespace, named.name)
    if secret is None:
        _no_secret(mesh, named, diagnostics)
        return
    _notice_elsewhere(named, secret, diagnostics)
    authority = mesh.secret(named.namespace, f"{named.name}-cacert") if needs_client_ca(server) else None
    problem = credential_problem(secret, server, authority)
    if problem:
        _unusable(named, secret, problem, diagnostics)


def _check_authority(mesh: AnalysedMesh, named: _Named, diagnostics: Diagnostics) -> None:
    bare = named.name.removesuffix("-cacert")
    secret = mesh.secret(named.namespace, named.name) or mesh.secret(named.namespace, bare)
    if secret is None:
        _no_secret(mesh, named, diagnostics)
        return
    _notice_elsewhere(named, secret, diagnostics)
    if not authority_of(secret):
        _unusable(
            named, secret, "has no CA for clients' certificates; give it ca.crt (or cacert)", diagnostics
        )


def _out_of_reach(
    config: GatewayConfig, path: FieldPath, written: str, proxies: Collection[str], diagnostics: Diagnostics
) -> None:
    diagnostics.error(
        "IST0101",
        config,
        path,
        f"{written} names a Secret that proxies of its namespace alone get, and those that the Gateway "
        f"selects are in namespace {' and '.join(sorted(proxies))}; put the Secret "
        "there, and write its name alone",
    )


def _unusable(named: _Named, secret: Config[Any], problem: str, diagnostics: Diagnostics) -> None:
    message = f"Secret {secret.name} ({secret.origin}) {problem}"
    diagnostics.error("IST0161", named.gateway, named.path, message, secret.origin)


def _no_secret(mesh: AnalysedMesh, named: _Named, diagnostics: Diagnostics) -> None:
    name, namespace = named.name, named.namespace
    key = SECRET.key(namespace, name)
    other = min(mesh.namespaces_with_secret(name), default=None)
    there = mesh.secret(other, name) if other is not None else None
    if there is not None:
        message = (
            f"Secret {name} ({there.origin}) is in namespace {other}, and only proxies of that namespace get "
            f"it; put it into namespace {namespace}, that of the proxies that the Gateway selects"
        )
        diagnostics.error("IST0101", named.gateway, named.path, message, there.origin, missing=key)
        return
    meant = mesh.near_document(key)
    where = f"in namespace {namespace}, that" if named.known else "in the namespace"
    right = (
        f"did you mean {meant}?" if meant else f"create it {where} of the proxies that the Gateway selects"
    )
    message = f"there is no Secret {name}; {right}"
    diagnostics.error("IST0101", named.gateway, named.path, message, missing=key)


def _notice_elsewhere(named: _Named, secret: Config[Any], diagnostics: Diagnostics) -> None:
    """Report for information a Secret in a different namespace than the Gateway, where the namespace of the
    proxies is not known. Istio's documentation itself has the Gateway in one namespace, proxies and Secret in
    another."""
    if not named.known and secret.namespace != named.gateway.namespace:
        diagnostics.notice(
            "MZ0222",
            named.gateway,
            named.path,
            f"Secret {secret.name} ({secret.origin}) is in namespace {secret.namespace}, and only proxies of "
            "that namespace get it; if the Gateway's proxies are in another, put it there too",
            secret.origin,
        )
