"""Finds calls that fail after a change: a sign that only half of the intended change has been saved.

Suppose one file moves a service from blue to green endpoints, and a second file moves its VirtualService. If
only the first is saved, the rule names a subset without endpoints, and every call gets a 503. Mizzen cannot
know that the second file will be saved too, but it can see that the first one alone breaks what worked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from mizzen.config.diagnostics import Severity
from mizzen.config.document import Config, ConfigKey
from mizzen.config.group_kinds import DESTINATION_RULE, GATEWAY, VIRTUAL_SERVICE
from mizzen.config.models import Destination, Gateway, Subset
from mizzen.mesh.changes.delta import MeshDelta
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule, http_destinations, l4_destinations
from mizzen.mesh.scope.egress_imports import best_service
from mizzen.mesh.service import EndpointPool, Resolution, Service
from mizzen.mesh.services.registry import ServiceKey
from mizzen.mesh.snapshot import Mesh

DeadEnd = tuple[str, ...]

_KEEPS_ITS_OWN: Final = frozenset({Resolution.STATIC, Resolution.ALIAS})
"""Resolutions whose endpoints come from documents; with the other ones Envoy looks them up."""


def has_new_dead_ends(before: Mesh, after: Mesh, delta: MeshDelta) -> bool:
    """Return True if a destination fails in `after` that worked in `before`, or that a rule newly names.

    `delta` is the difference of the two; only what it names is examined. Effects of a new mesh configuration
    are not examined.
    """
    if delta.everything:
        return False
    return (
        any(_service_fails(before, after, key) for key in _touched(before, delta))
        or any(_rule_fails(before, after, key) for key in _rules(after, delta))
        or any(_gateway_fails(before, after, old, new) for old, new in delta.of_kind(GATEWAY))
    )


def _touched(mesh: Mesh, delta: MeshDelta) -> set[ServiceKey]:
    """Return the services whose endpoints or subsets may have changed, without regard to wildcard hosts."""
    found = {*delta.services, *delta.endpoints}
    for change in delta.of_kind(DESTINATION_RULE):
        for config in change:
            if config is not None:
                host = mesh.destination_rule_index.host_of(config)
                found.update(service.key for service in mesh.registry.hosts.get(host) or ())
    return found


def _service_fails(before: Mesh, after: Mesh, key: ServiceKey) -> bool:
    """Return True if a service, or a subset of it, had endpoints and has none now. A removed service does not
    count, as its removal is intended."""
    service, now = before.registry.services.get(key), after.registry.services.get(key)
    if service is None or now is None or now.resolution is not Resolution.STATIC:
        return False
    old, new = before.endpoints(service), after.endpoints(now)
    if not old.endpoints:
        return False
    if not new.endpoints:
        return True
    subsets = {subset.name: subset for subset in _subsets(after, now)}
    failing = {
        subset.name
        for subset in _subsets(before, service)
        if _any_with(old, subset.labels)
        and (subset.name not in subsets or not _any_with(new, subsets[subset.name].labels))
    }
    return bool(failing) and _is_named(after, now, failing)


def _is_named(mesh: Mesh, service: Service, subsets: set[str]) -> bool:
    """Return True if a rule routes to one of these subsets."""
    hosts = frozenset((service.hostname, *service.aliases))
    return any(
        destination.host in hosts and destination.subset in subsets
        for rule in mesh.virtual_service_index.rules.values()
        if not hosts.isdisjoint(rule.destination_hosts)
        for destination in _destinations(rule)
    )


def _subsets(mesh: Mesh, service: Service) -> Iterator[Subset]:
    """Yield the subsets of a service that clients in its own namespace know."""
    namespace = service.namespace
    for rule in mesh.destination_rule_index.rules_for(namespace, service.hostname, namespace):
        yield from rule.subsets


def _rules(mesh: Mesh, delta: MeshDelta) -> Iterator[ConfigKey]:
    """Yield the keys of the VirtualServices that changed, and of those that delegate to one of them."""
    for change in delta.of_kind(VIRTUAL_SERVICE):
        for config in change:
            if config is not None:
                yield config.key
                yield from mesh.virtual_service_index.delegate_users.get((config.namespace, config.name))


def _rule_fails(before: Mesh, after: Mesh, key: ConfigKey) -> bool:
    rule = after.virtual_service_index.rules.get(key)
    if rule is None:
        return False
    dead = frozenset(_dead_ends(after, rule))
    if not dead:
        return False
    old = before.virtual_service_index.rules.get(key)
    return old is None or not dead <= frozenset(_dead_ends(before, old))


def _dead_ends(mesh: Mesh, rule: VirtualServiceRule) -> Iterator[DeadEnd]:
    """Yield the destinations of a rule that do not exist or have no endpoints."""
    namespace = rule.config.namespace
    for destination in _destinations(rule):
        if destination.host and not _leads_on(mesh, namespace, destination.host, destination.subset):
            yield ("destination", destination.host, destination.subset)
    for name in rule.gateways:
        if name != MESH and mesh.config(GATEWAY.key(*name.split("/", 1))) is None:
            yield ("gateway", name)
    for namespace, name in rule.delegates:
        if mesh.config(VIRTUAL_SERVICE.key(namespace, name)) is None:
            yield ("delegate", namespace, name)
    for diagnostic in rule.diagnostics:
        if diagnostic.severity is Severity.ERROR:
            yield ("delegate", diagnostic.message)


def _destinations(rule: VirtualServiceRule) -> Iterator[Destination]:
    for http in rule.http:
        yield from http_destinations(http.route)
    yield from l4_destinations((*rule.tcp, *rule.tls))


def _leads_on(mesh: Mesh, namespace: str, host: str, subset: str) -> bool:
    """Return True if a destination has an endpoint, as far as documents say."""
    hosts = mesh.registry.hosts
    service = best_service(hosts.get(host) or (), namespace)
    if service is not None and service.is_alias:
        service = best_service(hosts.get(service.alias_of) or (), namespace)
    if service is None:
        return any(best_service(services, namespace) for _, services in hosts.covering(host))
    labels = None
    if subset:
        rules = mesh.destination_rule_index.rules_for(namespace, service.hostname, service.namespace)
        labels = next((found.labels for rule in rules if (found := rule.subset(subset)) is not None), None)
        if labels is None:
            return False
    if service.resolution not in _KEEPS_ITS_OWN:
        return True
    return _any_with(mesh.endpoints(service), labels or {})


def _any_with(pool: EndpointPool, labels: Any) -> bool:
    return any(endpoint.has_labels(labels) for endpoint in pool.endpoints)


def _gateway_fails(
    before: Mesh, after: Mesh, old: Config[Gateway] | None, new: Config[Gateway] | None
) -> bool:
    """Return True if a Gateway with bound rules was removed, or newly names a Secret that does not exist."""
    if new is None:
        assert old is not None
        name = f"{old.namespace}/{old.name}"
        return any(gateway == name for gateway, _, _ in after.virtual_service_index.groups)
    missing = _missing_secrets(after, new)
    return bool(
        missing and not missing <= (_missing_secrets(before, old) if old is not None else frozenset())
    )


def _missing_secrets(mesh: Mesh, config: Config[Gateway]) -> frozenset[str]:
    return frozenset(name for name in _credentials(config) if mesh.secret(config.namespace, name) is None)


def _credentials(config: Config[Gateway]) -> Iterable[str]:
    for server in config.spec.servers:
        if server.tls is not None:
            named = (server.tls.credential_name, *server.tls.credential_names)
            yield from (name for name in named if name and ":" not in name)
