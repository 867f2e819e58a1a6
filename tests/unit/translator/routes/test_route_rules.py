"""Rules of a VirtualService, in Istio's words, and what they become, in Envoy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from envoy.config.route.v3 import route_components_pb2

from mizzen.config.models import HTTPRedirect
from mizzen.translator.routes.action import apply_redirect

Routes = Callable[..., list[dict[str, Any]]]

TO_REVIEWS = "route: [{destination: {host: reviews.example.com}}]"

DEFAULT_RETRIES = {
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/"
                "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
    "host_selection_retry_max_attempts": "5",
}


def test_a_plain_route_is_all_of_this_and_nothing_else(routes: Routes) -> None:
    (route,) = routes(f"[{{name: all, {TO_REVIEWS}}}]")
    assert route == {
        "name": "all",
        "match": {"prefix": "/"},
        "route": {
            "cluster": "outbound|9080||reviews.example.com",
            "timeout": "0s",
            "max_grpc_timeout": "0s",
            "retry_policy": DEFAULT_RETRIES,
        },
        "decorator": {"operation": "reviews.example.com:9080/*"},
        "metadata": {
            "filter_metadata": {
                "istio": {"config": "/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews"}
            }
        },
    }


SERVICES = """
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ratings, namespace: default}
spec:
  hosts: [ratings.example.com]
  ports: [{number: 9080, name: http, protocol: HTTP}, {number: 7070, name: other, protocol: HTTP}]
  resolution: STATIC
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ratings, namespace: default}
spec:
  host: ratings.example.com
  trafficPolicy:
    loadBalancer: {consistentHash: {httpHeaderName: x-user}}
    portLevelSettings:
    - {port: {number: 7070}, loadBalancer: {consistentHash: {useSourceIp: true}}}
  subsets:
  - {name: v1, labels: {version: v1}}
  - name: v2
    labels: {version: v2}
    trafficPolicy:
      loadBalancer:
        consistentHash: {httpCookie: {name: user, path: /, ttl: 60s}}
      portLevelSettings:
      - {port: {number: 7070}, loadBalancer: {consistentHash: {httpQueryParameterName: user}}}
  - name: v3
    labels: {version: v3}
    trafficPolicy: {loadBalancer: {simple: RANDOM}}
