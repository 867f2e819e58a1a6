"""The rules of Sidecar."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Expect = Callable[..., None]

I = "spec.ingress[0]"  # noqa: E741
E = "spec.egress[0]"
PORT = "port: {number: 80, protocol: HTTP}"
TLS_PORT = "port: {number: 443, protocol: HTTPS}"
ALL = "hosts: ['*/*']"


def ingress(fields: str) -> str:
    return f"{{ingress: [{{{fields}}}]}}"


def egress(fields: str) -> str:
    return f"{{egress: [{{{fields}}}]}}"


def hosts(*entries: str) -> str:
    return egress("hosts: [" + ", ".join(f"'{it}'" for it in entries) + "]")


def tls(fields: str) -> str:
    return ingress(f"{TLS_PORT}, tls: {{mode: SIMPLE, serverCertificate: c, privateKey: k, {fields}}}")


def outbound(fields: str) -> str:
    return f"{{outboundTrafficPolicy: {{{fields}}}}}"


ERRORS = [
    ("{}", "{inboundConnectionPool: {tcp: {}}}", "spec", "the Sidecar says nothing"),
    ("{inboundConnectionPool: {}}", outbound(""), "spec.inboundConnectionPool", "connectionPool is empty"),
    # Ingress
    (ingress("bind: 0.0.0.0"), ingress(PORT), I + ".port", "the port is missing"),
    (
        ingress("port: {number: 0}"),
        ingress("port: {number: 1}"),
        I + ".port.number",
        "0 is not a port number",
    ),
    (
        ingress("port: {number: 1, protocol: X}"),
        ingress("port: {number: 1, protocol: tcp}"),
        I + ".port.protocol",
        "is not a known protocol",
    ),
    (
        ingress("port: {number: 1, name: a_b}"),
        ingress("port: {number: 1, name: ''}"),
        I + ".port.name",
        "is not a valid port name",
    ),
    (
        ingress("port: {number: 1, targetPort: 2}"),
        ingress("port: {number: 1}, defaultEndpoint: '127.0.0.1:2'"),
        I + ".port.targetPort",
        "targetPort has no effect",
    ),
    (
        f"{{ingress: [{{{PORT}}}, {{{PORT}}}]}}",
        f"{{ingress: [{{{PORT}}}, {{{TLS_PORT}}}]}}",
        "spec.ingress[1].port.number",
        "port 80 has an earlier listener",
    ),
    (
        ingress(f"{PORT}, bind: a"),
        ingress(f"{PORT}, bind: '::1'"),
        I + ".bind",
        "leave bind out for the proxy's own",
    ),
    (
        ingress(f"{PORT}, defaultEndpoint: '10.0.0.1:80'"),
        ingress(f"{PORT}, defaultEndpoint: '[::1]:80'"),
        I + ".defaultEndpoint",
        "is not an endpoint of this workload",
    ),
    (
        ingress(f"{PORT}, defaultEndpoint: '127.0.0.1'"),
        ingress(f"{PORT}, defaultEndpoint: ':80'"),
        I + ".defaultEndpoint",
        "is not an endpoint of this workload",
    ),
    (
        ingress(f"{PORT}, defaultEndpoint: '127.0.0.1:http'"),
        ingress(f"{PORT}, defaultEndpoint: '0.0.0.0:80'"),
        I + ".defaultEndpoint",
        '"http" is not a port number',
    ),
    (
        ingress(f"{PORT}, defaultEndpoint: '127.0.0.1:0'"),
        ingress(f"{PORT}, defaultEndpoint: '127.0.0.1:1'"),
        I + ".defaultEndpoint",
        "0 is not a port number",
    ),
    (
        ingress(f"{PORT}, defaultEndpoint: 'unix://s'"),
        ingress(f"{PORT}, defaultEndpoint: 'unix:///s'"),
        I + ".defaultEndpoint",
        "names no socket",
    ),
    (
        ingress(f"{PORT}, connectionPool: {{tcp: {{maxConnections: -1}}}}"),
        ingress(f"{PORT}, connectionPool: {{tcp: {{maxConnections: 1}}}}"),
        I + ".connectionPool.tcp.maxConnections",
        "is negative",
    ),
    *(
        (tls(f"{field}: {value}"), tls(""), f"{I}.tls.{field}", f"{field} is not possible on a Sidecar")
        for field, value in (("subjectAltNames", "[a]"), ("httpsRedirect", "true"))
    ),
    (
        ingress(f"{TLS_PORT}, tls: {{mode: SIMPLE, credentialName: c}}"),
        tls(""),
        I + ".tls.credentialName",
        "credentialName is not possible",
    ),
    (
        ingress(f"{TLS_PORT}, tls: {{mode: AUTO_PASSTHROUGH}}"),
        ingress(f"{TLS_PORT}, tls: {{mode: PASSTHROUGH}}"),
        I + ".tls.mode",
        "mode AUTO_PASSTHROUGH is not possible",
    ),
    (
        ingress(f"{TLS_PORT}, tls: {{mode: ISTIO_MUTUAL}}"),
        tls(""),
        I + ".tls.mode",
        "mode ISTIO_MUTUAL is not possible",
    ),
    (
        ingress(f"{PORT}, tls: {{mode: SIMPLE, serverCertificate: c, privateKey: k}}"),
        tls(""),
        I + ".tls",
        "write protocol HTTPS or TLS",
    ),
    (
        ingress(f"{TLS_PORT}, tls: {{mode: SIMPLE, serverCertificate: c}}"),
        tls(""),
        I + ".tls.privateKey",
        "needs the certificate's key",
    ),
    # Egress
    (egress(""), hosts("./*"), E + ".hosts", "the listener has no hosts"),
    (hosts("a.com"), hosts("*/a.com"), E + ".hosts[0]", '"a.com" has no namespace'),
    (hosts("/a.com"), hosts("./a.com"), E + ".hosts[0]", "has an empty namespace"),
    (hosts("a_b/*"), hosts("a-b/*"), E + ".hosts[0]", '"a_b" is not a namespace'),
    (hosts("~a_b/*"), hosts("~a-b/*", "~/*"), E + ".hosts[0]", '"~a_b" is not a namespace'),
    (hosts("*/a"), hosts("*/a.b"), E + ".hosts[0]", '"a" is a short name'),
    (hosts("*/*a.b"), hosts("*/*.a.b"), E + ".hosts[0]", "a wildcard for a part of a label"),
    (hosts("*/10.0.0.1"), hosts("*/a.b"), E + ".hosts[0]", "its last label is a number"),
    (hosts("*/"), hosts("*/*"), E + ".hosts[0]", "the host is empty"),
    (
        f"{{egress: [{{{ALL}}}, {{{ALL}, {PORT}}}]}}",
        f"{{egress: [{{{ALL}, {PORT}}}, {{{ALL}}}]}}",
        E,
        "must be the last",
    ),
    (f"{{egress: [{{{ALL}}}, {{{ALL}}}]}}", egress(ALL), E, "must be the last, and the only one"),
    (
        f"{{egress: [{{{ALL}, {PORT}}}, {{{ALL}, {PORT}}}]}}",
        f"{{egress: [{{{ALL}, {PORT}}}, {{{ALL}, {TLS_PORT}}}]}}",
        "spec.egress[1].port.number",
        "port 80 has an earlier listener",
    ),
    (
        f"{{egress: [{{{ALL}, port: {{}}, bind: 'unix:///a'}}, {{{ALL}, port: {{}}, bind: 'unix:///a'}}]}}",
        f"{{egress: [{{{ALL}, port: {{}}, bind: 'unix:///a'}}, {{{ALL}, port: {{}}, bind: 'unix:///b'}}]}}",
        "spec.egress[1].bind",
        '"unix:///a" has an earlier listener',
    ),
    (
        egress(f"{ALL}, port: {{}}"),
        egress(f"{ALL}, port: {{}}, bind: 'unix://@a'"),
        E + ".port.number",
        "port 0 is for a unix:// bind only",
    ),
    (
        egress(f"{ALL}, port: {{}}, bind: 'unix:///a/'"),
        egress(f"{ALL}, port: {{}}, bind: 'unix:///a'"),
        E + ".bind",
        "names no socket",
    ),
    (
        egress(f"{ALL}, port: {{}}, bind: 'unix:///a', captureMode: IPTABLES"),
        egress(f"{ALL}, port: {{}}, bind: 'unix:///a', captureMode: NONE"),
        E + ".captureMode",
        "cannot be captured",
    ),
    (
        egress(f"{ALL}, port: {{number: 65536}}"),
        egress(f"{ALL}, port: {{number: 65535}}"),
        E + ".port.number",
        "65536 is not a port",
    ),
    (
        egress(f"{ALL}, {PORT}, bind: a"),
        egress(f"{ALL}, {PORT}, bind: 127.0.0.1"),
        E + ".bind",
        "not an IP address",
    ),
    (
        egress(f"{ALL}, port: {{number: 1, targetPort: 2}}"),
        egress(f"{ALL}, port: {{number: 1}}"),
        E + ".port.targetPort",
        "targetPort has no effect",
    ),
    # Outbound
    (
        outbound("egressProxy: {host: a.b, port: {number: 1}}"),
        outbound("mode: ALLOW_ANY, egressProxy: {host: a.b, port: {number: 1}}"),
        "spec.outboundTrafficPolicy.egressProxy",
        "not possible with mode REGISTRY_ONLY",
    ),
    (
        outbound("mode: ALLOW_ANY, egressProxy: {host: '*.b', port: {number: 1}}"),
        outbound("mode: ALLOW_ANY, egressProxy: {host: a.b, port: {number: 1}}"),
        "spec.outboundTrafficPolicy.egressProxy.host",
        "is invalid",
    ),
    (
        outbound("mode: ALLOW_ANY, egressProxy: {host: a.b}"),
        outbound("mode: ALLOW_ANY, egressProxy: {host: a.b, port: {number: 1}}"),
        "spec.outboundTrafficPolicy.egressProxy.port",
        "is missing",
    ),
    (
        outbound("mode: ALLOW_ANY, egressProxy: {host: a.b, subset: a_b, port: {number: 1}}"),
        outbound("mode: ALLOW_ANY, egressProxy: {host: a.b, subset: v1, port: {number: 1}}"),
        "spec.outboundTrafficPolicy.egressProxy.subset",
        "is not a valid name of a subset",
    ),
    (
        f"{{workloadSelector: {{labels: {{a: '*'}}}}, egress: [{{{ALL}}}]}}",
        f"{{workloadSelector: {{labels: {{a: b}}}}, egress: [{{{ALL}}}]}}",
        "spec.workloadSelector.labels.a",
        "the selector has a wildcard",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), ERRORS)
def test_errors(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("Sidecar", bad, good, path, words)


WARNINGS = [
    (
        f"{{workloadSelector: {{}}, egress: [{{{ALL}}}]}}",
        egress(ALL),
        "spec.workloadSelector",
        "the selector has no labels",
        "IST0133",
    ),
    (hosts("a/b.c", "a/b.c"), hosts("a/b.c", "a/d.c"), E + ".hosts[1]", "cover the same hosts", "IST0133"),
    (hosts("a/b.c", "a/*"), hosts("a/b.c", "d/*"), E + ".hosts[1]", "cover the same hosts", "IST0133"),
    (hosts("./*", "shop/a.b"), hosts("./*", "bar/a.b"), E + ".hosts[1]", "cover the same hosts", "IST0133"),
    (
        hosts("*/*", "a/b.c"),
        hosts("*/*", "~a/b.c"),
        E + ".hosts",
        '"*/*" covers all hosts already',
        "IST0133",
    ),
    (
        ingress("port: {number: 1, protocol: TCP}, connectionPool: {http: {}}"),
        ingress("port: {number: 1, protocol: HTTP2}, connectionPool: {http: {}}"),
        I + ".connectionPool.http",
        "http has no effect on a port of TCP",
        "IST0133",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words", "code"), WARNINGS)
def test_warnings(expect: Expect, bad: str, good: str, path: str, words: str, code: str) -> None:
    expect("Sidecar", bad, good, path, words, "warning", code)
