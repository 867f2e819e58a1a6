"""A mesh that was updated is the mesh that would be built anew, and what did not change keeps its objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mizzen.config.diagnostics import Origin
from mizzen.config.document import Config
from mizzen.config.group_kinds import DESTINATION_RULE, VIRTUAL_SERVICE
from mizzen.config.kinds import KINDS_BY_NAME
from mizzen.config.store import ConfigChange
from mizzen.mesh.proxy.node import Proxy
from mizzen.mesh.proxy.profile import OutboundProfile
from mizzen.mesh.snapshot import Mesh
from mizzen.persistent import ChunkedSequence

NAMESPACES = ("blue", "green", "istio-system")
HOSTS = ("a.example.com", "b.example.com", "*.example.com", "web.blue.svc.cluster.local")
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "vm.example.com")
LABELS = ({"app": "web"}, {"app": "web", "version": "v1"}, {"app": "db"}, {})
EXPORTS: tuple[tuple[str, ...], ...] = ((), (".",), ("*",), ("green",))


class OneLine:
    def line_of(self, path: Sequence[str | int]) -> int:
        return 1


LINES = OneLine()


def config(kind: str, namespace: str, name: str, spec: Any, labels: Any = None, age: int = 0) -> Config[Any]:
    [served] = KINDS_BY_NAME[kind]
    created = datetime(2024, 1, 1 + age, tzinfo=UTC) if age else None
    file = f"{kind}-{namespace}-{name}.yaml"
    typed = served.model.model_validate(spec)
    version, origin = served.api_versions[-1], Origin(file, 1)
    return Config(version, kind, namespace, name, typed, origin, LINES, labels or {}, {}, created)


names = st.sampled_from(("x", "y"))
namespaces = st.sampled_from(("blue", "blue", "green", "istio-system"))
labels = st.sampled_from(LABELS)
exports = st.sampled_from(EXPORTS)
ages = st.integers(0, 3)
hosts = st.sampled_from(HOSTS)


@st.composite
def service_entries(draw: st.DrawFn) -> Config[Any]:
    spec: dict[str, Any] = {
        "hosts": draw(st.lists(hosts, min_size=1, max_size=2, unique=True)),
        "ports": draw(
            st.sampled_from(
                (
                    [{"number": 80, "name": "http", "protocol": "HTTP"}],
                    [{"number": 80, "name": "web", "protocol": "TCP"}],
                    [{"number": 443, "name": "tls", "protocol": "TLS", "targetPort": 8443}],
                )
            )
        ),
        "resolution": draw(st.sampled_from(("STATIC", "DNS", "DNS_ROUND_ROBIN", "NONE"))),
        "exportTo": draw(st.sampled_from((*EXPORTS, ("~",)))),
    }
    if draw(st.booleans()):
        spec["workloadSelector"] = {"labels": draw(st.sampled_from(LABELS[:3]))}
    else:
        spec["endpoints"] = [
            {"address": address} for address in draw(st.lists(st.sampled_from(ADDRESSES), max_size=2))
        ]
    if draw(st.booleans()):
        spec["addresses"] = ["240.1.1.1"]
    return config("ServiceEntry", draw(namespaces), draw(names), spec, {}, draw(ages))


@st.composite
def workload_entries(draw: st.DrawFn) -> Config[Any]:
    spec = {"address": draw(st.sampled_from(ADDRESSES)), "ports": draw(st.sampled_from(({}, {"http": 8080})))}
    return config("WorkloadEntry", draw(namespaces), draw(names), spec, draw(labels))


pod_references = st.builds(lambda name: {"kind": "Pod", "name": name}, names)


@st.composite
def kubernetes_documents(draw: st.DrawFn) -> Config[Any]:
    namespace = draw(st.sampled_from(("blue", "green")))
    kind = draw(st.sampled_from(("Service", "Pod", "EndpointSlice", "Endpoints")))
    address = draw(st.sampled_from(ADDRESSES[:3]))
    if kind == "Service":
        spec: dict[str, Any] = {
            "spec": {
                "ports": [{"name": "http", "port": 80, "targetPort": draw(st.sampled_from((8080, "main")))}],
                "selector": draw(st.sampled_from(LABELS[:3])),
                "publishNotReadyAddresses": draw(st.booleans()),
            }
        }
        return config(kind, namespace, "web", spec, {}, draw(ages))
    if kind == "Pod":
        ready = draw(st.sampled_from(("True", "False")))
        spec = {
            "spec": {"containers": [{"ports": [{"name": "main", "containerPort": 9090}]}]},
            "status": {"podIP": address, "conditions": [{"type": "Ready", "status": ready}]},
        }
        return config(kind, namespace, draw(names), spec, draw(labels))
    if kind == "Endpoints":
        subset = {"addresses": [{"ip": address}], "ports": [{"name": "http", "port": 7070}]}
        return config(kind, namespace, "web", {"subsets": [subset]})
    spec = {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "targetRef": draw(st.none() | pod_references)}],
        "ports": [{"name": "http", "port": 6060}],
    }
    return config(kind, namespace, draw(names), spec, {"kubernetes.io/service-name": "web"})


@st.composite
def virtual_services(draw: st.DrawFn) -> Config[Any]:
    route: dict[str, Any] = {"route": [{"destination": {"host": draw(hosts)}}]}
    if draw(st.booleans()):
        route["match"] = [{"sourceLabels": {"version": "v1"}}]
    spec: dict[str, Any] = {"http": [route], "exportTo": draw(exports)}
    if draw(st.booleans()):
        spec["hosts"] = draw(st.lists(hosts, min_size=1, max_size=2, unique=True))
        spec["gateways"] = draw(st.sampled_from(([], ["mesh"], ["x"], ["mesh", "blue/x"])))
        if draw(st.booleans()):
            spec["http"].append({"delegate": {"name": draw(names), "namespace": draw(namespaces)}})
    return config("VirtualService", draw(namespaces), draw(names), spec, {}, draw(ages))


@st.composite
def destination_rules(draw: st.DrawFn) -> Config[Any]:
    spec: dict[str, Any] = {
        "host": draw(hosts),
        "subsets": [{"name": draw(st.sampled_from(("v1", "v2"))), "labels": {"version": "v1"}}],
        "exportTo": draw(exports),
    }
    if draw(st.booleans()):
        spec["workloadSelector"] = {"matchLabels": {"app": "web"}}
    if draw(st.booleans()):
        spec["trafficPolicy"] = {"loadBalancer": {"simple": "RANDOM"}}
    return config("DestinationRule", draw(namespaces), draw(names), spec, {}, draw(ages))


@st.composite
def sidecars(draw: st.DrawFn) -> Config[Any]:
    entries = ("*/*", "./*", "blue/a.example.com", "*/*.example.com", "~green/*", "green/*", "~/*")
    spec: dict[str, Any] = {
        "egress": [{"hosts": draw(st.lists(st.sampled_from(entries), min_size=1, max_size=3))}]
    }
    if draw(st.booleans()):
        port = {"number": 80, "name": "http", "protocol": "HTTP"}
        spec["egress"].insert(0, {"port": port, "hosts": [draw(st.sampled_from(entries))]})
    if draw(st.booleans()):
        spec["workloadSelector"] = {"labels": {"version": "v1"}}
    return config("Sidecar", draw(namespaces), draw(names), spec, {}, draw(ages))


@st.composite
def gateways(draw: st.DrawFn) -> Config[Any]:
    protocol = draw(st.sampled_from(("HTTP", "TCP", "HTTPS")))
    server: dict[str, Any] = {
        "port": {"number": 80, "name": draw(names), "protocol": protocol},
        "hosts": [draw(st.sampled_from(("*", "a.example.com", "./b.example.com")))],
    }
    if protocol == "HTTPS":
        server["tls"] = {"mode": "SIMPLE", "credentialName": "cert"}
    spec = {"selector": draw(st.sampled_from(LABELS)), "servers": [server]}
    return config("Gateway", draw(namespaces), draw(names), spec, {}, draw(ages))


KINDS = (
    service_entries(),
    workload_entries(),
    kubernetes_documents(),
    virtual_services(),
    destination_rules(),
    sidecars(),
    gateways(),
)
documents = st.one_of(*KINDS)
# A mesh that is full enough for changes to touch something: several documents of each kind to begin with.
meshes = st.tuples(*(st.lists(kind, min_size=2, max_size=6) for kind in KINDS)).map(
    lambda lists: [one for documents in lists for one in documents]
)
batches = st.lists(
    st.tuples(st.lists(documents, max_size=3), st.lists(st.integers(0, 100), max_size=2)),
    min_size=1,
    max_size=5,
)


def proxies() -> list[Proxy]:
    found = []
    for kind in ("sidecar", "router"):
        for namespace in NAMESPACES:
            for number, workload in enumerate(LABELS):
                node = {
                    "id": f"{kind}~10.0.0.{number + 1}~w.{namespace}~{namespace}.svc.cluster.local",
                    "metadata": {"NAMESPACE": namespace, "LABELS": workload},
                }
                found.append(Proxy.from_node(node))
    return found


PROXIES = proxies()


def values(thing: Any) -> Any:
    """What `thing` says, without the identity of its objects; documents are named by key and content. What is
    not compared is left out: a cache has what somebody asked for."""
    if isinstance(thing, Config):
        return (thing.key, thing.spec)
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        compared = (field.name for field in dataclasses.fields(thing) if field.compare)
        return {name: values(getattr(thing, name)) for name in compared}
    if isinstance(thing, tuple | list | ChunkedSequence):
        return [values(one) for one in thing]
    if isinstance(thing, Mapping):
        return {key: values(one) for key, one in thing.items()}
    return thing


def seen_by(mesh: Mesh, proxy: Proxy) -> Any:
    profile = mesh.outbound_profile(proxy)
    scope = mesh.scope(profile)
    listeners = [
        (
            listener.port,
            values(listener.services),
            values(listener.virtual_services),
            [
                (values(listener.virtual_service_of(host)), values(listener.virtual_services_for(host)))
                for host in HOSTS
            ],
        )
        for listener in scope.egress_listeners
    ]
    return (
        profile,
        values(scope.services),
        listeners,
        values(scope.virtual_services),
        values(scope.sidecar),
        [values(scope.destination_rule(host)) for host in HOSTS],
        [values(mesh.inbound_rule(profile.namespace, service)) for service in scope.services],
        [values(scope.destination_service(host)) for host in HOSTS],
        [values(listener.by_port.get(80, ())) for listener in scope.egress_listeners],
        values(mesh.instances(proxy)),
        values(mesh.gateways_for(proxy)),
        dict(mesh.workload_labels(proxy)),
    )


def everything(mesh: Mesh) -> Any:
    registry = mesh.registry
    return (
        {key: values(service) for key, service in registry.services.items()},
        {key: values(pool) for key, pool in registry.pools.items()},
        {host: values(found) for host, found in registry.hosts.under("*")},
        {key: values(rule) for key, rule in mesh.virtual_service_index.rules.items()},
        {key: values(rules) for key, rules in mesh.virtual_service_index.groups.items()},
        mesh.diagnostics,
        [seen_by(mesh, proxy) for proxy in PROXIES],
    )


def objects_kept(before: Mesh, after: Mesh, delta: Any, profiles: list[OutboundProfile]) -> None:
    for key, service in before.registry.services.items():
        assert (after.registry.services.get(key) is service) == (key not in delta.services)
    for key, pool in before.registry.pools.items():
        assert (after.registry.pools.get(key) is pool) == (key not in delta.endpoints)
    changed = {(old or new).key for old, new in delta.of_kind(VIRTUAL_SERVICE)}
    touched = changed | {
        key
        for name in changed
        for index in (before.virtual_service_index, after.virtual_service_index)
        for key in index.delegate_users.get((name.namespace, name.name))
    }
    for key, rule in before.virtual_service_index.rules.items():
        assert (after.virtual_service_index.rules.get(key) is rule) == (key not in touched)
    if not any(delta.of_kind(DESTINATION_RULE)):
        assert after.destination_rule_index is before.destination_rule_index
    kinds = {(old or new).kind for old, new in delta.documents}
    for profile in profiles:
        if not delta.services and not kinds & {"VirtualService", "DestinationRule", "Sidecar"}:
            assert after.scope(profile) is before.scope(profile)
            continue
        imports_everything = before.scope(profile).sidecar is None
        if (
            not delta.services
            and not kinds & {"Sidecar"}
            and (imports_everything or "VirtualService" not in kinds)
        ):
            assert after.scope(profile).services is before.scope(profile).services


@settings(max_examples=100, deadline=None)
@given(meshes, batches)
def test_updated_equals_built(
    first: list[Config[Any]], steps: list[tuple[list[Config[Any]], list[int]]]
) -> None:
    current = {one.key: one for one in first}
    mesh = Mesh.build(first)
    for updated, removals in steps:
        fresh = {one.key: one for one in updated}
        known = sorted(current)
        removed = {known[number % len(known)] for number in removals if known} - fresh.keys()
        profiles = [mesh.outbound_profile(proxy) for proxy in PROXIES[::3]]
        for profile in profiles:
            mesh.scope(profile)
        after, delta = mesh.updated(ConfigChange(updated=tuple(fresh.values()), removed=tuple(removed)))
        objects_kept(mesh, after, delta, profiles)
        current.update(fresh)
        for key in removed:
            del current[key]
        mesh = after
    anew = list(current.values())
    expected = everything(Mesh.build(reversed(anew)))
    assert everything(mesh) == expected
    assert everything(Mesh.build(anew)) == expected
