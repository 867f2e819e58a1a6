"""Which documents apply to a service or a workload, and what they say about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from mizzen.config import group_kinds, models
from mizzen.config.document import Config
from mizzen.config.group_kinds import DESTINATION_RULE, GATEWAY
from mizzen.explain.describe.description import AppliedRule, RulePart
from mizzen.explain.describe.rule_words import given_words, rule_words, server_words
from mizzen.explain.mesh_graph import destination_rule_of
from mizzen.explain.route_words import short_host
from mizzen.mesh.hosts import matches, resolve_short_name, specificity
from mizzen.mesh.rules.virtual_services import (
    MESH,
    HttpRule,
    TcpRule,
    TlsRule,
    VirtualServiceRule,
    http_destinations,
    l4_destinations,
)
from mizzen.mesh.service import Endpoint, Service
from mizzen.mesh.snapshot import Mesh

Documents = Mapping[Config[Any], AppliedRule]
"""The documents, each with its description."""


def service_rules(mesh: Mesh, service: Service) -> Documents:
    """Return the documents about a service: routes and policies of calls to it, and rules of its
    workloads."""
    found: dict[Config[Any], AppliedRule] = {}
    gateways: dict[str, list[str]] = {}
    for rule, what, parts in _virtual_services(mesh, service):
        found[rule.config] = applied(mesh, rule.config, what, parts)
        root = f"{rule.config.namespace}/{rule.config.name}"
        for each in rule.http:
            if each.config is not rule.config:
                found[each.config] = applied(mesh, each.config, f"has rules of {root}, which delegates to it")
        for name in rule.gateways:
            if name != MESH:
                gateways.setdefault(name, []).extend(rule.hosts)
    for config, what, parts in _destination_rules(mesh, service):
        found[config] = applied(mesh, config, what, parts)
    for config in sorted(mesh.configs(GATEWAY), key=lambda each: each.key):
        hosts = gateways.get(f"{config.namespace}/{config.name}")
        if hosts is not None:
            what = f"calls for {', '.join(map(short_host, dict.fromkeys(hosts)))} come in here"
            found[config] = applied(mesh, config, what, servers(mesh, config))
    pool = mesh.endpoints(service).endpoints
    found.update(_of_workloads(mesh, [(each.namespace, dict(each.labels)) for each in pool]))
    return found


def workload_rules(mesh: Mesh, namespace: str, labels: Mapping[str, str]) -> Documents:
    """Return the documents that select a workload."""
    found = dict(_of_workloads(mesh, [(namespace, labels)]))
    for config in gateways_served(mesh, labels):
        found[config] = applied(mesh, config, "it serves this Gateway", servers(mesh, config))
    return found


def gateways_served(mesh: Mesh, labels: Mapping[str, str]) -> list[Config[models.Gateway]]:
    """Return the Gateways whose selector names labels of a workload. A Gateway without a selector is for
    every gateway, and does not say that the workload is one."""
    return [config for config in mesh.gateways_selecting(labels) if config.spec.selector]


def subsets_of(mesh: Mesh, service: Service, endpoint: Endpoint) -> tuple[str, ...]:
    """Return the subsets of the service to which an endpoint belongs."""
    rule = destination_rule_of(mesh, service)
    subsets = rule.subsets if rule is not None else ()
    return tuple(subset.name for subset in subsets if endpoint.has_labels(subset.labels))


def applied(mesh: Mesh, config: Config[Any], what: str, parts: Iterable[RulePart] = ()) -> AppliedRule:
    """Return the description of a document: in short, and its parts."""
    place = str(mesh.current_origin(config.origin))
    return AppliedRule(
        str(config.group_kind), f"{config.namespace}/{config.name}", what, tuple(parts), (place,)
    )


def _part(mesh: Mesh, words: str, config: Config[Any], *path: str | int) -> RulePart:
    return RulePart(words, (str(mesh.current_origin(config.origin_of(*path))),))


def _virtual_services(
    mesh: Mesh, service: Service
) -> Iterator[tuple[VirtualServiceRule, str, list[RulePart]]]:
    hosts = {service.hostname, *service.aliases}
    deciding = _deciding(mesh, service)
    for rule in sorted(mesh.virtual_service_index.rules.values(), key=lambda each: each.order):
        own = [host for host in rule.hosts if any(matches(host, name) for name in hosts)]
        whole = bool(own) and MESH in rule.gateways
        leads = not hosts.isdisjoint(rule.destination_hosts)
        if not whole and not leads:
            continue
        if whole and deciding is not None and rule is not deciding:
            what = f"has no effect here: {deciding.config.namespace}/{deciding.config.name} comes first"
        elif whole:
            what = "routes the calls to it"
        else:
            where = ", ".join("the mesh" if name == MESH else name for name in rule.gateways)
            what = f"leads calls for {', '.join(map(short_host, rule.hosts))} to it (in {where})"
        every: tuple[HttpRule | TlsRule | TcpRule, ...] = (*rule.http, *rule.tls, *rule.tcp)
        told = every if whole else [each for each in every if _leads(each, hosts)]
        parts = [RulePart(rule_words(each), (str(mesh.current_origin(each.origin)),)) for each in told]
        yield rule, what, parts


def _deciding(mesh: Mesh, service: Service) -> VirtualServiceRule | None:
    """Return the VirtualService that applies to clients in the service's namespace, or None."""
    own = mesh.virtual_service_index.for_gateway(MESH, service.namespace)
    found = [
        (specificity(host), at, rule)
        for at, rule in enumerate(own)
        for host in rule.hosts
        if matches(host, service.hostname)
    ]
    return min(found, key=lambda each: each[:2])[2] if found else None


