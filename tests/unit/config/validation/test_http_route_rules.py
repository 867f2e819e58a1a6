"""The rules of VirtualService's HTTP routes: a row for each, with what breaks it and a twin that does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.config.validation.virtual_service_yaml import BIG, HUGE, TO_A, H, only, route

Expect = Callable[..., None]

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
        '"*" is not a destination',
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
        route("route: [{destination: {host: a, port: {}}}]"),
        route("route: [{destination: {host: a, port: {number: 80}}}]"),
        H + ".route[0].destination.port",
        "the port has no number",
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
    (route("mirror: {host: '*'}"), route("mirror: {host: b}"), H + ".mirror.host", '"*" is not'),
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
        route("retries: {attempts: 1, retryOn: 'reset,conect-failure'}"),
        route("retries: {attempts: 1, retryOn: 'reset,connect-failure'}"),
        H + ".retries.retryOn",
        '"conect-failure" is not a condition; did you mean connect-failure?',
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
]


@pytest.mark.parametrize(("bad", "good", "path", "words"), ROUTES)
def test_routes(expect: Expect, bad: str, good: str, path: str, words: str) -> None:
    expect("VirtualService", bad, good, path, words)
