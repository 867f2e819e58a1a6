"""What an Envoy refuses is narrowed to the parts that it did not accept before."""

from __future__ import annotations

from pathlib import Path

import pytest

import mizzen
from mizzen.config import Origin
from mizzen.config.group_kinds import AUTHORIZATION_POLICY, SERVICE
from mizzen.explain.origins import PartOrigins
from mizzen.explain.suspect_parts import suspect_places
from mizzen.translator.translate_result import MESSAGES
from mizzen.translator.translation import Translation
from mizzen.xds import Resource, type_urls

MESH = """\
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  selector: {app: reviews}
  clusterIP: 10.1.0.1
  ports:
    - {name: http, port: 80, targetPort: 9080}
---
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: shop}
spec:
  clusterIP: 10.1.0.2
  ports: [{name: http, port: 80}, {name: tcp, port: 90}]
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v1, namespace: shop}
spec: {address: 10.0.0.7, labels: {app: reviews, version: v1}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-v2, namespace: shop}
spec: {address: 10.0.0.8, weight: 1, labels: {app: reviews, version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  trafficPolicy: {connectionPool: {tcp: {maxConnections: 10}}}
  subsets:
    - name: v1
      labels: {version: v1}
      trafficPolicy: {outlierDetection: {interval: 10s}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
    - match: [{uri: {prefix: /new}}]
      route: [{destination: {host: reviews, subset: v1}}]
    - route: [{destination: {host: reviews}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ratings, namespace: shop}
spec:
  hosts: [ratings]
  http:
    - name: first
      match: [{uri: {prefix: /first}}]
      redirect: {uri: /second}
    - name: second
      route: [{destination: {host: ratings}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  selector: {app: edge}
  servers:
    - port: {number: 443, name: one, protocol: TLS}
      hosts: [one.example]
      tls: {mode: PASSTHROUGH}
    - port: {number: 443, name: two, protocol: TLS}
      hosts: [two.example]
      tls: {mode: PASSTHROUGH}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: passed, namespace: shop}
spec:
  hosts: [one.example, two.example]
  gateways: [edge]
  tls:
    - match: [{sniHosts: [one.example]}]
      route: [{destination: {host: ratings, port: {number: 80}}}]
    - match: [{sniHosts: [two.example]}]
      route: [{destination: {host: ratings, port: {number: 80}}}]
"""

SIDECAR = {"id": "sidecar~10.0.0.7~reviews-v1.shop~shop.svc.cluster.local"}
GATEWAY = {
    "id": "router~10.0.0.1~edge.shop~shop.svc.cluster.local",
    "metadata": {"LABELS": {"app": "edge"}, "NAMESPACE": "shop"},
}
REVIEWS = "reviews.shop.svc.cluster.local"


TIMEOUT = "- timeout: 3s\n      route: [{destination: {host: reviews}}]"


class Edit:
    """A mesh before and after an edit of its text, for one proxy."""

    def __init__(self, folder: Path, was: str, now: str, node: object = SIDECAR) -> None:
        assert MESH.count(was) == 1
        self.text = MESH.replace(was, now)
        self._file = folder / "mesh.yaml"
        proxy = mizzen.Proxy.from_node(node)  # type: ignore[arg-type]
        self._old = Translation(self._mesh(MESH)).snapshot(proxy)
        translation = Translation(self._mesh(self.text))
        self._new = translation.snapshot(proxy)
        self.origins = PartOrigins(translation, proxy)

    def _mesh(self, text: str) -> mizzen.Mesh:
        self._file.write_text(text, encoding="utf-8")
        return mizzen.load(self._file)

    def sent(self, type_url: str, name: str) -> Resource:
        """Return a resource as it is after the edit."""
        found = self._new.get(type_url, name)
        assert found is not None
        return found

    def versions(self, type_url: str, name: str) -> tuple[Resource, Resource]:
        old, new = self._old.get(type_url, name), self._new.get(type_url, name)
        assert old is not None
        assert new is not None
        assert old.version != new.version
        return old, new

    def suspects(self, type_url: str, name: str, words: str = "no") -> list[str]:
        """Return the lines that are to blame, as they read."""
        old, new = self.versions(type_url, name)
        return self.read(suspect_places(new, old, self.origins, words))

    def read(self, places: tuple[Origin, ...]) -> list[str]:
        lines = self.text.splitlines()
        return [lines[place.line - 1].strip() for place in places]


