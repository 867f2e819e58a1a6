"""Diagnostics about names that lead nowhere, with what each is wrong in and what is right."""

from __future__ import annotations

from tests.unit.mesh.analysis.documents import (
    ALIAS,
    DELEGATE,
    ENTRY,
    OF_KUBERNETES,
    ROUTE,
    RULE,
    TCP_ROUTES,
    TO_SUBSET,
    delegating,
    other,
)

# code, path, words of the message, the mesh, the mesh put right
REFERENCES: dict[str, tuple[str, str, str, str, str]] = {
    "unknown host": (
        "IST0101",
        "spec.http[0].route[0].destination.host",
        "host gone.com is not a known service",
        ENTRY + ROUTE.replace("{host: web.com}", "{host: gone.com}"),
        ENTRY + ROUTE,
    ),
    "unknown host, and one like it": (
        "IST0101",
        "spec.http[0].route[0].destination.host",
        "host webb.com is not a known service; did you mean web.com?",
        ENTRY + ROUTE.replace("{host: web.com}", "{host: webb.com}"),
        ENTRY + ROUTE,
    ),
    "short name of a service in another namespace": (
        "IST0101",
        "spec.http[0].route[0].destination.host",
        "host web.default.svc.cluster.local is not a known service; did you mean web.far.svc.cluster.local?",
        ENTRY + OF_KUBERNETES.replace("default", "far") + ROUTE.replace("{host: web.com}", "{host: web}"),
        ENTRY + OF_KUBERNETES + ROUTE.replace("{host: web.com}", "{host: web}"),
    ),
    "name and namespace of a service": (
        "IST0101",
        "spec.http[0].route[0].destination.host",
        "host web.default is not a known service; did you mean web.default.svc.cluster.local?",
        ENTRY + OF_KUBERNETES + ROUTE.replace("{host: web.com}", "{host: web.default}"),
        ENTRY + OF_KUBERNETES + ROUTE.replace("{host: web.com}", "{host: web.default.svc.cluster.local}"),
    ),
    "rule for a host, and one like it": (
        "IST0174",
        "spec.host",
        "so the rule applies to nothing; did you mean web.com?",
        ENTRY + RULE.replace("host: web.com", "host: weeb.com"),
        ENTRY + RULE,
    ),
    "subset, and one like it": (
        "MZ0211",
        "spec.http[0].route[0].destination.subset",
        "which has no subset stabel (503); did you mean stable?",
        ENTRY
        + TO_SUBSET.replace("subset: v1", "subset: stabel")
        + "---"
        + RULE.replace("name: v1", "name: stable"),
        ENTRY
        + TO_SUBSET.replace("subset: v1", "subset: stable")
        + "---"
        + RULE.replace("name: v1", "name: stable"),
    ),
    "delegate, and one like it": (
        "MZ0203",
        "spec.http[0].delegate",
        "there is no VirtualService far/leav to delegate to, so this rule is dropped; did you mean far/leaf?",
        ENTRY + delegating("{name: leav, namespace: far}") + "---" + DELEGATE,
        ENTRY + delegating("{name: leaf, namespace: far}") + "---" + DELEGATE,
    ),
    "delegate in another namespace": (
        "MZ0203",
        "spec.http[0].delegate",
        "there is no VirtualService default/leaf to delegate to, so this rule is dropped; "
        "did you mean far/leaf?",
        ENTRY + delegating("{name: leaf}") + "---" + DELEGATE,
        ENTRY + delegating("{name: leaf, namespace: far}") + "---" + DELEGATE,
    ),
    "delegate, and none like it that has no hosts": (
        "MZ0203",
        "spec.http[0].delegate",
        "there is no VirtualService default/routes to delegate to, so this rule is dropped; create it",
        ENTRY + delegating("{name: routes}"),
        ENTRY + ROUTE,
    ),
    "host that is not exported": (
        "IST0101",
        "spec.http[0].route[0].destination.host",
        "is not exported to namespace default",
        other(ENTRY, "web", "far").replace("  hosts:", "  exportTo: ['.']\n  hosts:") + ROUTE,
        other(ENTRY, "web", "far") + ROUTE,
    ),
    "alias of an unknown host": (
        "IST0101",
        "spec.http[0].route[0].destination.host",
        "host web.default.svc.cluster.local stands for gone.com (mesh.yaml:11), which is not a known service",
        ENTRY + ALIAS.replace("TARGET", "gone.com") + ROUTE.replace("{host: web.com}", "{host: web}"),
        ENTRY
        + ALIAS.replace("TARGET", "web.com")
        + ROUTE.replace("{host: web.com}", "{host: web, port: {number: 80}}"),
    ),
    "unknown subset behind an alias": (
        "IST0101",
        "spec.http[0].route[0].destination.subset",
        "no DestinationRule for web.com defines subset v1",
        ENTRY + ALIAS.replace("TARGET", "web.com") + TO_SUBSET.replace("{host: web.com", "{host: web"),
        ENTRY
        + ALIAS.replace("TARGET", "web.com")
        + TO_SUBSET.replace("{host: web.com", "{host: web")
        + "---\n"
        + RULE,
    ),
    "rule for an alias": (
        "IST0174",
        "spec.host",
        "host web.default.svc.cluster.local stands for web.com, whose own rules hold",
        ENTRY + ALIAS.replace("TARGET", "web.com") + RULE.replace("host: web.com", "host: web"),
        ENTRY + ALIAS.replace("TARGET", "web.com") + RULE,
    ),
    "unknown mirror": (
        "IST0101",
        "spec.http[0].mirror.host",
        "host gone.com",
        ENTRY + ROUTE + "    mirror: {host: gone.com}\n",
        ENTRY + ROUTE + "    mirror: {host: web.com}\n",
    ),
    "unknown among several mirrors": (
        "IST0101",
        "spec.http[0].mirrors[1].destination.host",
        "host gone.com",
        ENTRY + ROUTE + "    mirrors: [{destination: {host: web.com}}, {destination: {host: gone.com}}]\n",
        ENTRY + ROUTE + "    mirrors: [{destination: {host: web.com}}]\n",
    ),
    "unknown host of a TCP route": (
        "IST0101",
        "spec.tcp[1].route[0].destination.host",
        "host gone.com",
        ENTRY + ROUTE + TCP_ROUTES.replace("OTHER", "gone.com"),
        ENTRY + ROUTE + TCP_ROUTES.replace("OTHER", "web.com"),
    ),
    "unknown host of a TLS route": (
        "IST0101",
        "spec.tls[0].route[0].destination.host",
        "host gone.com",
        ENTRY
        + ROUTE
        + "  tls: [{match: [{sniHosts: [web.com]}], route: [{destination: {host: gone.com}}]}]\n",
        ENTRY
        + ROUTE
        + "  tls: [{match: [{sniHosts: [web.com]}], route: [{destination: {host: web.com}}]}]\n",
    ),
    "unknown port": (
        "IST0101",
        "spec.http[0].route[0].destination.port",
        "has no port 81; its ports are: 80",
        ENTRY + ROUTE.replace("{host: web.com}", "{host: web.com, port: {number: 81}}"),
        ENTRY + ROUTE.replace("{host: web.com}", "{host: web.com, port: {number: 80}}"),
    ),
    "port needed": (
        "IST0112",
        "spec.http[0].route[0].destination",
        "several ports (80, 81)",
        ENTRY.replace("HTTP}]", "HTTP}, {number: 81, name: h2, protocol: HTTP}]") + ROUTE,
        ENTRY.replace("HTTP}]", "HTTP}, {number: 81, name: h2, protocol: HTTP}]")
        + ROUTE.replace("{host: web.com}", "{host: web.com, port: {number: 80}}"),
    ),
    "subset without a rule": (
        "IST0101",
        "spec.http[0].route[0].destination.subset",
        "no DestinationRule for web.com defines subset v1",
        ENTRY + TO_SUBSET,
        ENTRY + TO_SUBSET + "---" + RULE,
    ),
    "subset hidden by the client's own rule": (
        "MZ0211",
        "spec.http[0].route[0].destination.subset",
        "clients in namespace client get the DestinationRule at mesh.yaml",
        ENTRY + TO_SUBSET + "---" + RULE + "---" + other(RULE, "hides", "client").replace("v1", "v2"),
        ENTRY + TO_SUBSET + "---" + RULE,
    ),
    "empty subset": (
        "IST0173",
        "spec.subsets[0].labels",
        "no endpoint of web.com has version=v2",
        ENTRY + RULE.replace("version: v1", "version: v2"),
        ENTRY + RULE,
    ),
    "rule for nothing": (
        "IST0174",
        "spec.host",
        "host gone.com is not a known service",
        ENTRY + RULE.replace("host: web.com", "host: gone.com"),
        ENTRY + RULE.replace("host: web.com", "host: '*.com'"),
    ),
}