"""

ACTIONS = [
    (
        "subset and port",
        "route: [{destination: {host: reviews.example.com, subset: v2, port: {number: 81}}}]",
        "route: {cluster: outbound|81|v2|reviews.example.com}",
    ),
    (
        "a host that nobody knows is routed to on the listener's port",
        "route: [{destination: {host: nobody.example.org}}]",
        "route: {cluster: outbound|9080||nobody.example.org}",
    ),
    (
        "a short name belongs to the namespace of the VirtualService",
        "route: [{destination: {host: reviews}}]",
        "route: {cluster: outbound|9080||reviews.default.svc.cluster.local}",
    ),
    (
        "weights, without those of weight 0",
        """
        route:
        - {destination: {host: reviews.example.com, subset: v1}, weight: 80}
        - destination: {host: reviews.example.com, subset: v2}
          weight: 20
          headers:
            request: {set: {x-version: v2, host: v2.example.com}}
            response: {remove: [x-secret]}
        - {destination: {host: reviews.example.com, subset: v3}, weight: 0}
        """,
        """
        decorator: {operation: 'reviews:9080/*'}
        route:
          weighted_clusters:
            clusters:
            - {name: outbound|9080|v1|reviews.example.com, weight: 80}
            - name: outbound|9080|v2|reviews.example.com
              weight: 20
              host_rewrite_literal: v2.example.com
              request_headers_to_add:
              - {header: {key: x-version, value: v2}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
              response_headers_to_remove: [x-secret]
        """,
    ),
    (
        "header operations: the route's before the destination's, set before add, by name",
        """
        headers:
          request: {add: {x-b: b}, set: {x-z: z, x-a: a, ':authority': other.example.com}, remove: [x-gone]}
          response: {set: {x-r: r}}
        route:
        - destination: {host: reviews.example.com}
          headers: {request: {set: {x-0: zero}}, response: {add: {x-s: s}, remove: [x-t]}}
        """,
        """
        request_headers_to_add:
        - {header: {key: x-a, value: a}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
        - {header: {key: x-z, value: z}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
        - {header: {key: x-b, value: b}}
        - {header: {key: x-0, value: zero}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
        request_headers_to_remove: [x-gone]
        response_headers_to_add:
        - {header: {key: x-r, value: r}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
        - {header: {key: x-s, value: s}}
        response_headers_to_remove: [x-t]
        route: {host_rewrite_literal: other.example.com}
        """,
    ),
    (
        "a single destination's authority counts where nothing else sets it",
        """
        route:
        - {destination: {host: reviews.example.com}, headers: {request: {set: {host: d.example.com}}}}
        """,
        "route: {host_rewrite_literal: d.example.com}",
    ),
    (
        "rewrite",
        f"{{rewrite: {{uri: /new, authority: r.example.com}}, {TO_REVIEWS}}}",
        "route: {prefix_rewrite: /new, host_rewrite_literal: r.example.com}",
    ),
    (
        "rewrite by regular expression",
        f"{{rewrite: {{uriRegexRewrite: {{match: '/a/(.*)', rewrite: '/b/\\1'}}}}, {TO_REVIEWS}}}",
        "route: {regex_rewrite: {pattern: {regex: '/a/(.*)'}, substitution: '/b/\\1'}}",
    ),
    (
        "timeout",
        f"{{timeout: 1500ms, {TO_REVIEWS}}}",
        "route: {timeout: 1.500s, max_grpc_timeout: 1.500s}",
    ),
    (
        "retries",
        f"""{{retries: {{attempts: 3, perTryTimeout: 2s, retryOn: '5xx,503,429', backoff: 25ms,
             retryRemoteLocalities: true, retryIgnorePreviousHosts: false}}, {TO_REVIEWS}}}""",
        """
        route:
          retry_policy:
            num_retries: 3
            per_try_timeout: 2s
            retry_on: 5xx,retriable-status-codes
            retriable_status_codes: [503, 429]
            retry_host_predicate: null
            retry_back_off: {base_interval: 0.025s}
            retry_priority:
              name: envoy.retry_priorities.previous_priorities
              typed_config: {update_frequency: 2}
        """,
    ),
    (
        "no retries",
        f"{{retries: {{attempts: 0}}, {TO_REVIEWS}}}",
        "route: {retry_policy: null}",
    ),
    (
        "fault",
        f"""{{fault: {{delay: {{fixedDelay: 5s, percentage: {{value: 0.1}}}},
             abort: {{httpStatus: 503, percentage: {{value: 50}}}}}}, {TO_REVIEWS}}}""",
        """
        typed_per_filter_config:
          envoy.filters.http.fault:
            delay: {fixed_delay: 5s, percentage: {numerator: 1000, denominator: MILLION}}
            abort: {http_status: 503, percentage: {numerator: 500000, denominator: MILLION}}
          envoy.filters.http.cors: null
        """,
    ),
    (
        "a fault without percentages never happens",
        f"{{fault: {{delay: {{fixedDelay: 5s}}, abort: {{grpcStatus: UNAVAILABLE}}}}, {TO_REVIEWS}}}",
        """
        typed_per_filter_config:
          envoy.filters.http.fault:
            delay: {fixed_delay: 5s, percentage: {numerator: null, denominator: null}}
            abort: {grpc_status: 14, percentage: null}
        """,
    ),
    (
        "mirrors: the single one first, without those of 0 percent",
        f"""{{mirror: {{host: ratings.example.com, subset: v1}}, mirrorPercentage: {{value: 12.5}},
             {TO_REVIEWS}}}""",
        """
        route:
          request_mirror_policies:
          - cluster: outbound|9080|v1|ratings.example.com
            runtime_fraction: {default_value: {numerator: 125000, denominator: MILLION}}
            trace_sampled: false
            disable_shadow_host_suffix_append: true
        """,
    ),
    (
        "several mirrors",
        f"""{{mirrors: [{{destination: {{host: ratings.example.com}}}},
             {{destination: {{host: a.example.com, port: {{number: 1}}}}, percentage: {{value: 0}}}},
             {{destination: {{host: b.example.com, port: {{number: 2}}}}, percentage: {{value: 1}}}}],
             {TO_REVIEWS}}}""",
        """
        route:
          request_mirror_policies:
          - cluster: outbound|9080||ratings.example.com
            runtime_fraction: {default_value: {numerator: 100, denominator: null}}
          - cluster: outbound|2||b.example.com
            runtime_fraction: {default_value: {numerator: 10000, denominator: MILLION}}
        """,
    ),
    (
        "cors",
        f"""{{corsPolicy: {{allowOrigins: [{{exact: 'https://a.com'}}, {{regex: '.*b'}}],
             allowMethods: [GET, POST], allowHeaders: [x-a, x-b], exposeHeaders: [x-c], maxAge: 24h,
             allowCredentials: true, unmatchedPreflights: IGNORE}}, {TO_REVIEWS}}}""",
        """
        typed_per_filter_config:
          envoy.filters.http.fault: null
          envoy.filters.http.cors:
            allow_origin_string_match: [{exact: 'https://a.com'}, {safe_regex: {regex: .*b}}]
            allow_methods: GET,POST
            allow_headers: x-a,x-b
            expose_headers: x-c
            max_age: '86400'
            allow_credentials: true
            filter_enabled: {default_value: {numerator: 100}}
            forward_not_matching_preflights: false
        """,
    ),
    (
        "cors, with origins as they were written once",
        """
        route: [{destination: {host: reviews.example.com}}]
        corsPolicy: {allowOrigin: ['https://a.com', 'https://b.com']}
        """,
        """
        typed_per_filter_config:
          envoy.filters.http.cors:
            allow_origin_string_match: [{exact: 'https://a.com'}, {exact: 'https://b.com'}]
            forward_not_matching_preflights: true
        """,
    ),
    (
        "redirect",
        "redirect: {uri: /new, authority: new.example.com, scheme: https, redirectCode: 308}",
        """
        redirect: {path_redirect: /new, host_redirect: new.example.com, scheme_redirect: https,
                   response_code: PERMANENT_REDIRECT, port_redirect: null}
        decorator: {operation: 'reviews:9080/*'}
        """,
    ),
    (
        "redirect to the port of the request",
        "redirect: {authority: new.example.com, derivePort: FROM_REQUEST_PORT}",
        "redirect: {host_redirect: new.example.com, port_redirect: 9080, response_code: null}",
    ),
    (
        "a redirect leaves out the port that the scheme means",
        "redirect: {scheme: https, port: 443}",
        "redirect: {scheme_redirect: https, port_redirect: null}",
    ),
    (
        "a redirect leaves out port 80 of HTTP, which is the scheme without TLS",
        "redirect: {uri: /new, port: 80}",
        "redirect: {path_redirect: /new, port_redirect: null}",
    ),
    (
        "a redirect keeps a port that no scheme means",
        "redirect: {uri: /new, port: 81}",
        "redirect: {path_redirect: /new, port_redirect: 81}",
    ),
    (
        "a redirect keeps the port of another scheme",
        "redirect: {scheme: https, port: 80, redirectCode: 302}",
        "redirect: {scheme_redirect: https, port_redirect: 80, response_code: FOUND}",
    ),
    (
        "direct response",
        "directResponse: {status: 503, body: {string: closed}}",
        "direct_response: {status: 503, body: {inline_string: closed}}",
    ),
    (
        "direct response of bytes",
        "directResponse: {status: 200, body: {bytes: aGk=}}",
        "direct_response: {status: 200, body: {inline_bytes: aGk=}}",
    ),
    (
        "hash: the rule's; another try may meet the same host",
        "route: [{destination: {host: ratings.example.com}}]",
        "route: {hash_policy: [{header: {header_name: x-user}}], retry_policy: {retry_host_predicate: null}}",
    ),
    (
        "hash: a subset without a policy has the rule's",
        "route: [{destination: {host: ratings.example.com, subset: v1}}]",
        "route: {hash_policy: [{header: {header_name: x-user}}]}",
    ),
    (
        "hash: the subset's",
        "route: [{destination: {host: ratings.example.com, subset: v2}}]",
        "route: {hash_policy: [{cookie: {name: user, path: /, ttl: 60s}}]}",
    ),
    (
        "hash: the subset's for the port",
        "route: [{destination: {host: ratings.example.com, subset: v2, port: {number: 7070}}}]",
        "route: {hash_policy: [{query_parameter: {name: user}}]}",
    ),
    (
        "hash: the rule's for the port",
        "route: [{destination: {host: ratings.example.com, subset: v1, port: {number: 7070}}}]",
        "route: {hash_policy: [{connection_properties: {source_ip: true}}]}",
    ),
    (
        "hash: one policy for each weighted destination that has one, and retries as ever",
        """
        route:
        - {destination: {host: ratings.example.com, subset: v1}, weight: 1}
        - {destination: {host: reviews.example.com}, weight: 1}
        - {destination: {host: ratings.example.com, subset: v2}, weight: 1}
        """,
        """
        route:
          hash_policy: [{header: {header_name: x-user}}, {cookie: {name: user}}]
          retry_policy: {num_retries: 2, host_selection_retry_max_attempts: '5'}
        """,
    ),
]


@pytest.mark.parametrize(("rule", "expected"), [case[1:] for case in ACTIONS], ids=[c[0] for c in ACTIONS])
def test_actions(routes: Routes, rule: str, expected: str) -> None:
    (route,) = routes(yaml.safe_dump([yaml.safe_load(rule)]), SERVICES)
    assert_holds(route, yaml.safe_load(expected))


def assert_holds(found: Any, expected: Any, at: str = "route") -> None:
    """Assert that `found` has all of `expected`; null stands for a field that is not there."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            if value is None:
                assert key not in found, f"{at}.{key} is {found[key]}"
            else:
                assert key in found, f"{at} has no {key}: {found}"
                assert_holds(found[key], value, f"{at}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), f"{at}: {found}"
        for index, pair in enumerate(zip(found, expected, strict=True)):
            assert_holds(*pair, f"{at}[{index}]")
    else:
        assert found == expected, at


def test_a_redirect_that_envoy_cannot_send_fails_its_requests_and_not_the_whole_port() -> None:
    route = route_components_pb2.Route()
    redirect = HTTPRedirect.of(uri="/x", redirect_code=304)
    apply_redirect(route, redirect, listen_port=80, tls=False)
    assert route.WhichOneof("action") == "direct_response"
    assert route.direct_response.status == 500


def test_mesh_defaults(routes: Routes) -> None:
    mesh_config = {
        "defaultHttpRetryPolicy": {"attempts": 7, "retryOn": "reset"},
        "defaultConfig": {"proxyHeaders": {"xForwardedHost": {"enabled": True}}},
    }
    (route,) = routes(f"[{{{TO_REVIEWS}}}]", mesh_config=mesh_config)
    assert route["route"]["retry_policy"]["num_retries"] == 7
    assert route["route"]["retry_policy"]["retry_on"] == "reset"
    assert route["route"]["append_x_forwarded_host"] is True
    (own,) = routes(f"[{{retries: {{attempts: 1}}, {TO_REVIEWS}}}]", mesh_config=mesh_config)
    assert own["route"]["retry_policy"]["num_retries"] == 1
    assert own["route"]["retry_policy"]["retry_on"] == DEFAULT_RETRIES["retry_on"]
