"""Describes one service, workload or Gateway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mizzen.config.diagnostics import Diagnostic, Origin, Severity
from mizzen.config.group_kinds import DESTINATION_RULE, GATEWAY, POD, VIRTUAL_SERVICE, WORKLOAD_ENTRY
from mizzen.explain.callers import gateway_names
from mizzen.explain.describe.applied_rules import (
    Documents,
    gateways_served,
    service_rules,
    subsets_of,
    workload_rules,
)
from mizzen.explain.describe.description import Description, EndpointLine, Oddity, PortLine
from mizzen.explain.describe.gateway import (
    GatewayConfig,
    gateway_ports,
    gateway_rules,
    gateway_workloads,
)
from mizzen.explain.describe.port_tls import all_take, called_by, takes, tls_oddities
from mizzen.explain.near_names import did_you_mean, there_are
from mizzen.explain.route_words import short_host
from mizzen.mesh.service import Endpoint, Service
from mizzen.mesh.services.workloads import Workload
from mizzen.mesh.snapshot import Mesh

_NEAR = 3
_WORKLOAD_KINDS = {"workloadentry": WORKLOAD_ENTRY, "pod": POD}
_KINDS = ("service", "workload", "gateway", *_WORKLOAD_KINDS)


class UnknownNameError(ValueError):
    """No service, workload or Gateway has that name, or several have it; the message lists similar names."""


def describe(mesh: Mesh, name: str, diagnostics: Iterable[Diagnostic] = ()) -> Description:
    """Return the description of the service, workload or Gateway `name`.

    The name is `reviews`, `reviews.default`, a host or an IP address; the port of `reviews:9080` does not
    count. Where several kinds have the name,
    `service/NAME`, `workload/NAME` and `gateway/NAME` choose one; the default is the first of these.
    `pod/NAME` and `workloadentry/NAME` choose between workloads of one name. It includes the `diagnostics`
    of the mesh about it. Raises UnknownNameError.
    """
    kind, slash, rest = name.partition("/")
    kind, wanted = (kind, rest) if slash and kind in _KINDS else ("", name)
    wanted = _without_port(wanted.lower()).rstrip(".")
    if kind in ("", "service"):
        services = _services(mesh, wanted)
        if len(services) > 1:
            raise UnknownNameError(
                _several("service", wanted, [short_host(each.hostname) for each in services])
            )
        if services:
            return describe_service(mesh, services[0], tuple(diagnostics))
    workloads = _workloads(mesh, kind, wanted)
    if len(workloads) > 1:
        raise UnknownNameError(_several("workload", wanted, _distinct_names(workloads)))
    if workloads:
        return _workload(mesh, workloads[0], tuple(diagnostics))
    gateways = _gateways(mesh, wanted) if kind in ("", "gateway") else []
    if len(gateways) > 1:
        raise UnknownNameError(_several("gateway", wanted, [gateway_names(each)[1] for each in gateways]))
    if gateways:
        return _gateway(mesh, gateways[0], tuple(diagnostics))
    raise UnknownNameError(_unknown(mesh, kind, wanted))


def _without_port(name: str) -> str:
    host, _, port = name.rpartition(":")
    return host if ":" not in host and port.isdecimal() else name


def _services(mesh: Mesh, name: str) -> list[Service]:
    services = [each for each in mesh.registry.services.values() if not each.is_alias]
    whole = [each for each in services if name in (each.hostname, *each.aliases, *each.addresses)]
    found = whole or [
        each for each in services if name == each.name or f"{each.hostname}.".startswith(f"{name}.")
    ]
    return sorted(found, key=lambda each: each.key)


def _workloads(mesh: Mesh, kind: str, name: str) -> list[Workload]:
    if kind in ("service", "gateway"):
        return []
    found = (
        each
        for each in mesh.registry.workloads_by_key.values()
        if name in (each.key.name, _name(each), each.address, *each.addresses)
        and _WORKLOAD_KINDS.get(kind, each.key.group_kind) == each.key.group_kind
    )
    return sorted(found, key=lambda each: each.key)


def _distinct_names(workloads: Sequence[Workload]) -> list[str]:
    """Return the names by which `describe` tells workloads apart."""
    names = [_name(each) for each in workloads]
    if len(set(names)) == len(names):
        return names
    return [f"{each.key.group_kind.kind.lower()}/{name}" for each, name in zip(workloads, names, strict=True)]


def _gateways(mesh: Mesh, name: str) -> list[GatewayConfig]:
    found = (each for each in mesh.configs(GATEWAY) if name in gateway_names(each))
    return sorted(found, key=lambda each: each.key)


def _name(workload: Workload) -> str:
    return f"{workload.key.name}.{workload.key.namespace}"


def describe_service(mesh: Mesh, service: Service, diagnostics: Sequence[Diagnostic] = ()) -> Description:
    """Return the description of a service of the mesh, like `describe`."""
    rules = service_rules(mesh, service)
    pool = mesh.endpoints(service).endpoints
    facts = {
        "allocated": ", ".join(service.auto_allocated_addresses),
        "also named": ", ".join(service.aliases),
        "selects": _labels(service.selector or {}),
        "outside": "the mesh (MESH_EXTERNAL)" if service.mesh_external else "",
        "resolution": "" if service.from_kubernetes else str(service.resolution),
    }
    declared = {*service.origins, *(each.origin for each in pool if each.origin is not None)}
    return Description(
        "service",
        service.hostname,
        service.namespace,
        _places(mesh, service.origins),
        service.addresses,
        tuple((title, text) for title, text in facts.items() if text),
        tuple(
            PortLine(
                port.number,
                port.name,
                str(port.protocol),
                "",
                "" if port.target_port is None else str(port.target_port),
                all_take(mesh, service, port),
                called_by(mesh, service, port),
            )
            for port in service.ports
        ),
        tuple(_endpoint(mesh, service, each) for each in pool),
        tuple(rules.values()),
        (
            *tls_oddities(mesh, service),
            *_told(diagnostics, rules, declared, (service.name, service.namespace)),
        ),
    )


def _endpoint(mesh: Mesh, service: Service, endpoint: Endpoint) -> EndpointLine:
    return EndpointLine(
        endpoint.address or f"in network {endpoint.network}",
        endpoint.workload_name,
        tuple(f"{key}={value}" for key, value in endpoint.labels),
        subsets_of(mesh, service, endpoint),
        str(endpoint.health),
        str(endpoint.locality),
        _places(mesh, [endpoint.origin] if endpoint.origin is not None else []),
        bool(gateways_served(mesh, dict(endpoint.labels))),
    )


def _workload(mesh: Mesh, workload: Workload, diagnostics: Sequence[Diagnostic]) -> Description:
    served = list(_served(mesh, workload))
    labels = dict(served[0][1].labels) if served else workload.labels
    rules = dict(workload_rules(mesh, workload.key.namespace, labels))
    services = tuple(dict.fromkeys(service for service, _ in served))
    for service in services:
        for config, rule in service_rules(mesh, service).items():
            if config.group_kind in (VIRTUAL_SERVICE, DESTINATION_RULE, GATEWAY):
                rules.setdefault(config, rule)
    facts = {
        "labels": _labels(workload.labels),
        "identity": workload.identity,
        "locality": str(workload.locality),
        "network": workload.network,
        "services": ", ".join(dict.fromkeys(_membership(mesh, *each) for each in served)) or "none",
        "same address": ", ".join(_distinct_names(_beside(mesh, workload))),
    }
    declared = {workload.origin, *(origin for service in services for origin in service.origins)}
    return Description(
        "workload",
        _name(workload),
        workload.key.namespace,
        _places(mesh, [workload.origin]),
        workload.addresses or (workload.address,),
        tuple((title, text) for title, text in facts.items() if text),
        tuple(
            PortLine(
                number,
                port.name,
                str(port.protocol),
                f"{short_host(service.hostname)}:{port.number}",
                "",
                takes(mesh, endpoint, number),
                called_by(mesh, service, port),
            )
            for service, endpoint in served
            for port in service.ports
            if (number := endpoint.port_named(port.name)) is not None
        ),
        (),
        tuple(rules.values()),
        (
            *(odd for service in services for odd in tls_oddities(mesh, service)),
            *_told(diagnostics, rules, declared, (workload.key.name, workload.key.namespace)),
        ),
        bool(gateways_served(mesh, labels)),
    )


def _served(mesh: Mesh, workload: Workload) -> Iterator[tuple[Service, Endpoint]]:
    """Yield the services of a workload, each with its endpoint. Those of other workloads at its address are
    not its own."""
    others = {each.key for each in _beside(mesh, workload)}
    found = [
        (mesh.registry.services[key], endpoint)
        for address in workload.addresses or (workload.address,)
        for key, endpoints in sorted(mesh.registry.by_address.get(address).items())
        for endpoint in endpoints
        if not mesh.registry.services[key].is_alias
    ]
    return (pair for pair in found if pair[1].origin is None or pair[1].origin.document not in others)


def _beside(mesh: Mesh, workload: Workload) -> list[Workload]:
    """Return the other workloads that have an address of this one, such as pods in the network of their
    node."""
    own = {workload.address, *workload.addresses} - {""}
    found = (
        each
        for each in mesh.registry.workloads_by_key.values()
        if each is not workload and not own.isdisjoint((each.address, *each.addresses))
    )
    return sorted(found, key=lambda each: each.key)


def _gateway(mesh: Mesh, config: GatewayConfig, diagnostics: Sequence[Diagnostic]) -> Description:
    workloads, rules = gateway_workloads(mesh, config), gateway_rules(mesh, config)
    facts = {
        "selects": _labels(config.spec.selector) or "every gateway",
        "workloads": ", ".join(map(_name, workloads)) or "none that a document declares",
    }
    return Description(
        "gateway",
        f"{config.name}.{config.namespace}",
        config.namespace,
        _places(mesh, [config.origin]),
        tuple(dict.fromkeys(address for each in workloads for address in each.addresses)),
        tuple(facts.items()),
        tuple(gateway_ports(config)),
        (),
        tuple(rules.values()),
        tuple(_told(diagnostics, rules, [config.origin], (config.name, config.namespace))),
    )


def _membership(mesh: Mesh, service: Service, endpoint: Endpoint) -> str:
    subsets = subsets_of(mesh, service, endpoint)
    return short_host(service.hostname) + (f" (subset {', '.join(subsets)})" if subsets else "")


def _places(mesh: Mesh, origins: Iterable[Origin]) -> tuple[str, ...]:
    """Return the current lines of origins."""
    return tuple(dict.fromkeys(str(mesh.current_origin(each)) for each in origins))


def _told(
    diagnostics: Sequence[Diagnostic], rules: Documents, declared: Iterable[Origin], name: tuple[str, str]
) -> Iterable[Oddity]:
    """Yield the diagnostics about rules that apply, its own documents, and refused documents of its name."""
    documents = {config.key for config in rules}
    documents |= {origin.document for origin in declared if origin.document is not None}
    for diagnostic in diagnostics:
        document = diagnostic.origin.document
        if diagnostic.severity is Severity.INFO or document is None:
            continue
        refused = diagnostic.severity is Severity.ERROR and (document.name, document.namespace) == name
        if document in documents or refused:
            path = f"{diagnostic.path}: " if diagnostic.path else ""
            yield Oddity(f"{path}{diagnostic.message}", (str(diagnostic.origin),), diagnostic.code)


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _several(kind: str, name: str, found: list[str]) -> str:
    return f'several {kind}s are named "{name}"; write {" or ".join(found[:_NEAR])}'


def _unknown(mesh: Mesh, kind: str, name: str) -> str:
    services = {short_host(each.hostname) for each in mesh.registry.services.values()}
    workloads = {_name(each) for each in mesh.registry.workloads_by_key.values()}
    gateways = {gateway_names(each)[1] for each in mesh.configs(GATEWAY)}
    of_kind = {"service": services, "workload": workloads, "gateway": gateways}
    known = sorted(of_kind[kind] if kind else services | workloads | gateways)
    what = f"no {kind or 'service, workload or Gateway'} is named"
    meant = did_you_mean(name, known)
    if meant:
        return f'{what} "{name}"; {meant}'
    return f'{what} "{name}"; {there_are(known)}'
