"""AuthorizationPolicy between two sidecars: who calls is known by mutual TLS, and TCP has its own rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from mizzen.testing.live_mesh import SERVICE_PORT
from mizzen.testing.waiting import eventually
from tests.e2e.two_sidecars import TCP_PORT, Pair, two_sidecars

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

SHOPPER = "cluster.local/ns/default/sa/shopper"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with two_sidecars(tmp_path_factory.mktemp("authorization")) as both:
        await both.policy("PERMISSIVE")
        yield both


def policy(rules: list[dict[str, Any]], action: str = "ALLOW") -> dict[str, Any]:
    selector = {"matchLabels": {"app": "reviews"}}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "rules", "namespace": "default"},
        "spec": {"selector": selector, "action": action, "rules": rules},
    }


def source(**fields: list[str]) -> list[dict[str, Any]]:
    return [{"from": [{"source": fields}]}]


def when(key: str, *values: str) -> list[dict[str, Any]]:
    return [{"when": [{"key": key, "values": list(values)}]}]


async def answers(pair: Pair, document: dict[str, Any], port: int, expected: list[int]) -> None:
    """Apply a policy, and wait until the shopper and a caller in plain text are answered like that."""
    await pair.mesh.apply("authorization.yaml", document)

    async def as_expected() -> bool:
        return [await pair.known(port), await pair.plain(port)] == expected

    await eventually(as_expected, f"{expected}")


BY_IDENTITY = [
    (source(principals=[SHOPPER]), True, False),
    (source(principals=["cluster.local/ns/default/*"]), True, False),
    (source(principals=["*/sa/shopper"]), True, False),
    (source(principals=["*"]), True, False),
    (source(principals=["cluster.local/ns/default/sa/shop"]), False, False),
    (source(notPrincipals=[SHOPPER]), False, True),
    (source(namespaces=["def*"]), True, False),
    (source(notNamespaces=["default"]), False, True),
    (source(serviceAccounts=["shopper"]), True, False),
    (source(serviceAccounts=["bank/shopper"]), False, False),
    (source(notServiceAccounts=["default/shopper"]), False, True),
    (source(trustDomains=["cluster.local"]), True, False),
    (source(trustDomains=["other.example"]), False, False),
    (when("source.principal", SHOPPER), True, False),
    (when("source.namespace", "default"), True, False),
    (when("source.serviceAccount", "default/shopper"), True, False),
    (when("connection.sni", "outbound_.*"), True, False),
]


@pytest.mark.parametrize(
    ("rules", "shopper", "stranger"), BY_IDENTITY, ids=[str(each[0][0]) for each in BY_IDENTITY]
)
async def test_who_calls_decides(
    pair: Pair, rules: list[dict[str, Any]], shopper: bool, stranger: bool
) -> None:
    """The same for HTTP and for TCP: what is not allowed is 403, or closed."""
    await answers(pair, policy(rules), SERVICE_PORT, [200 if each else 403 for each in (shopper, stranger)])
    await answers(pair, policy(rules), TCP_PORT, [200 if each else 0 for each in (shopper, stranger)])


async def test_who_is_denied_is_denied(pair: Pair) -> None:
    document = policy(source(namespaces=["default"]), "DENY")
    await answers(pair, document, SERVICE_PORT, [403, 200])
    await answers(pair, document, TCP_PORT, [0, 200])


GET = {"operation": {"methods": ["GET"]}}


@pytest.mark.parametrize(
    ("document", "http", "tcp"),
    [
        (policy([{"to": [GET]}]), 200, 0),
        (policy([{"to": [GET]}, *source(principals=[SHOPPER])]), 200, 200),
        (policy([{"to": [{"operation": {"paths": ["/no"]}}]}], "DENY"), 200, 0),
        (
            policy([{"to": [{"operation": {"paths": ["/no"], "ports": [str(SERVICE_PORT)]}}]}], "DENY"),
            200,
            200,
        ),
        (policy([{"to": [{"operation": {"ports": [str(TCP_PORT)]}}]}]), 403, 200),
        (policy(when("destination.port", str(TCP_PORT)), "DENY"), 200, 0),
    ],
    ids=[
        *("an allowed method says nothing of TCP", "another rule does", "a denied path is all of TCP"),
        *("unless ports are named", "a port", "a denied port"),
    ],
)
async def test_what_http_alone_has_meets_tcp(
    pair: Pair, document: dict[str, Any], http: int, tcp: int
) -> None:
    await pair.mesh.apply("authorization.yaml", document)

    async def as_expected() -> bool:
        return [await pair.known(), await pair.known(TCP_PORT)] == [http, tcp]

    await eventually(as_expected, f"{http} and {tcp}")
