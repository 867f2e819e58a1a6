"""The rules of VirtualService: a row for each, with what breaks it and a twin that does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mizzen.config.diagnostics import Diagnostic

Validate = Callable[..., list[Diagnostic]]
Expect = Callable[..., None]

TO_A = "route: [{destination: {host: a.com}}]"
HTTP = f"http: [{{{TO_A}}}]"
TLS = "tls: [{match: [{sniHosts: [a.com]}], " + TO_A + "}]"
TCP = f"tcp: [{{{TO_A}}}]"


def whole(spec: str) -> str:
    return "{" + spec + "}"


def route(fields: str) -> str:
    """A VirtualService with one HTTP route that goes to a.com and has `fields`."""
    return f"{{hosts: [a.com], http: [{{{TO_A}, {fields}}}]}}"


def only(fields: str) -> str:
    """A VirtualService with one HTTP route that has just `fields`."""
    return f"{{hosts: [a.com], http: [{{{fields}}}]}}"


def match(fields: str) -> str:
    """A VirtualService with one HTTP route to a.com, with one match."""
    return route(f"match: [{{{fields}}}]")


H = "spec.http[0]"
M = H + ".match[0]"
BIG = "x" * (100 * 1024 + 1)
HUGE = "x" * (1024 * 1024 + 1)

WHOLE = [
    # Delegates, hosts, gateways
    (f"gateways: [g], {HTTP}", HTTP, "spec.gateways", "a VirtualService without hosts is a delegate"),
    (f"{HTTP}, {TCP}", HTTP, "spec.tcp", "which has no tcp"),
    (f"hosts: ['*'], {HTTP}", f"hosts: ['*'], gateways: [g], {HTTP}", "spec.hosts[0]", "on gateways only"),
    (
        f"hosts: ['*'], gateways: [g, mesh], {HTTP}",
        f"hosts: ['*.com'], gateways: [g, mesh], {HTTP}",
        "spec.hosts[0]",
        "on gateways only",
    ),
    (f"hosts: [a_b.com], {HTTP}", f"hosts: [a-b.com], {HTTP}", "spec.hosts[0]", 'its label "a_b" is invalid'),
    (f"hosts: [''], {HTTP}", f"hosts: [10.0.0.1], {HTTP}", "spec.hosts[0]", "the host is empty"),
    (f"hosts: [a.1], {HTTP}", f"hosts: [a.1.], {HTTP}", "spec.hosts[0]", "its last label is a number"),
    (f"hosts: [b.*.a], {HTTP}", f"hosts: ['*b.a'], {HTTP}", "spec.hosts[0]", 'its label "*" is invalid'),
    (f"hosts: [a.com, a.com], {HTTP}", f"hosts: [a.com, b.com], {HTTP}", "spec.hosts[1]", "is given twice"),
    (
        f"hosts: ['*.com', a.com], {HTTP}",
        f"hosts: ['*.org', a.com], {HTTP}",
        "spec.hosts[1]",
        '"a.com" and "*.com" cover the same hosts',
    ),
    ("hosts: [a.com]", f"hosts: [a.com], {HTTP}", "spec", "no routes"),
    (
        f"hosts: [a.com], gateways: [x/y/z], {HTTP}",
        f"hosts: [a.com], gateways: [x/y], {HTTP}",
        "spec.gateways[0]",
        "is not a valid name of a Gateway",
    ),
    (
        f"hosts: [a.com], gateways: [a.b/y], {HTTP}",
        f"hosts: [a.com], gateways: [y, ./y], {HTTP}",
        "spec.gateways[0]",
        "is not a valid namespace",
    ),
    (
        f"hosts: [a.com], exportTo: [a_b], {HTTP}",
        f"hosts: [a.com], exportTo: [a-b], {HTTP}",
        "spec.exportTo[0]",
        "is not a namespace",
    ),
    (
        f"hosts: [a.com], exportTo: ['~'], {HTTP}",
        f"hosts: [a.com], exportTo: [.], {HTTP}",
        "spec.exportTo[0]",
        '"~" is for services only',
    ),
    (
        f"hosts: [a.com], exportTo: [., shop], {HTTP}",
        f"hosts: [a.com], exportTo: [., b], {HTTP}",
        "spec.exportTo[1]",
        '"shop" is given twice (as ".")',
    ),
    (
        f"hosts: [a.com], exportTo: [a, '*'], {HTTP}",
        f"hosts: [a.com], exportTo: ['*'], {HTTP}",
        "spec.exportTo",
        '"*" exports to everybody',
    ),
    # Delegation
    (
        "http: [{delegate: {name: b}, " + TO_A + "}]",
        HTTP,
        H + ".delegate",
        "a delegate cannot delegate in its turn",
    ),
    # TLS and TCP
    (f"hosts: [a.com], tls: [{{{TO_A}}}]", f"hosts: [a.com], {TLS}", "spec.tls[0].match", "has no match"),
    (
        f"hosts: [a.com], tls: [{{match: [{{}}], {TO_A}}}]",
        f"hosts: [a.com], {TLS}",
        "spec.tls[0].match[0].sniHosts",
        "has no sniHosts",
    ),
    (
        f"hosts: [b.com], {TLS}",
        f"hosts: ['*.com'], {TLS}",
        "spec.tls[0].match[0].sniHosts[0]",
        "is not among the hosts",
    ),
    (
        "hosts: [a.com], tls: [{match: [{sniHosts: [a.com]}]}]",
        f"hosts: [a.com], {TLS}",
        "spec.tls[0].route",
        "goes nowhere",
    ),
    (
        "hosts: [a.com], tls: "
        f"[{{match: [{{sniHosts: [a.com], destinationSubnets: [1.0.0.0/33]}}], {TO_A}}}]",
        f"hosts: [a.com], tls: [{{match: [{{sniHosts: [a.com], destinationSubnets: [1.0.0.1/8]}}], {TO_A}}}]",
        "spec.tls[0].match[0].destinationSubnets[0]",
        "is not a CIDR block",
    ),
    ("hosts: [a.com], tcp: [{}]", f"hosts: [a.com], {TCP}", "spec.tcp[0].route", "goes nowhere"),
    (
        f"hosts: [a.com], tcp: [{{match: [{{destinationSubnets: [a]}}], {TO_A}}}]",
        f"hosts: [a.com], tcp: [{{match: [{{destinationSubnets: ['2001:db8::/32', 10.0.0.1]}}], {TO_A}}}]",
        "spec.tcp[0].match[0].destinationSubnets[0]",
        "is not an IP address",
    ),
    (
        f"hosts: [a.com], tcp: [{{match: [{{port: 70000}}], {TO_A}}}]",
        f"hosts: [a.com], tcp: [{{match: [{{port: 65535}}], {TO_A}}}]",
        "spec.tcp[0].match[0].port",
        "70000 is not a port number",
    ),
    (
        f"hosts: [a.com], tcp: [{{match: [{{sourceLabels: {{app: -}}}}], {TO_A}}}]",
        f"hosts: [a.com], tcp: [{{match: [{{sourceLabels: {{app: ''}}}}], {TO_A}}}]",
        "spec.tcp[0].match[0].sourceLabels.app",
        "is not a label's value",
    ),
    (
        f"hosts: [a.com], gateways: [g], tls: [{{match: [{{sniHosts: [outbound_.80]}}], {TO_A}}}]",
        "hosts: [outbound_.80_._.a.com], gateways: [g], "
        f"tls: [{{match: [{{sniHosts: [outbound_.80_._.a.com]}}], {TO_A}}}]",
        "spec.tls[0].match[0].sniHosts[0]",
        "is not a generated SNI name",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), WHOLE)
def test_services(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("VirtualService", whole(bad), whole(good), path, words)


ROUTES = [
    # Actions
    (only("name: x"), only(TO_A), H, "the route goes nowhere"),
    (route("redirect: {uri: /b}"), only("redirect: {uri: /b}"), H, "redirect and route exclude each other"),
    (
        route("directResponse: {status: 200}"),
        only("directResponse: {status: 200}"),
        H,
        "directResponse and route",
    ),
    (
        only("redirect: {uri: /b}, directResponse: {status: 200}"),
        only("redirect: {uri: /b}"),
        H,
        "redirect and directResponse exclude",
    ),
    (
        only("redirect: {uri: /b}, fault: {abort: {httpStatus: 500}}"),
        route("fault: {abort: {httpStatus: 500}}"),
        H + ".fault",
        "fault and redirect exclude",
    ),
    (
        only("directResponse: {status: 200}, rewrite: {uri: /b}"),
        route("rewrite: {uri: /b}"),
        H + ".rewrite",
        "rewrite and directResponse exclude",
    ),
    (route("delegate: {name: b}"), only("delegate: {name: b}"), H + ".route", "route and delegate exclude"),
    (
        only("delegate: {name: b}, redirect: {uri: /}"),
        only("delegate: {name: b}"),
        H + ".redirect",
        "redirect and",
    ),
    (
        route("mirror: {host: b}, mirrors: [{destination: {host: b}}]"),
        route("mirror: {host: b}"),
        H + ".mirrors",
        "mirrors and mirror exclude",
    ),
    # Destinations
    (only("route: [{}]"), only(TO_A), H + ".route[0].destination", "the destination is missing"),
    (
        only("route: [{destination: {host: '*'}}]"),
        only("route: [{destination: {host: '*.a'}}]"),
        H + ".route[0].destination.host",
        '"*" is no destination',
    ),
    (
        only("route: [{destination: {host: ''}}]"),
        only(TO_A),
        H + ".route[0].destination.host",
        "the host is empty",
    ),
    (
        only("route: [{destination: {host: a, subset: v_1}}]"),
        only("route: [{destination: {host: a, subset: v-1}}]"),
        H + ".route[0].destination.subset",
        "is not a valid name of a subset",
    ),
    (
        only("route: [{destination: {host: a, port: {number: 0}}}]"),
        only("route: [{destination: {host: a, port: {number: 80}}}]"),
        H + ".route[0].destination.port.number",
        "0 is not a port number",
    ),
    (
        only("route: [{destination: {host: a}, weight: -1}]"),
        only("route: [{destination: {host: a}, weight: 7}]"),
        H + ".route[0].weight",
        "-1 is not a weight",
    ),
    (
        only("route: [{destination: {host: a}}, {destination: {host: b}}]"),
        only("route: [{destination: {host: a}, weight: 1}, {destination: {host: b}, weight: 0}]"),
        H + ".route",
        "the weights of all destinations are 0",
    ),
    (
        only("route: [{destination: {host: a}, headers: {response: {set: {':path': /}}}}]"),
        only("route: [{destination: {host: a}, headers: {response: {set: {x: /}}}}]"),
        H + ".route[0].headers.response.set.:path",
        "it is a pseudo-header",
    ),
    (route("mirror: {host: '*'}"), route("mirror: {host: b}"), H + ".mirror.host", '"*" is no destination'),
    (
        route("mirrors: [{percentage: {value: 1}}]"),
        route("mirrors: [{destination: {host: b}}]"),
        H + ".mirrors[0].destination",
        "the destination is missing",
    ),
    (
        route("mirrorPercentage: {value: 100.1}"),
        route("mirror: {host: b}, mirrorPercentage: {value: 0.00001}"),
        H + ".mirrorPercentage.value",
        "100.1 is not a percentage",
    ),
    (
        route("mirrors: [{destination: {host: b}, percentage: {value: -1}}]"),
        route("mirrors: [{destination: {host: b}, percentage: {value: 0}}]"),
        H + ".mirrors[0].percentage.value",
        "-1 is not a percentage",
    ),
    # Headers
    (
        route("headers: {request: {set: {':path': /}}}"),
        route("headers: {request: {set: {':authority': b}}}"),
        H + ".headers.request.set.:path",
        "for the path there is rewrite",
    ),
    (
        route("headers: {request: {remove: [host]}}"),
        route("headers: {request: {remove: [hosts]}}"),
        H + ".headers.request.remove[0]",
        '"host" cannot be changed here',
    ),
    (
        route("headers: {response: {add: {Host: b}}}"),
        route("headers: {request: {add: {Host: b}}}"),
        H + ".headers.response.add.Host",
        '"Host" cannot be changed here',
    ),
    (
        route("headers: {response: {remove: ['']}}"),
        route("headers: {response: {remove: [x]}}"),
        H + ".headers.response.remove[0]",
        "the header's name is empty",
    ),
    (
        route("headers: {request: {set: {x: '50%'}}}"),
        route("headers: {request: {set: {x: '50%%'}}}"),
        H + ".headers.request.set.x",
        "the % at position 3 begins no command",
    ),
    (
        route(r'headers: {request: {set: {x: "a\nb"}}}'),
        route(r'headers: {request: {set: {x: "a\tb"}}}'),
        H + ".headers.request.set.x",
        "the value has a control character",
    ),
    (
        route("rewrite: {authority: b}, headers: {request: {set: {host: c}}}"),
        route("rewrite: {authority: b}, headers: {request: {set: {x: c}}}"),
        H + ".headers.request.set.host",
        "the authority is changed by rewrite.authority already",
    ),
    (
        route("headers: {request: {set: {host: c}, add: {':authority': d}}}"),
        route("headers: {request: {set: {host: c}}}"),
        H + ".headers.request.add.:authority",
        "changed by headers.request.set.host already",
    ),
    # Redirects, rewrites, direct responses
    (
        only("redirect: {uri: /b, prefixRewrite: /c}"),
        only("redirect: {prefixRewrite: /c}"),
        H + ".redirect.prefixRewrite",
        "prefixRewrite and uri exclude",
    ),
    (
        only("match: [{uri: {exact: /}}], redirect: {prefixRewrite: /c}"),
        only("match: [{uri: {prefix: /}}, {port: 80}], redirect: {prefixRewrite: /c}"),
        H + ".redirect.prefixRewrite",
        "prefixRewrite replaces a prefix",
    ),
    (
        only("redirect: {redirectCode: 302}"),
        only("redirect: {derivePort: FROM_REQUEST_PORT}"),
        H + ".redirect",
        "the redirect leads to where the request came",
    ),
    (
        only("redirect: {uri: /b, redirectCode: 200}"),
        only("redirect: {uri: /b, redirectCode: 308}"),
        H + ".redirect.redirectCode",
        "200 is not a redirect",
    ),
    (
        only("redirect: {scheme: ftp}"),
        only("redirect: {scheme: https}"),
        H + ".redirect.scheme",
        '"ftp" is not a scheme',
    ),
    (
        only("redirect: {port: 70000}"),
        only("redirect: {port: 443}"),
        H + ".redirect.port",
        "70000 is not a port",
    ),
    (
        only("directResponse: {status: 600}"),
        only("directResponse: {status: 599}"),
        H + ".directResponse.status",
        "600 is not a status",
    ),
    (
        only(f"directResponse: {{status: 200, body: {{string: {HUGE}}}}}"),
        only(f"directResponse: {{status: 200, body: {{string: {BIG[1:]}}}}}"),
        H + ".directResponse.body",
        "at most 1048576 are possible",
    ),
    (
        route("rewrite: {uri: /b, uriRegexRewrite: {match: a, rewrite: b}}"),
        route("rewrite: {uriRegexRewrite: {match: a, rewrite: b}}"),
        H + ".rewrite.uriRegexRewrite",
        "uriRegexRewrite and uri exclude",
    ),
    (route("rewrite: {}"), route("rewrite: {authority: b}"), H + ".rewrite", "the rewrite is empty"),
    (
        route("rewrite: {uriRegexRewrite: {rewrite: b}}"),
        route("rewrite: {uriRegexRewrite: {match: a, rewrite: b}}"),
        H + ".rewrite.uriRegexRewrite.match",
        "the regular expression is empty",
    ),
    (
        route("rewrite: {uriRegexRewrite: {match: a}}"),
        route("rewrite: {uriRegexRewrite: {match: a, rewrite: b}}"),
        H + ".rewrite.uriRegexRewrite.rewrite",
        "the replacement is missing",
    ),
    (
        route("rewrite: {uriRegexRewrite: {match: '(?=a)', rewrite: b}}"),
        route("rewrite: {uriRegexRewrite: {match: '(?i)a', rewrite: b}}"),
        H + ".rewrite.uriRegexRewrite.match",
        "is not a regular expression of RE2",
    ),
    *(
        (only(f'{bad}: "/a\\n"}}'), only(f"{bad}: /a}}"), H + path, "has a line break")
        for bad, path in (
            ("redirect: {uri", ".redirect.uri"),
            ("redirect: {authority", ".redirect.authority"),
            ("redirect: {prefixRewrite", ".redirect.prefixRewrite"),
            (TO_A + ", rewrite: {uri", ".rewrite.uri"),
            (TO_A + ", rewrite: {authority", ".rewrite.authority"),
        )
    ),
    (
        route(r'rewrite: {uriRegexRewrite: {match: a, rewrite: "\0"}}'),
        route("rewrite: {uriRegexRewrite: {match: a, rewrite: b}}"),
        H + ".rewrite.uriRegexRewrite.rewrite",
        "has a line break or a NUL character",
    ),
    (
        route(r'headers: {request: {remove: ["x\n"]}}'),
        route("headers: {request: {remove: [x]}}"),
        H + ".headers.request.remove[0]",
        "has a line break",
    ),
    # Faults
    (route("fault: {}"), route("fault: {delay: {fixedDelay: 1s}}"), H + ".fault", "the fault is empty"),
    (
        route("fault: {abort: {httpStatus: 500, percentage: {value: 0.00001}}}"),
        route("fault: {abort: {httpStatus: 500, percentage: {value: 0.0001}}}"),
        H + ".fault.abort.percentage.value",
        "too small a percentage",
    ),
    (
        route("fault: {delay: {fixedDelay: 1s, percentage: {value: 101}}}"),
        route("fault: {delay: {fixedDelay: 1s, percentage: {value: 100}}}"),
        H + ".fault.delay.percentage.value",
        "101 is not a percentage",
    ),
    (
        route("fault: {abort: {httpStatus: 99}}"),
        route("fault: {abort: {httpStatus: 599}}"),
        H + ".fault.abort.httpStatus",
        "99 is not a status",
    ),
    (
        route("fault: {abort: {grpcStatus: NOT-FOUND}}"),
        route("fault: {abort: {grpcStatus: NOT_FOUND}}"),
        H + ".fault.abort.grpcStatus",
        '"NOT-FOUND" is not a status of gRPC',
    ),
    (
        route("fault: {abort: {http2Error: REFUSED_STREAM}}"),
        route("fault: {abort: {httpStatus: 500}}"),
        H + ".fault.abort.http2Error",
        "http2Error is not possible",
    ),
    (
        route("fault: {delay: {fixedDelay: 0.5ms}}"),
        route("fault: {delay: {fixedDelay: 1ms}}"),
        H + ".fault.delay.fixedDelay",
        "0.0005s is too short; write at least 1ms",
    ),
    (
        route("fault: {delay: {exponentialDelay: 1s}}"),
        route("fault: {delay: {fixedDelay: 1s}}"),
        H + ".fault.delay.exponentialDelay",
        "exponentialDelay is not possible",
    ),
    # CORS
    (
        route("corsPolicy: {allowOrigins: [{exact: ''}]}"),
        route("corsPolicy: {allowOrigins: [{exact: '*'}]}"),
        H + ".corsPolicy.allowOrigins[0]",
        "the origin is empty",
    ),
    (
        route("corsPolicy: {allowOrigins: [{regex: '*'}]}"),
        route("corsPolicy: {allowOrigins: [{regex: '.*'}]}"),
        H + ".corsPolicy.allowOrigins[0].regex",
        "is not a regular expression of RE2",
    ),
    (
        route("corsPolicy: {allowMethods: [get]}"),
        route("corsPolicy: {allowMethods: [GET, '*']}"),
        H + ".corsPolicy.allowMethods[0]",
        '"get" is not a method',
    ),
    (
        route("corsPolicy: {allowHeaders: ['a b']}"),
        route("corsPolicy: {allowHeaders: ['*', a.b]}"),
        H + ".corsPolicy.allowHeaders[0]",
        "is not a header's name",
    ),
    (
        route("corsPolicy: {exposeHeaders: ['']}"),
        route("corsPolicy: {exposeHeaders: [x]}"),
        H + ".corsPolicy.exposeHeaders[0]",
        "is not a header's name",
    ),
    (
        route("corsPolicy: {maxAge: 1500ms}"),
        route("corsPolicy: {maxAge: 24h}"),
        H + ".corsPolicy.maxAge",
        "browsers take whole seconds",
    ),
    (
        route("corsPolicy: {maxAge: 0s}"),
        route("corsPolicy: {maxAge: 1s}"),
        H + ".corsPolicy.maxAge",
        "too short",
    ),
    # Retries and timeout
    (
        route("retries: {attempts: -1}"),
        route("retries: {attempts: 0}"),
        H + ".retries.attempts",
        "-1 is negative",
    ),
    (
        route("retries: {perTryTimeout: 1s}"),
        route("retries: {attempts: 1, perTryTimeout: 1s}"),
        H + ".retries.perTryTimeout",
        "attempts is 0",
    ),
    (
        route("retries: {attempts: 0, retryOn: 5xx}"),
        route("retries: {attempts: 1, retryOn: 5xx}"),
        H + ".retries.retryOn",
        "attempts is 0",
    ),
    (
        route("retries: {attempts: 0, retryRemoteLocalities: false}"),
        route("retries: {attempts: 1, retryRemoteLocalities: false}"),
        H + ".retries.retryRemoteLocalities",
        "attempts is 0",
    ),
    (
        route("retries: {attempts: 1, retryOn: 'reset,5XX'}"),
        route("retries: {attempts: 1, retryOn: 'reset,5xx,503'}"),
        H + ".retries.retryOn",
        '"5XX" is not a condition',
    ),
    (
        route("retries: {attempts: 1, retryOn: '799'}"),
        route("retries: {attempts: 1, retryOn: '429'}"),
        H + ".retries.retryOn",
        '"799" is not a condition',
    ),
    (
        route("retries: {attempts: 1, retryOn: 'reset, 5xx'}"),
        route("retries: {attempts: 1, retryOn: 'reset,5xx'}"),
        H + ".retries.retryOn",
        '" 5xx" has blanks around it',
    ),
    (
        route("retries: {attempts: 1, backoff: 1.5ms}"),
        route("retries: {attempts: 1, backoff: 25ms}"),
        H + ".retries.backoff",
        "0.0015s is too fine; write whole milliseconds",
    ),
    (
        route("retries: {attempts: 1, perTryTimeout: -1s}"),
        route("retries: {attempts: 1, perTryTimeout: 1s}"),
        H + ".retries.perTryTimeout",
        "-1s is too short",
    ),
    (
        route("timeout: 0s"),
        route("timeout: 10s"),
        H + ".timeout",
        "write at least 1ms, or leave it out for none",
    ),
    # Matches
    (
        match("uri: {regex: ''}"),
        match("uri: {prefix: ''}"),
        M + ".uri.regex",
        "the regular expression is empty",
    ),
    (match("uri: {regex: '/('}"), match("uri: {regex: '/(a)'}"), M + ".uri.regex", "missing )"),
    (
        match("uri: {regex: " + "a" * 1025 + "}"),
        match("uri: {regex: " + "a" * 1024 + "}"),
        M + ".uri.regex",
        "has 1025 bytes; at most 1024",
    ),
    (
        match("scheme: {prefix: ''}"),
        match("scheme: {exact: ''}"),
        M + ".scheme.prefix",
        "the prefix is empty",
    ),
    (match("method: {regex: '+'}"), match("method: {regex: 'G+'}"), M + ".method.regex", "RE2"),
    (
        match("authority: {prefix: ''}"),
        match("authority: {prefix: a}"),
        M + ".authority.prefix",
        "prefix is empty",
    ),
    (
        match("headers: {x: {prefix: ''}}"),
        match("headers: {x: {}}"),
        M + ".headers.x.prefix",
        "prefix is empty",
    ),
    (
        match("headers: {x: {regex: '*'}}"),
        match("withoutHeaders: {x: {regex: '*'}}"),
        M + ".headers.x.regex",
        "RE2",
    ),
    (
        match("withoutHeaders: {x: {regex: '('}}"),
        match("withoutHeaders: {x: {regex: '()'}}"),
        M + ".withoutHeaders.x.regex",
        "RE2",
    ),
    (
        match("headers: {'a b': {}}"),
        match("headers: {':path': {}}"),
        M + ".headers.a b",
        "is not a header's name",
    ),
    (match("headers: {'': {}}"), match("headers: {a: {}}"), M + ".headers[]", "the header's name is empty"),
    (
        match("queryParams: {q: {regex: '('}}"),
        match("queryParams: {q: {exact: ''}}"),
        M + ".queryParams.q.regex",
        "RE2",
    ),
    (match("queryParams: {'': {}}"), match("queryParams: {a: {}}"), M + ".queryParams[]", "name is empty"),
    (
        match("queryParams: {? " + "a" * 1025 + " : {}}"),
        match("queryParams: {? " + "a" * 1024 + " : {}}"),
        M + ".queryParams." + "a" * 1025,
        "at most 1024 bytes",
    ),
    (
        route("headers: {request: {set: {x: " + "a" * 16385 + "}}}"),
        route("headers: {request: {set: {x: " + "a" * 16384 + "}}}"),
        H + ".headers.request.set.x",
        "the value is too long",
    ),
    (match("port: 65536"), match("port: 80"), M + ".port", "65536 is not a port number"),
    (
        match("sourceLabels: {a/b/c: d}"),
        match("sourceLabels: {a.b/c: d}"),
        M + ".sourceLabels[a/b/c]",
        "label's key",
    ),
    (match("gateways: ['']"), match("gateways: [mesh]"), M + ".gateways[0]", "the host is empty"),
    (
        match("sourceNamespace: a.b"),
        match("sourceNamespace: a"),
        M + ".sourceNamespace",
        '"a.b" is not a valid namespace',
    ),
    (
        match("headers: {'@request.auth.claims.sub': {exact: a}}"),
        match("headers: {x: {exact: a}}").replace("hosts:", "gateways: [g], hosts:"),
        M + ".headers[@request.auth.claims.sub]",
        "on gateways only",
    ),
    (
        match("withoutHeaders: {'@request.auth.claims[sub]': {exact: a}}"),
        match("headers: {'@request.auth.claims[sub]': {exact: a}}").replace(
            "hosts:", "gateways: [g], hosts:"
        ),
        M + ".withoutHeaders[@request.auth.claims[sub]]",
        "on gateways only",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), ROUTES)
def test_routes(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("VirtualService", bad, good, path, words)


WARNINGS = [
    (
        only("redirect: {uri: /b, redirectCode: 304}"),
        only("redirect: {uri: /b, redirectCode: 303}"),
        H + ".redirect.redirectCode",
        "Envoy cannot redirect by 304",
        "IST0133",
    ),
    (
        f"{{hosts: [a.com], gateways: [g.ns.svc], {HTTP}}}",
        f"{{hosts: [a.com], gateways: [ns/g], {HTTP}}}",
        "spec.gateways[0]",
        'write "ns/g"',
        "IST0133",
    ),
    (
        f"{{hosts: [10.0.0.1], tls: [{{match: [{{sniHosts: [10.0.0.1]}}], {TO_A}}}]}}",
        f"{{hosts: [a.com], {TLS}}}",
        "spec.tls[0].match[0].sniHosts[0]",
        "which clients do not send as SNI",
        "IST0133",
    ),
    (
        only(f"directResponse: {{status: 200, body: {{string: {BIG}}}}}"),
        only("directResponse: {status: 200, body: {string: x}}"),
        H + ".directResponse.body",
        "the body has 102401 bytes",
        "IST0133",
    ),
    (
        route("fault: {abort: {percentage: {value: 1}}}"),
        route("fault: {abort: {httpStatus: 500}}"),
        H + ".fault.abort",
        "the abort has no status",
        "IST0133",
    ),
    (
        route("mirror: {host: b}, mirrorPercent: 50"),
        route("mirror: {host: b}, mirrorPercentage: {value: 50}"),
        H + ".mirrorPercent",
        "mirrorPercent is deprecated; write mirrorPercentage",
        "IST0002",
    ),
    (
        route("fault: {delay: {fixedDelay: 1s, percent: 5}}"),
        route("fault: {delay: {fixedDelay: 1s, percentage: {value: 5}}}"),
        H + ".fault.delay.percent",
        "percent is deprecated; write percentage",
        "IST0002",
    ),
    (
        route("corsPolicy: {allowOrigin: [a]}"),
        route("corsPolicy: {allowOrigins: [{exact: a}]}"),
        H + ".corsPolicy.allowOrigin",
        "allowOrigin is deprecated; write allowOrigins",
        "IST0002",
    ),
    (
        f"{{hosts: [a.com], tcp: [{{match: [{{sourceSubnet: 10.0.0.0/8}}], {TO_A}}}]}}",
        f"{{hosts: [a.com], tcp: [{{match: [{{port: 80}}], {TO_A}}}]}}",
        "spec.tcp[0].match[0].sourceSubnet",
        "sourceSubnet takes no effect: Istio ignores it too",
        "MZ0001",
    ),
]


@pytest.mark.parametrize(("bad", "good", "path", "words", "code"), WARNINGS)
def test_warnings(expect: Expect, bad: str, good: str, path: str, words: str, code: str) -> None:
    expect("VirtualService", bad, good, path, words, "warning", code)


def test_a_percentage_above_100_is_wrong_and_deprecated(validate: Validate) -> None:
    found = validate("VirtualService", route("mirror: {host: b}, mirrorPercent: 101"))

    assert [(it.severity.value, it.path) for it in found] == [
        ("error", H + ".mirrorPercent"),
        ("warning", H + ".mirrorPercent"),
    ]


def test_a_negative_percentage_is_wrong_and_deprecated(validate: Validate) -> None:
    found = validate("VirtualService", route("fault: {delay: {fixedDelay: 1s, percent: -1}}"))

    assert [(it.severity.value, it.path) for it in found] == [
        ("error", H + ".fault.delay.percent"),
        ("warning", H + ".fault.delay.percent"),
    ]


def test_all_findings_at_once_with_their_lines(validate: Validate) -> None:
    found = validate(
        "VirtualService",
        "{hosts: ['a b', '-'], http: [{timeout: 0s, retries: {attempts: -1}}, {redirect: {}}], "
        "exportTo: ['~']}",
    )

    assert [(it.path, it.origin.line) for it in found] == [
        ("spec.hosts[0]", 3),
        ("spec.hosts[1]", 3),
        ("spec.http[0]", 3),
        ("spec.http[0].retries.attempts", 5),
        ("spec.http[0].timeout", 4),
        ("spec.http[1].redirect", 4),
        ("spec.exportTo[0]", 3),
        ("spec.http[1]", 3),
    ]
    assert all(it.origin.file == "mesh.yaml" for it in found)


def test_a_weight_beside_none_is_probably_forgotten(expect: Expect) -> None:
    expect(
        "VirtualService",
        "{hosts: [a.com], http: [{route: [{destination: {host: a}, weight: 9}, {destination: {host: b}}]}]}",
        "{hosts: [a.com], http: [{route: [{destination: {host: a}, weight: 9}, "
        "{destination: {host: b}, weight: 0}]}]}",
        "spec.http[0].route[1]",
        "has no weight",
        "warning",
        "IST0133",
    )


def test_a_prefix_knows_no_wildcard(expect: Expect) -> None:
    route = (
        "{{hosts: [a.com], http: [{{match: [{{uri: {{prefix: {}}}}}], "
        "route: [{{destination: {{host: a}}}}]}}]}}"
    )
    expect(
        "VirtualService",
        route.format('"/api/*"'),
        route.format("/api/"),
        "spec.http[0].match[0].uri.prefix",
        'write "/api/"',
        "warning",
        "IST0133",
    )
