"""Checks for names in VirtualServices that do not exist: hosts, ports, subsets, gateways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mizzen.config.document import Config, FieldPath
from mizzen.config.group_kinds import GATEWAY, VIRTUAL_SERVICE
from mizzen.config.models import Destination, VirtualService
from mizzen.config.refused import any_rule_for
from mizzen.config.schema_fields import nearest
from mizzen.mesh.analysis.analysed_mesh import AnalysedMesh
from mizzen.mesh.analysis.collected import Diagnostics
from mizzen.mesh.rules.destination_rules import MergedDestinationRule, MergedRules
from mizzen.mesh.rules.virtual_services import MESH, VirtualServiceRule
from mizzen.mesh.scope.egress_imports import best_service
from mizzen.mesh.service import Protocol, Service
from mizzen.mesh.visibility import is_visible


@dataclass(frozen=True, slots=True)
class UsedDestination:
    """A destination that a rule names, with its full host name and its place."""

    destination: Destination
    config: Config[VirtualService]
    path: FieldPath


def destinations_of(rule: VirtualServiceRule) -> Iterator[UsedDestination]:
    """Yield the destinations of a VirtualService, each with the document that names it, such as a
    delegate."""
    for http in rule.http:
        place: FieldPath = ("spec", "http", http.index)
        for index, weighted in enumerate(http.route.route):
            if weighted.destination is not None:
                path = (*place, "route", index, "destination")
                yield UsedDestination(weighted.destination, http.config, path)
        written = http.config.spec.http[http.index]
        if http.route.mirror is not None and written.mirror is not None:
            yield UsedDestination(http.route.mirror, http.config, (*place, "mirror"))
        if written.mirrors:
            for index, mirror in enumerate(http.route.mirrors):
                if mirror.destination is not None:
                    path = (*place, "mirrors", index, "destination")
                    yield UsedDestination(mirror.destination, http.config, path)
    for name, rules in (("tls", rule.tls), ("tcp", rule.tcp)):
        for l4_rule in rules:
            for index, one in enumerate(l4_rule.route.route):
                if one.destination is not None:
                    path = ("spec", name, l4_rule.index, "route", index, "destination")
                    yield UsedDestination(one.destination, l4_rule.config, path)


def check_references(mesh: AnalysedMesh, rule: VirtualServiceRule, diagnostics: Diagnostics) -> None:
    """Find missing destinations, gateways and delegates of a VirtualService (IST0101, IST0112, MZ0211,
    IST0140, MZ0203)."""
    for used in destinations_of(rule):
        if used.destination.host:
            service = _check_host(mesh, rule, used, diagnostics)
            _check_subset(mesh, rule, used, service, diagnostics)
    _check_gateways(mesh, rule, diagnostics)
    _check_delegates(mesh, rule.config, diagnostics)
    if MESH not in rule.gateways:
        _check_subset_rules_beside(mesh, rule, diagnostics)


def _check_host(
    mesh: AnalysedMesh, rule: VirtualServiceRule, used: UsedDestination, diagnostics: Diagnostics
) -> Service | None:
    host = used.destination.host
    namespace = rule.config.namespace
    hosts = mesh.registry.hosts
    service = best_service(hosts.get(host) or (), namespace)
    if service is not None and service.is_alias:
        return _check_alias(mesh, service, used, diagnostics, namespace)
    if service is None:
        covered = any(best_service(services, namespace) for _, services in hosts.covering(host))
        if not covered:
            hidden = hosts.get(host)
            reason = (
                f"is not exported to namespace {namespace} ({hidden[0].origins[0]}); extend its exportTo"
                if hidden
                else f"is not a known service; {_right_host(mesh, host)}"
            )
            mentions = hidden[0].origins[:1] if hidden else ()
            diagnostics.error(
                "IST0101",
                used.config,
                (*used.path, "host"),
                f"host {host} {reason}",
                *mentions,
                missing=None if hidden else host,
            )
        return None
    ports = [port.number for port in service.ports if port.protocol is not Protocol.UDP]
    listed = ", ".join(str(number) for number in ports) or "none"
    port = used.destination.port
    if port is not None and port.number and port.number not in ports:
        diagnostics.error(
            "IST0101",
            used.config,
            (*used.path, "port"),
            f"{host} ({service.origins[0]}) has no port {port.number}; its ports are: {listed}",
            service.origins[0],
        )
    elif (port is None or not port.number) and len(ports) > 1:
        diagnostics.error(
            "IST0112",
            used.config,
            used.path,
            f"{host} ({service.origins[0]}) has several ports ({listed}); name one under port.number",
            service.origins[0],
        )
    return service


def _right_host(mesh: AnalysedMesh, host: str) -> str:
    meant = mesh.registry.near_host(host)
    otherwise = "declare it with a ServiceEntry or Service, or correct the name"
    return f"did you mean {meant}?" if meant else otherwise


def _check_alias(
    mesh: AnalysedMesh, alias: Service, used: UsedDestination, diagnostics: Diagnostics, namespace: str
) -> Service | None:
    """Return the service that an ExternalName Service stands for; calls may name any port of that service."""
    target = alias.alias_of
    hosts = mesh.registry.hosts
    service = best_service(hosts.get(target) or (), namespace)
    known = service is not None and not service.is_alias
    if known:
        return service
    if not any(
        best_service(services, namespace) for name, services in hosts.covering(target) if name != target
    ):
        diagnostics.error(
            "IST0101",
            used.config,
            (*used.path, "host"),
            f"host {alias.hostname} stands for {target} ({alias.origins[0]}), which is not a known service; "
            f"declare {target} with a ServiceEntry",
            alias.origins[0],
            missing=target,
        )
    return None


def _check_subset(
    mesh: AnalysedMesh,
    rule: VirtualServiceRule,
    used: UsedDestination,
    service: Service | None,
    diagnostics: Diagnostics,
) -> None:
    """Check that the DestinationRule for the clients of a rule defines the subset."""
    subset = used.destination.subset
    if not subset or service is None:
        return
    host = service.hostname
    clients = {rule.config.namespace} | {
        namespace for namespace in mesh.namespaces_with_rules(host) if is_visible(rule.seen_by, namespace)
    }
    for client in sorted(clients):
        rules = mesh.rules_for(client, host, service.namespace)
        if _defines(rules, subset):
            continue
        path = (*used.path, "subset")
        if not rules and not _is_defined(mesh, host, subset, service):
            diagnostics.error(
                "IST0101",
                used.config,
                path,
                f"no DestinationRule for {host} defines subset {subset}; add one, or drop the subset",
                missing=any_rule_for(host),
            )
            return
        message = _absent(host, subset, client, rules)
        mentions = [rules[0].configs[0].origin] if rules else []
        diagnostics.error("MZ0211", used.config, path, message, *mentions)
        return


def _is_defined(mesh: AnalysedMesh, host: str, subset: str, service: Service) -> bool:
    """Return True if the clients of some namespace know the subset."""
    return any(
        _defines(mesh.rules_for(namespace, host, service.namespace), subset)
        for namespace in mesh.namespaces_with_rules(host)
    )


def _absent(host: str, subset: str, client: str, rules: MergedRules) -> str:
    if not rules:
        return (
            f"clients in namespace {client} see no DestinationRule for {host}, so subset {subset} is "
            "unknown to them (503); export the rule to them"
        )
    meant = nearest(subset, [known.name for rule in rules for known in rule.subsets])
    return (
        f"clients in namespace {client} get the DestinationRule at {rules[0].configs[0].origin} for "
        f"{host}, which has no subset {subset} (503); "
        f"{f'did you mean {meant}?' if meant else 'define it there'}"
    )


def _defines(rules: tuple[MergedDestinationRule, ...], subset: str) -> bool:
    return any(rule.subset(subset) is not None for rule in rules)


def _check_gateways(mesh: AnalysedMesh, rule: VirtualServiceRule, diagnostics: Diagnostics) -> None:
    for index, name in enumerate(rule.gateways):
        if name == MESH:
            continue
        namespace, _, short = name.partition("/")
        key = GATEWAY.key(namespace, short)
        if mesh.config(key) is None:
            meant = mesh.near_document(key)
            right = (
                f"did you mean {meant}?" if meant else "create it, or name one that exists (namespace/name)"
            )
            diagnostics.error(
                "IST0101",
                rule.config,
                ("spec", "gateways", index),
                f"there is no Gateway {name}; {right}",
                missing=key,
            )


def _check_delegates(mesh: AnalysedMesh, config: Config[VirtualService], diagnostics: Diagnostics) -> None:
    for index, route in enumerate(config.spec.http):
        if route.delegate is None:
            continue
        key = VIRTUAL_SERVICE.key(route.delegate.namespace or config.namespace, route.delegate.name)
        if mesh.config(key) is None:
            meant = mesh.near_document(key)
            diagnostics.error(
                "MZ0203",
                config,
                ("spec", "http", index, "delegate"),
                f"there is no VirtualService {key.namespace}/{key.name} to delegate to, so this rule is "
                f"dropped; {f'did you mean {meant}?' if meant else 'create it, or name one that exists'}",
                missing=key,
            )


def _check_subset_rules_beside(
    mesh: AnalysedMesh, rule: VirtualServiceRule, diagnostics: Diagnostics
) -> None:
    """IST0140: a gateway routes to all subsets of a host, as rules for sidecars do not apply to it."""
    for used in destinations_of(rule):
        if used.destination.subset:
            continue
        for other in mesh.mesh_hosts.get(used.destination.host) or ():
            if other is rule or not is_visible(other.seen_by, rule.config.namespace):
                continue
            if any(one.destination.subset for one in destinations_of(other)):
                diagnostics.warning(
                    "IST0140",
                    used.config,
                    used.path,
                    f"{used.destination.host} has subsets by the VirtualService at {other.config.origin}, "
                    "which does not apply at this gateway: requests go to all of them; name a subset here, "
                    "or bind that VirtualService to the gateway too",
                    other.config.origin,
                )
                break