def test_of_a_route_configuration_one_route(tmp_path: Path) -> None:
    edit = Edit(tmp_path, "- route: [{destination: {host: reviews}}]", TIMEOUT)
    assert edit.suspects(type_urls.ROUTE, "80") == ["- timeout: 3s"]


def test_a_route_that_only_moved_down_is_not_meant(tmp_path: Path) -> None:
    new = (
        "- match: [{uri: {prefix: /newer}}]\n      redirect: {uri: /x}\n    - match: [{uri: {prefix: /new}}]"
    )
    edit = Edit(tmp_path, "- match: [{uri: {prefix: /new}}]", new)
    assert edit.suspects(type_urls.ROUTE, "80") == ["- match: [{uri: {prefix: /newer}}]"]


def test_of_a_virtual_host_its_hosts_if_its_routes_are_as_before(tmp_path: Path) -> None:
    edit = Edit(
        tmp_path,
        "{name: ratings, namespace: shop}\nspec:\n  clusterIP: 10.1.0.2",
        "{name: ratings, namespace: shop}\nspec:\n  clusterIP: 10.1.0.3",
    )
    assert edit.suspects(type_urls.ROUTE, "80") == ["hosts: [ratings]"]


BY_NUMBER = (
    "Proto constraint validation failed (RouteConfigurationValidationError.VirtualHosts[%s]: embedded "
    "message failed validation | caused by VirtualHostValidationError.Routes[0]: embedded message failed)"
)
UNKNOWN = f"route: unknown cluster 'outbound|80|v1|{REVIEWS}'"
WEIGHTS = "The sum of weights of all weighted clusters of route second exceeds 4294967295"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (BY_NUMBER, "- name: first"),
        (WEIGHTS, "- name: second"),
        (UNKNOWN, "- match: [{uri: {prefix: /new}}]"),
        ("Not supported in a path: /second", "- name: first"),
    ],
)
def test_envoys_words_name_a_part_where_nothing_was_accepted(tmp_path: Path, words: str, line: str) -> None:
    edit = Edit(tmp_path, "prefix: /first", "prefix: /1st")
    _, refused = edit.versions(type_urls.ROUTE, "80")
    hosts = MESSAGES["routes"].FromString(refused.value).virtual_hosts
    [ratings] = [str(at) for at, host in enumerate(hosts) if host.name.startswith("ratings")]
    found = suspect_places(refused, None, edit.origins, words.replace("%s", ratings))
    assert edit.read(found) == [line]


def test_without_such_words_everything_is_meant(tmp_path: Path) -> None:
    edit = Edit(tmp_path, "prefix: /first", "prefix: /1st")
    _, refused = edit.versions(type_urls.ROUTE, "80")
    found = edit.read(suspect_places(refused, None, edit.origins, "no"))
    assert {"- name: first", "- name: second", "- match: [{uri: {prefix: /new}}]"} <= set(found)


def test_of_a_cluster_the_policy_that_shapes_it(tmp_path: Path) -> None:
    edit = Edit(tmp_path, "maxConnections: 10", "maxConnections: 11")
    of_port = "trafficPolicy: {connectionPool: {tcp: {maxConnections: 11}}}"
    assert edit.suspects(type_urls.CLUSTER, f"outbound|80||{REVIEWS}") == [of_port]
    of_subset = "trafficPolicy: {outlierDetection: {interval: 10s}}"
    assert edit.suspects(type_urls.CLUSTER, f"outbound|80|v1|{REVIEWS}") == [of_subset, of_port]


