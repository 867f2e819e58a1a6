"""The rules of Gateway, and of the TLS of servers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.diagnostics import Diagnostic

Validate = Callable[..., list[Diagnostic]]
Expect = Callable[..., None]

PORT = "port: {number: 443, name: https, protocol: HTTPS}"
FILES = "serverCertificate: c, privateKey: k"
S = "spec.servers[0]"
T = S + ".tls"


def server(fields: str) -> str:
    return f"{{servers: [{{{fields}}}]}}"


def plain(fields: str, port: str = "number: 80, name: http, protocol: HTTP") -> str:
    return server(f"hosts: ['*'], port: {{{port}}}, {fields}".rstrip(", "))


def host(text: str) -> str:
    return server(f"hosts: ['{text}'], port: {{number: 80, name: http, protocol: HTTP}}")


def port(fields: str) -> str:
    return server(f"hosts: ['*'], port: {{{fields}}}")


def tls(fields: str) -> str:
    return server(f"hosts: ['*'], {PORT}, tls: {{{fields}}}")


ERRORS = [
    ("{}", plain(""), "spec.servers", "the Gateway has no servers"),
    (
        server("port: {number: 80, name: http, protocol: HTTP}"),
        plain(""),
        S + ".hosts",
        "the server has no hosts",
    ),
    # Hosts
    (host("a"), host("a.b"), S + ".hosts[0]", '"a" is a short name'),
    (host("a_b.c"), host("*"), S + ".hosts[0]", "is invalid"),
    (host("*a.com"), host("*.a.com"), S + ".hosts[0]", "a wildcard for a part of a label"),
    (host("a_b/a.com"), host("ns/a.com"), S + ".hosts[0]", '"a_b" is not a namespace'),
    (host("/a.com"), host("./a.com"), S + ".hosts[0]", '"" is not a namespace'),
    (host("*/"), host("*/10.0.0.1"), S + ".hosts[0]", "the host is empty"),
    (host("~/a.com"), host("*/*"), S + ".hosts[0]", '"~" is not a namespace'),
    # Ports
    (server("hosts: ['*']"), plain(""), S + ".port", "the port is missing"),
    (
        port("number: 0, name: http, protocol: HTTP"),
        plain("bind: unix:///run/s", "number: 0, name: http, protocol: HTTP"),
        S + ".port.number",
        "0 is not a port number",
    ),
    (port("number: 80, name: http"), plain(""), S + ".port.protocol", "the port has no protocol"),
    (
        port("number: 80, name: http, protocol: SPDY"),
        plain(""),
        S + ".port.protocol",
        '"SPDY" is not a known',
    ),
    (
        port("number: 80, protocol: HTTP"),
        port("number: 80, name: a_b, protocol: http"),
        S + ".port.name",
        "no name",
    ),
    (
        port("number: 80, name: http, protocol: HTTP, targetPort: 8080"),
        plain(""),
        S + ".port.targetPort",
        "targetPort has no effect",
    ),
    (
        "{servers: [{hosts: [a.b], port: {number: 80, name: h, protocol: HTTP}},"
        " {hosts: [a.b], port: {number: 81, name: h, protocol: HTTP}}]}",
        "{servers: [{hosts: [a.b], port: {number: 80, name: h, protocol: HTTP}},"
        " {hosts: [a.b], port: {number: 80, name: i, protocol: HTTP}}]}",
        "spec.servers[1].port.name",
        '"h" names another port',
    ),
    (plain("bind: localhost"), plain("bind: '::1'"), S + ".bind", '"localhost" is not an IP address'),
    (
        plain("bind: unix:///run/s"),
        plain("bind: unix://@s", "number: 0, name: http, protocol: HTTP"),
        S + ".port.number",
        "write number 0",
    ),
    (
        plain("bind: unix://run/s", "number: 0, name: http, protocol: HTTP"),
        plain("bind: unix:///run/s", "number: 0, name: http, protocol: HTTP"),
        S + ".bind",
        "names no socket",
    ),
    # Protocol and TLS
    (server(f"hosts: ['*'], {PORT}"), tls("mode: PASSTHROUGH"), T, "the server is HTTPS but has no tls"),
    (
        plain("tls: {mode: PASSTHROUGH}", "number: 1, name: t, protocol: TCP"),
        plain("tls: {mode: PASSTHROUGH}", "number: 1, name: t, protocol: TLS"),
        T,
        "the server is TCP and cannot have tls",
    ),
    (
        plain("tls: {httpsRedirect: true, mode: SIMPLE, credentialName: c}"),
        plain("tls: {httpsRedirect: true}"),
        T,
        "where tls may hold just httpsRedirect",
    ),
    (
        tls("mode: SIMPLE, credentialName: c, verifyCertificateSpki: [abc=]"),
        tls("mode: SIMPLE, credentialName: c, verifyCertificateSpki: [" + "a" * 43 + "=]"),
        T + ".verifyCertificateSpki[0]",
        '"abc=" is not a hash of a public key',
    ),
    (
        tls("mode: SIMPLE, credentialName: c, verifyCertificateHash: [abc]"),
        tls("mode: SIMPLE, credentialName: c, verifyCertificateHash: [" + "ab" * 32 + "]"),
        T + ".verifyCertificateHash[0]",
        '"abc" is not a hash of a certificate',
    ),
    # Modes and certificates
    (
        tls("mode: SIMPLE, serverCertificate: c"),
        tls(f"mode: SIMPLE, {FILES}"),
        T + ".privateKey",
        "needs the cert",
    ),
    (
        tls("mode: SIMPLE, privateKey: k"),
        tls("mode: SIMPLE, credentialName: c"),
        T + ".serverCertificate",
        "needs a",
    ),
    (
        tls(f"mode: MUTUAL, {FILES}"),
        tls(f"mode: MUTUAL, {FILES}, caCertificates: a"),
        T + ".caCertificates",
        "mode MUTUAL needs the CA",
    ),
    (
        tls(f"mode: OPTIONAL_MUTUAL, {FILES}"),
        tls("mode: OPTIONAL_MUTUAL, credentialNames: [a, b]"),
        T + ".caCertificates",
        "mode OPTIONAL_MUTUAL needs",
    ),
    (
        tls(f"mode: SIMPLE, {FILES}, credentialName: c"),
        tls("mode: SIMPLE, serverCertificate: c, credentialName: c"),
        T,
        "the certificate is given more than once, by serverCertificate and privateKey, credentialName",
    ),
    (
        tls("mode: SIMPLE, credentialNames: [a], credentialName: c"),
        tls("mode: SIMPLE, credentialNames: [a]"),
        T,
        "more than once",
    ),
    (
        tls("mode: SIMPLE, tlsCertificates: [{serverCertificate: c}]"),
        tls(f"mode: SIMPLE, tlsCertificates: [{{{FILES}}}]"),
        T + ".tlsCertificates[0].privateKey",
        "needs the certificate's key",
    ),
    (
        tls(f"mode: SIMPLE, {FILES}, caCrl: l"),
        tls(f"mode: MUTUAL, {FILES}, caCertificates: a, caCrl: l"),
        T + ".caCrl",
        "mode SIMPLE verifies no clients",
    ),
    *(
        (
            tls(f"mode: ISTIO_MUTUAL, {field}: {value}"),
            tls("mode: ISTIO_MUTUAL"),
            f"{T}.{field}",
            "own certificate",
        )
        for field, value in (
            ("serverCertificate", "c"),
            ("privateKey", "k"),
            ("caCertificates", "a"),
            ("credentialName", "c"),
            ("credentialNames", "[c]"),
            ("tlsCertificates", "[{}]"),
        )
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), ERRORS)
def test_errors(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("Gateway", bad, good, path, words)


WARNINGS = [
    (
        tls("mode: PASSTHROUGH, httpsRedirect: true"),
        plain("tls: {httpsRedirect: true}"),
        T + ".httpsRedirect",
        "httpsRedirect has no effect on a server of HTTPS",
    ),
    (
        tls("mode: SIMPLE, credentialName: c, cipherSuites: [RC4]"),
        tls("mode: SIMPLE, credentialName: c, cipherSuites: [AES128-SHA, '-ALL', ALL]"),
        T + ".cipherSuites[0]",
        '"RC4" is not a known cipher suite',
    ),
    (
        tls("mode: SIMPLE, credentialName: c, cipherSuites: [AES128-SHA, AES128-SHA]"),
        tls("mode: SIMPLE, credentialName: c, cipherSuites: [AES128-SHA, AES256-SHA]"),
        T + ".cipherSuites[1]",
        "is given twice",
    ),
    (
        tls("mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_1"),
        tls("mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_1, cipherSuites: [AES128-SHA]"),
        T + ".minProtocolVersion",
        "TLSV1_1 has just cipher suites that are off by default",
    ),
    (
        tls("mode: AUTO_PASSTHROUGH, credentialName: c"),
        tls("mode: AUTO_PASSTHROUGH"),
        T,
        "mode AUTO_PASSTHROUGH ignores certificates",
    ),
    (
        tls(f"mode: SIMPLE, tlsCertificates: [{{{FILES}}}, {{{FILES}}}, {{{FILES}}}]"),
        tls(f"mode: SIMPLE, tlsCertificates: [{{{FILES}}}, {{{FILES}}}]"),
        T + ".tlsCertificates",
        "only two certificates can be served",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), WARNINGS)
def test_warnings(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("Gateway", bad, good, path, words, "warning", "IST0133")


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (plain("defaultEndpoint: 127.0.0.1:80"), S + ".defaultEndpoint"),
    ],
)
def test_fields_without_effect(expect: Expect, spec: str, path: str) -> None:
    expect("Gateway", spec, plain(""), path, "takes no effect", "warning", "MZ0001")


def test_a_revocation_list_beside_a_credential(validate: Validate) -> None:
    found = validate("Gateway", tls("mode: PASSTHROUGH, credentialName: c, caCrl: l"))

    assert [(it.severity.value, it.path) for it in found] == [("warning", T), ("error", T + ".caCrl")]
    assert validate("Gateway", tls("mode: SIMPLE, credentialName: c, caCrl: l")) == []


def test_the_name_is_a_dns_label(validate: Validate) -> None:
    (found,) = validate("Gateway", plain(""), name="a.b")

    assert found.path == "metadata.name"
    assert '"a.b" is not a valid Gateway\'s name' in found.message


@pytest.mark.parametrize("name", ["istio.io/dry-run", "internal.istio.io/parents"])
def test_annotations_that_are_refused(validate: Validate, name: str) -> None:
    (found,) = validate("Gateway", plain(""), annotations={name: "true"})

    assert (found.severity.value, found.path) == ("error", f"metadata.annotations[{name}]")
