"""Drawn documents of services: who serves what, and at which addresses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.properties.translator.drawn_world import (
    ADDRESSES,
    CORE,
    NETWORK_LABEL,
    NETWORKING,
    VIRTUAL_ADDRESSES,
    WILDCARDS,
    World,
    document,
    labels,
    localities,
    names,
    networks,
    some,
)


@st.composite
def ports(draw: st.DrawFn, world: World, *, entry: bool) -> list[dict[str, Any]]:
    found = draw(st.lists(world.ports, min_size=1, max_size=2, unique_by=(lambda p: p[0], lambda p: p[1])))
    made = []
    for name, number, protocol in found:
        if entry:
            made.append({"name": name, "number": number, "protocol": protocol})
            some(draw, "targetPort", st.sampled_from((8080, 9090)), made[-1])
        else:
            made.append({"name": name, "port": number, "protocol": "UDP" if protocol == "UDP" else "TCP"})
            some(draw, "targetPort", st.sampled_from((8080, "main")), made[-1])
    return made


STOOD_FOR = ("x.example", "out.example", "a.default.svc.cluster.local", "b.shop.svc.cluster.local")
"""The hosts that ExternalName Services stand for, other such Services among them."""


@st.composite
def services(draw: st.DrawFn, world: World) -> dict[str, Any]:
    spec: dict[str, Any] = {"ports": draw(ports(world, entry=False))}
    kind = draw(st.sampled_from(("plain", "plain", "headless", "external", "addressed")))
    if kind == "external":
        spec |= {"type": "ExternalName", "externalName": draw(st.sampled_from(STOOD_FOR))}
    else:
        some(draw, "selector", st.sampled_from(({"app": "a"}, {"app": "b"}, {"istio": "gw"}, {})), spec)
        some(draw, "publishNotReadyAddresses", st.booleans(), spec)
        some(draw, "internalTrafficPolicy", st.just("Local"), spec) if draw(st.booleans()) else None
        some(draw, "trafficDistribution", st.sampled_from(("PreferClose", "PreferSameNode")), spec)
        if kind == "headless":
            spec["clusterIP"] = "None"
        elif kind == "addressed":
            spec["clusterIP"] = draw(st.sampled_from(("10.1.0.1", "10.1.0.2")))
    metadata: dict[str, Any] = {"creationTimestamp": draw(world.ages)}
    export = draw(world.exports)
    if export:
        metadata["annotations"] = {"networking.istio.io/exportTo": ",".join(export)}
    return document(
        "Service",
        CORE,
        draw(world.namespaces),
        draw(st.sampled_from(("a", "b"))),
        spec=spec,
        metadata=metadata,
    )


@st.composite
def workloads(draw: st.DrawFn, world: World) -> dict[str, Any]:
    spec: dict[str, Any] = {"labels": draw(labels)}
    some(draw, "network", networks, spec)
    if not spec.get("network") or draw(st.booleans()):
        spec["address"] = draw(st.sampled_from((*ADDRESSES, "vm.example")))
    some(draw, "locality", localities, spec)
    some(draw, "weight", st.integers(0, 3), spec)
    some(draw, "serviceAccount", st.sampled_from(("one", "two")), spec)
    some(draw, "ports", st.sampled_from(({"http": 8081}, {"tcp": 3307})), spec)
    metadata: dict[str, Any] = {}
    some(
        draw, "labels", st.sampled_from(({NETWORK_LABEL: "west"}, {"app": "b"}, {"version": "v2"})), metadata
    )
    return document(
        "WorkloadEntry", NETWORKING, draw(world.namespaces), draw(names), spec=spec, metadata=metadata
    )


@st.composite
def pods(draw: st.DrawFn, world: World) -> dict[str, Any]:
    address = draw(st.sampled_from(ADDRESSES))
    ready = draw(st.sampled_from(("True", "True", "False")))
    status: dict[str, Any] = {"podIP": address, "conditions": [{"type": "Ready", "status": ready}]}
    some(draw, "podIPs", st.just([{"ip": address}, {"ip": "2001:db8::2"}]), status)
    own = dict(draw(labels))
    some(draw, NETWORK_LABEL, st.sampled_from(("east", "west")), own)
    some(draw, "topology.kubernetes.io/region", st.sampled_from(("eu", "us")), own)
    some(draw, "security.istio.io/tlsMode", st.just("istio"), own)
    spec: dict[str, Any] = {"containers": [{"name": "c", "ports": [{"name": "main", "containerPort": 9091}]}]}
    some(draw, "nodeName", st.sampled_from(("n1", "n2")), spec)
    return document(
        "Pod",
        CORE,
        draw(world.namespaces),
        draw(names),
        spec=spec,
        metadata={"labels": own},
        status=status if draw(st.integers(0, 4)) else {},
    )


@st.composite
def listings(draw: st.DrawFn, world: World) -> dict[str, Any]:
    service = draw(st.sampled_from(("a", "b")))
    addresses = draw(st.lists(st.sampled_from(ADDRESSES[:4]), min_size=1, max_size=2, unique=True))
    port = {"name": draw(st.sampled_from(("http", "tcp"))), "port": draw(st.sampled_from((7070, 7071)))}
    if draw(st.booleans()):
        subset: dict[str, Any] = {"ports": [port]}
        subset[draw(st.sampled_from(("addresses", "notReadyAddresses")))] = [
            {"ip": each} for each in addresses
        ]
        return document("Endpoints", CORE, draw(world.namespaces), service, subsets=[subset])
    endpoints: list[dict[str, Any]] = [{"addresses": [each]} for each in addresses]
    for endpoint in endpoints:
        some(
            draw,
            "conditions",
            st.sampled_from(({"ready": False}, {"ready": False, "terminating": True, "serving": True})),
            endpoint,
        )
        some(draw, "zone", st.sampled_from(("eu-1", "eu-2")), endpoint)
        some(draw, "nodeName", st.sampled_from(("n1", "n2")), endpoint)
    return document(
        "EndpointSlice",
        "discovery.k8s.io/v1",
        draw(world.namespaces),
        draw(names),
        metadata={"labels": {"kubernetes.io/service-name": service}},
        addressType="IPv4",
        endpoints=endpoints,
        ports=[port],
    )


@st.composite
def service_entries(draw: st.DrawFn, world: World) -> dict[str, Any]:
    wild = draw(st.integers(0, 3)) == 0
    resolution = draw(st.sampled_from(("STATIC", "DNS", "DNS_ROUND_ROBIN", "NONE")))
    if wild:
        resolution = draw(st.sampled_from(("NONE", "DYNAMIC_DNS")))
    spec: dict[str, Any] = {
        "hosts": [draw(st.sampled_from(WILDCARDS[:2]))]
        if wild
        else draw(st.lists(world.hosts, min_size=1, max_size=2, unique=True)),
        "ports": draw(ports(world, entry=True)),
        "resolution": resolution,
        "location": draw(st.sampled_from(("MESH_INTERNAL", "MESH_INTERNAL", "MESH_EXTERNAL"))),
        "exportTo": list(draw(world.exports)),
    }
    if resolution in ("STATIC", "DNS", "DNS_ROUND_ROBIN"):
        if draw(st.booleans()):
            spec["workloadSelector"] = {
                "labels": draw(
                    st.sampled_from(({"app": "a"}, {"version": "v1"}, {"app": "b", "version": "v1"}))
                )
            }
        else:
            spec["endpoints"] = []
            for address in draw(st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True)):
                endpoint: dict[str, Any] = {"address": address}
                some(draw, "locality", localities, endpoint)
                some(draw, "network", networks, endpoint)
                some(draw, "labels", labels, endpoint)
                some(draw, "serviceAccount", st.just("one"), endpoint)
                spec["endpoints"].append(endpoint)
    if not wild and draw(st.booleans()):
        spec["addresses"] = draw(
            st.lists(st.sampled_from(VIRTUAL_ADDRESSES), min_size=1, max_size=2, unique=True)
        )
    some(draw, "subjectAltNames", st.just(["spiffe://x"]), spec)
    metadata: dict[str, Any] = {"creationTimestamp": draw(world.ages)}
    return document(
        "ServiceEntry", NETWORKING, draw(world.namespaces), draw(names), spec=spec, metadata=metadata
    )


def certificate(name: str) -> tuple[str, str]:
    """A certificate that is its own root, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2024, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2124, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM).decode(), private.decode()


CERTIFICATES = (certificate("one"), certificate("two"), ("no certificate", "no key"))
SECRET_KEYS = (
    ("tls.crt", "tls.key", ""),
    ("tls.crt", "tls.key", "ca.crt"),
    ("cert", "key", "cacert"),
    ("", "", "ca.crt"),
    ("tls.crt", "", ""),
)


@st.composite
def secrets(draw: st.DrawFn, world: World) -> dict[str, Any]:
    text, key = draw(st.sampled_from(CERTIFICATES))
    data = {
        name: value
        for name, value in zip(draw(st.sampled_from(SECRET_KEYS)), (text, key, text), strict=True)
        if name
    }
    namespace = draw(st.sampled_from(("default", "shop")))
    return document(
        "Secret", CORE, namespace, draw(st.sampled_from(("cert", "cert-2", "cert-2-cacert"))), stringData=data
    )