def test_a_policy_that_no_rule_makes_has_the_place_of_the_cluster(tmp_path: Path) -> None:
    edit = Edit(tmp_path, "maxConnections: 10", "maxConnections: 11")
    refused = edit.sent(type_urls.CLUSTER, "outbound|80||ratings.shop.svc.cluster.local")
    message = MESSAGES["clusters"].FromString(refused.value)
    message.connect_timeout.seconds += 1
    accepted = Resource.of(message)
    found = edit.read(suspect_places(refused, accepted, edit.origins))
    assert found == ["ports: [{name: http, port: 80}, {name: tcp, port: 90}]"]


def test_words_about_another_listener_of_a_list_say_nothing(tmp_path: Path) -> None:
    two = "- match: [{sniHosts: [two.example]}]\n      route: [{destination: {host: ratings, port: {number: "
    edit = Edit(tmp_path, f"{two}80", f"{two}90", GATEWAY)
    refused = edit.sent(type_urls.LISTENER, "0.0.0.0_443")
    listed = "Error adding/updating listener(s) other: ListenerValidationError.FilterChains[0]: no\n{}: {}"
    own = listed.format(refused.name, "ListenerValidationError.FilterChains[1]: no")
    rules = [f"- match: [{{sniHosts: [{name}.example]}}]" for name in ("one", "two")]
    found = edit.read(suspect_places(refused, None, edit.origins, own))
    assert [line for line in found if line in rules] == rules[1:]
    found = edit.read(suspect_places(refused, None, edit.origins, listed.format(refused.name, "no")))
    assert [line for line in found if line in rules] == rules


def test_of_a_load_assignment_the_endpoint(tmp_path: Path) -> None:
    edit = Edit(tmp_path, "10.0.0.8, weight: 1", "10.0.0.8, weight: 7")
    assert edit.suspects(type_urls.ENDPOINT, f"outbound|80||{REVIEWS}") == [
        "apiVersion: networking.istio.io/v1"
    ]
    [place] = suspect_places(
        *reversed(edit.versions(type_urls.ENDPOINT, f"outbound|80||{REVIEWS}")), edit.origins
    )
    assert place.document is not None
    assert place.document.name == "reviews-v2"


def test_of_an_inbound_listener_the_policy(tmp_path: Path) -> None:
    edit = Edit(tmp_path, "paths: [/admin]", "paths: [/admin/*]")
    [place] = suspect_places(*reversed(edit.versions(type_urls.LISTENER, "virtualInbound")), edit.origins)
    assert place.document is not None
    assert (place.document.group_kind, place.document.name) == (AUTHORIZATION_POLICY, "readers")


def test_of_an_inbound_listener_the_port(tmp_path: Path) -> None:
    edit = Edit(tmp_path, "targetPort: 9080", "targetPort: 9081")
    found = suspect_places(*reversed(edit.versions(type_urls.LISTENER, "virtualInbound")), edit.origins)
    kinds = {place.document.group_kind for place in found if place.document is not None}
    assert kinds == {SERVICE, AUTHORIZATION_POLICY}, "a new chain has all filters anew"


def test_of_a_gateways_listener_the_rule_that_leads_on(tmp_path: Path) -> None:
    two = "- match: [{sniHosts: [two.example]}]\n      route: [{destination: {host: ratings, port: {number: "
    edit = Edit(tmp_path, f"{two}80", f"{two}90", GATEWAY)
    assert edit.suspects(type_urls.LISTENER, "0.0.0.0_443") == ["- match: [{sniHosts: [two.example]}]"]


def test_a_version_that_is_no_longer_sent_has_no_parts(tmp_path: Path) -> None:
    edit = Edit(tmp_path, "prefix: /first", "prefix: /1st")
    old, new = edit.versions(type_urls.ROUTE, "80")
    assert suspect_places(old, new, edit.origins) == ()


def test_secrets_are_not_looked_into(tmp_path: Path) -> None:
    edit = Edit(tmp_path, "prefix: /first", "prefix: /1st")
    secret = Resource(type_urls.SECRET, "key", b"swordfish")
    assert suspect_places(secret, None, edit.origins) == ()
