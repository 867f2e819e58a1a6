"""What gateways reuse of their route configurations: how long it is kept, and what a fault leaves of it."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.translator.routes import gateway as gateway_routes
from mizzen.translator.translation import Translation
from mizzen.xds.type_urls import ROUTE
from tests.unit.translator.listeners.listener_scenes import document, gateway, router, server, service, to
from tests.unit.translator.listeners.test_shared_names import REAL, alias, kubernetes
from tests.unit.translator.listeners.test_shared_translation import Living

pytestmark = pytest.mark.counting

EDGE = router()


def terminating(number: int) -> list[dict[str, Any]]:
    """A Gateway whose route configuration has a name of its own, and its VirtualService."""
    host, name = f"h{number}.example", f"g{number}"
    tls = {"mode": "SIMPLE", "credentialName": "c"}
    return [gateway(server(8443, "HTTPS", host, tls=tls), name=name), bound(name, [host], host, gateway=name)]


def bound(name: str, hosts: list[str], target: str, gateway: str = "edge") -> dict[str, Any]:
    """A VirtualService of a Gateway, with one destination."""
    spec = {"hosts": hosts, "gateways": [gateway], "http": [{"route": [to(target)]}]}
    return document("VirtualService", name, spec)


def plain(*hosts: str) -> dict[str, Any]:
    return gateway(server(80, "HTTP", *hosts))


def cached_names(living: Living) -> list[str]:
    (live,) = living.translation._shared._live.values()
    return sorted(live.resources.gateway_routes)


def values(translation: Translation) -> dict[str, bytes]:
    collection = translation.snapshot(EDGE).collection(ROUTE)
    return {name: each.value for name, each in collection.resources.items()}


def test_routes_of_gateways_that_are_gone_are_not_kept() -> None:
    stays = terminating(1000)
    living = Living(*stays, *terminating(0))
    values(living.translation)
    for number in range(1, 20):
        living.change(*stays, *terminating(number))
        values(living.translation)
    living.change(*stays)
    values(living.translation)
    living.change(*stays, service("other.example", 8080, "HTTP"))  # gateways forget what nobody reads
    assert list(values(living.translation)) == ["https.8443.https-8443.g1000.default"] == cached_names(living)


def test_what_one_gateway_reuses_stays_when_another_one_goes() -> None:
    living = Living(*terminating(1), *terminating(2))
    values(living.translation)
    (live,) = living.translation._shared._live.values()
    before = live.resources.gateway_routes.get("https.8443.https-8443.g1.default")
    living.change(*terminating(1))
    values(living.translation)
    after = live.resources.gateway_routes.get("https.8443.https-8443.g1.default")
    assert before is not None
    assert after is not None
    assert after.encoded[0] is before.encoded[0]


def hashed(host: str, header: str = "x-user") -> dict[str, Any]:
    """A DestinationRule that routes show: they hash by a header."""
    policy = {"loadBalancer": {"consistentHash": {"httpHeaderName": header}}}
    return document("DestinationRule", "hashed", {"host": host, "trafficPolicy": policy})


def weighted(name: str, target: str, header: str, gateway: str) -> dict[str, Any]:
    """A VirtualService of two hosts, with a header that tells its routes apart."""
    http = [{"match": [{"headers": {header: {"exact": "1"}}}], "route": [to(target)]}]
    spec = {"hosts": ["a.example", "b.example"], "gateways": [gateway], "http": http}
    return document("VirtualService", name, spec)


def edges(first: int, second: int) -> list[dict[str, Any]]:
    """Two Gateways of one port with their ages."""
    return [
        gateway(server(80, "HTTP", "*"), name="one", age=first),
        gateway(server(80, "HTTP", "a.example"), name="two", age=second),
    ]


SHOP = bound("shop", ["shop.example"], "one.example")
BOTH = [weighted("v1", "one.example", "x-one", "one"), weighted("v2", "two.example", "x-two", "two")]
OTHER = weighted("v1", "one.example", "x-other", "one")
REDIRECTING = {"tls": {"httpsRedirect": True}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            [plain("*"), SHOP, hashed("one.example")],
            [plain("*"), SHOP, hashed("one.example", "x-other")],
            id="DestinationRule",
        ),
        pytest.param(
            [plain("*"), SHOP], [plain("*"), SHOP, hashed("*.example")], id="DestinationRule of a wildcard"
        ),
        pytest.param(
            [plain("*"), bound("shop", ["shop.example"], "alias"), kubernetes("real", ("http", 80)), alias()],
            [
                *(plain("*"), bound("shop", ["shop.example"], "alias"), kubernetes("real", ("http", 80))),
                *(alias(), hashed(REAL)),
            ],
            id="DestinationRule of the service of an alias",
        ),
        pytest.param(
            [plain("*"), SHOP, service("one.example", 8080, "HTTP")],
            [plain("*"), SHOP, service("one.example", 9090, "HTTP")],
            id="Service",
        ),
        pytest.param(
            [plain("*"), SHOP, service("one.example", 8080, "HTTP", exportTo=["~"])],
            [plain("*"), SHOP, service("one.example", 9090, "HTTP", exportTo=["~"])],
            id="Service that is not visible",
        ),
        pytest.param([*edges(2, 1), *BOTH], [*edges(2, 1), OTHER, BOTH[1]], id="the first of two Gateways"),
        pytest.param([*edges(2, 1), *BOTH], [*edges(1, 2), *BOTH], id="Gateways change places"),
        pytest.param([*edges(2, 1), *BOTH], [edges(2, 1)[1], *BOTH], id="one Gateway less"),
        pytest.param([*edges(2, 1), *BOTH], [*edges(2, 1), BOTH[0]], id="one VirtualService less"),
        pytest.param(
            [gateway(server(80, "HTTP", "*.example")), SHOP],
            [gateway(server(80, "HTTP", "*.example", **REDIRECTING)), SHOP],
            id="redirected to HTTPS",
        ),
        pytest.param(
            [gateway(server(80, "HTTP", "*.example", **REDIRECTING)), SHOP],
            [gateway(server(80, "HTTP", "shop.example", **REDIRECTING)), SHOP],
            id="one redirected host less",
        ),
        pytest.param([plain("*"), SHOP], [plain("*")], id="the last host"),
    ],
)
def test_routes_follow_what_they_are_made_from(before: list[Any], after: list[Any]) -> None:
    living = Living(*before)
    first = values(living.translation)
    for documents in (after, before, after):
        living.change(*documents)
        assert values(living.translation) == values(Translation(living.mesh))
    assert values(living.translation) != first


ONE = bound("v1", ["b.example", "c.example"], "one.example")
TWO = bound("v2", ["bad.example", "e.example"], "two.example")


@pytest.mark.parametrize(
    ("first", "fault", "later"),
    [
        pytest.param(
            [plain("b.example", "e.example"), ONE, TWO],
            [plain("c.example", "bad.example"), ONE, TWO],
            [[plain("c.example", "e.example"), ONE, TWO]],
            id="other hosts of the Gateway",
        ),
        pytest.param(
            [plain("*"), ONE],
            [plain("*"), ONE, bound("v2", ["bad.example"], "two.example")],
            [[plain("*"), ONE], [plain("*"), bound("v1", ["b.example", "c.example"], "three.example")]],
            id="one more VirtualService",
        ),
    ],
)
def test_after_a_fault_in_one_virtual_host_the_routes_are_those_of_a_new_translation(
    first: list[Any], fault: list[Any], later: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = gateway_routes._virtual_host

    def failing(name: str, *arguments: Any) -> Any:
        if name == "bad.example:80":
            raise RuntimeError("a fault of the translator")
        return make(name, *arguments)

    living = Living(*first)
    values(living.translation)
    with monkeypatch.context() as patched:
        patched.setattr(gateway_routes, "_virtual_host", failing)
        living.change(*fault)
        with pytest.raises(RuntimeError, match="a fault"):
            living.translation.snapshot(EDGE)
    for documents in later:
        living.change(*documents)
        assert values(living.translation) == values(Translation(living.mesh))


def test_a_fork_replaces_nothing_of_what_the_first_translation_reuses() -> None:
    living = Living(plain("*"), ONE)
    values(living.translation)
    (live,) = living.translation._shared._live.values()
    before = live.resources.gateway_routes.get("http.80")
    fork = living.translation.fork(EDGE)
    living.mesh, _ = living.mesh.updated(living._apply([plain("*"), ONE, TWO]))
    fork.update(living.mesh)
    assert values(fork) != values(living.translation)
    assert live.resources.gateway_routes.get("http.80") is before
