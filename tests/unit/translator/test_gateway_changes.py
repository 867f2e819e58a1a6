"""What gateways reuse of their route configurations: how long it is kept, and what a fault leaves of it."""

from __future__ import annotations

from typing import Any

import pytest

from mizzen.translator.routes import gateway as gateway_routes
from mizzen.translator.translation import Translation
from mizzen.xds.type_urls import ROUTE
from tests.unit.translator.listeners.listener_scenes import document, gateway, router, server, to
from tests.unit.translator.listeners.test_shared_translation import Living

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
    living.change(*stays, document("Sidecar", "other", {}, namespace="other"))  # forgets what nobody reads
    assert list(values(living.translation)) == ["https.8443.https-8443.g1000.default"] == cached_names(living)


def test_what_one_gateway_reuses_stays_when_another_one_goes() -> None:
    living = Living(*terminating(1), *terminating(2))
    values(living.translation)
    (live,) = living.translation._shared._live.values()
    before = live.resources.gateway_routes["https.8443.https-8443.g1.default"]
    living.change(*terminating(1))
    values(living.translation)
    assert live.resources.gateway_routes["https.8443.https-8443.g1.default"].encoded[0] is before.encoded[0]


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
    before = live.resources.gateway_routes["http.80"].resource
    fork = living.translation.fork(EDGE)
    living.mesh, _ = living.mesh.updated(living._apply([plain("*"), ONE, TWO]))
    fork.update(living.mesh)
    assert values(fork) != values(living.translation)
    assert live.resources.gateway_routes["http.80"].resource is before