def _leads(rule: HttpRule | TlsRule | TcpRule, hosts: Collection[str]) -> bool:
    found = http_destinations(rule.route) if isinstance(rule, HttpRule) else l4_destinations((rule,))
    return any(destination.host in hosts for destination in found)


def _destination_rules(mesh: Mesh, service: Service) -> Iterator[tuple[Config[Any], str, list[RulePart]]]:
    domain = mesh.settings.domain
    merged = destination_rule_of(mesh, service)
    holding = merged.configs if merged is not None else ()
    pool = mesh.endpoints(service).endpoints
    for config in sorted(mesh.configs(DESTINATION_RULE), key=lambda each: each.key):
        host = resolve_short_name(config.spec.host, config.namespace, domain)
        if not matches(host, service.hostname):
            continue
        what = "shapes the calls to it"
        if config not in holding:
            what = f"applies at most to clients in namespace {config.namespace}"
            if config.namespace == service.namespace:
                first = holding[0] if holding else None
                who = f"{first.namespace}/{first.name} comes first" if first else "it is not exported here"
                what = f"has no effect here: {who}"
        policy = given_words(config.spec.traffic_policy)
        parts = [_part(mesh, f"trafficPolicy: {policy}", config, "spec", "trafficPolicy")] if policy else []
        for index, subset in enumerate(config.spec.subsets):
            able = sum(endpoint.has_labels(subset.labels) for endpoint in pool)
            words = f"subset {subset.name}: {able} endpoint{'' if able == 1 else 's'}"
            words += f"; {given_words(subset.traffic_policy)}" if subset.traffic_policy is not None else ""
            parts.append(_part(mesh, words, config, "spec", "subsets", index))
        yield config, what, parts


def servers(mesh: Mesh, config: Config[Any]) -> Iterator[RulePart]:
    """Yield the servers of a Gateway."""
    for index, server in enumerate(config.spec.servers):
        port, taken = server.port, server_words(server)
        words = f"port {port.number} {port.protocol}" if port is not None else "no port"
        tls = f", {taken}" if taken else ""
        yield _part(mesh, f"{words}{tls} for {', '.join(server.hosts)}", config, "spec", "servers", index)


def _of_workloads(mesh: Mesh, workloads: list[tuple[str, Mapping[str, str]]]) -> Documents:
    """Return the policies and Sidecars of workloads, each with the number of workloads that it selects."""
    selected: dict[Config[Any], int] = {}
    for namespace, labels in workloads:
        policies = mesh.policies_of(namespace, labels)
        sidecar = mesh.sidecar_index.choose(namespace, labels)
        for config in (
            *policies.peer_authentications,
            *policies.request_authentications,
            *policies.authorization_policies,
            *((sidecar,) if sidecar is not None else ()),
        ):
            selected[config] = selected.get(config, 0) + 1
    found = {}
    for config, count in selected.items():
        who = f" (for {count} of {len(workloads)} workloads)" if count != len(workloads) else ""
        found[config] = applied(mesh, config, f"{_policy_words(config)}{who}")
    return found


def _policy_words(config: Config[Any]) -> str:
    spec = config.spec
    match config.group_kind:
        case group_kinds.PEER_AUTHENTICATION:
            ports = (f"port {port} {mtls.mode}" for port, mtls in spec.port_level_mtls.items())
            return ", ".join((str(spec.mtls.mode if spec.mtls is not None else "UNSET"), *ports))
        case group_kinds.AUTHORIZATION_POLICY:
            count = len(spec.rules)
            return f"{spec.action}, {count} rule{'' if count == 1 else 's'}"
        case group_kinds.REQUEST_AUTHENTICATION:
            return f"tokens of {', '.join(rule.issuer for rule in spec.jwt_rules) or 'no issuer'}"
    hosts = dict.fromkeys(host for listener in spec.egress for host in listener.hosts)
    return f"lets it call {', '.join(hosts)}" if hosts else "settings of the proxy"
