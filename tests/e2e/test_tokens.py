"""RequestAuthentication at a gateway: who shows no token passes, who shows a wrong one does not."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mizzen.testing import ports
from mizzen.testing.caller import Caller
from mizzen.testing.live_mesh import LiveMesh
from mizzen.testing.waiting import eventually
from tests.e2e.edge import HOST, SELECTOR, edge

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

ISSUER = "issuer@example.com"
KEY = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def key_set(key: ec.EllipticCurvePrivateKey) -> str:
    numbers = key.public_key().public_numbers()
    x, y = (encoded(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
    return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "one", "x": x, "y": y}]})


def token(key: ec.EllipticCurvePrivateKey = KEY, **claims: Any) -> str:
    body = {"iss": ISSUER, "sub": "jason", "aud": "shop", "exp": int(time.time()) + 600, **claims}
    parts = [encoded(json.dumps(each).encode()) for each in ({"alg": "ES256", "kid": "one"}, body)]
    r, s = decode_dss_signature(key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256())))
    return ".".join([*parts, encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))])


def policy(keys: str, **rule: Any) -> dict[str, Any]:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "tokens"},
        "spec": {
            "selector": SELECTOR,
            "jwtRules": [{"issuer": ISSUER, "audiences": ["shop"], "jwks": keys, **rule}],
        },
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(mesh: LiveMesh) -> Caller:
    mesh.write(
        "tokens.yaml", policy(key_set(KEY), outputClaimToHeaders=[{"header": "x-who", "claim": "sub"}])
    )
    return await edge(mesh)


async def ask(gateway: Caller, shown: str | None, query: str = "", **headers: str) -> Any:
    """Ask with a token in the usual place, or with other headers and a query."""
    headers["connection"] = "close"  # a connection that is kept stays with the old listener
    if shown is not None:
        headers["authorization"] = f"Bearer {shown}"
    return await gateway.get(f"http://{HOST}/a{query}", headers=headers)


async def test_no_token_passes(gateway: Caller) -> None:
    assert (await ask(gateway, None)).status_code == 200


async def test_a_valid_token_passes_and_its_claims_become_headers(gateway: Caller) -> None:
    answer = await ask(gateway, token())
    assert answer.status_code == 200
    headers = answer.json()["headers"]
    assert headers["x-who"] == "jason"
    assert "authorization" not in headers


@pytest.mark.parametrize(
    "shown",
    [
        token(exp=int(time.time()) - 600),
        token(STRANGER),
        token(iss="somebody@example.com"),
        "no.token.atall",
    ],
    ids=["expired", "signed by a stranger", "of another issuer", "no token"],
)
async def test_a_wrong_token_is_refused(gateway: Caller, shown: str) -> None:
    assert (await ask(gateway, shown)).status_code == 401


async def test_a_token_for_somebody_else_is_refused(gateway: Caller) -> None:
    assert (await ask(gateway, token(aud="bank"))).status_code == 403


@pytest.mark.parametrize(
    ("demanded", "who", "status"),
    [
        ({"requestPrincipals": [f"{ISSUER}/jason"]}, "jason", 200),
        ({"requestPrincipals": [f"{ISSUER}/jason"]}, "mary", 403),
        ({"requestPrincipals": ["*"]}, "mary", 200),
        ({"requestPrincipals": ["*"]}, None, 403),
        ({"notRequestPrincipals": ["*/jason"]}, "jason", 403),
        ({"notRequestPrincipals": ["*/jason"]}, "mary", 200),
    ],
)
async def test_who_may_come_is_decided_by_the_token(
    gateway: Caller, mesh: LiveMesh, demanded: dict[str, Any], who: str | None, status: int
) -> None:
    await allows(gateway, mesh, [{"from": [{"source": demanded}]}], {who: status})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("request.auth.principal", f"{ISSUER}/jason"),
        ("request.auth.audiences", "shop"),
        ("request.auth.presenter", "browser"),
        ("request.auth.claims[sub]", "ja*"),
        ("request.auth.claims[groups]", "admin"),
        ("request.auth.claims[work][team]", "toys"),
        ("request.auth.claims[scope]", "write"),
    ],
)
async def test_conditions_on_what_the_token_says(
    gateway: Caller, mesh: LiveMesh, key: str, value: str
) -> None:
    """Who shows no token has none of that, and a token that says something else is not enough."""
    await allows(gateway, mesh, [{"when": [{"key": key, "values": [value]}]}], {"jason": 200, None: 403})
    other = [{"when": [{"key": key, "values": ["other"]}]}]
    await allows(gateway, mesh, other, {"jason": 403})


async def allows(
    gateway: Caller, mesh: LiveMesh, rules: list[dict[str, Any]], expected: dict[str | None, int]
) -> None:
    """Allow what the rules say, and wait until these subjects (None: no token) are answered like that."""
    allow = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "who"},
        "spec": {"selector": SELECTOR, "rules": rules},
    }
    says = {"azp": "browser", "groups": ["user", "admin"], "work": {"team": "toys"}, "scope": "read write"}
    shown = {who: None if who is None else token(sub=who, **says) for who in expected}
    await mesh.apply("who.yaml", allow)

    async def as_expected() -> bool:
        return {who: (await ask(gateway, shown[who])).status_code for who in expected} == expected

    try:
        await eventually(as_expected, f"{expected}")
    finally:
        mesh.remove("who.yaml")
        await mesh.settled()


async def test_keys_that_change_take_effect(gateway: Caller, mesh: LiveMesh) -> None:
    await mesh.apply("tokens.yaml", policy(key_set(STRANGER)))

    async def accepts() -> bool:
        return bool((await ask(gateway, token(STRANGER))).status_code == 200)

    await eventually(accepts, "the new keys count")
    assert (await ask(gateway, token())).status_code == 401


async def test_without_known_keys_every_token_is_refused_and_that_is_said(
    gateway: Caller, mesh: LiveMesh
) -> None:
    rule = policy("", jwksUri=f"http://127.0.0.1:{ports.free_port()}/jwks")
    del rule["spec"]["jwtRules"][0]["jwks"]
    await mesh.apply("tokens.yaml", rule)

    async def refuses() -> bool:
        return bool((await ask(gateway, token(STRANGER))).status_code == 401)

    await eventually(refuses, "the old keys count no more")
    assert (await ask(gateway, None)).status_code == 200


async def in_force(gateway: Caller, mesh: LiveMesh, rule: dict[str, Any], expired: dict[str, str]) -> None:
    """Apply a policy, and wait until it refuses an expired token that is shown like that."""
    await mesh.apply("tokens.yaml", rule)

    async def refuses() -> bool:
        return bool((await ask(gateway, None, **expired)).status_code == 401)

    await eventually(refuses, "the policy is in force")


EXPIRED = token(exp=int(time.time()) - 600)


async def test_a_token_is_looked_for_where_the_rule_says(gateway: Caller, mesh: LiveMesh) -> None:
    rule = policy(
        key_set(KEY),
        fromHeaders=[{"name": "x-token", "prefix": "Token "}, {"name": "x-other"}],
        fromParams=["token"],
        fromCookies=["session"],
    )
    await in_force(gateway, mesh, rule, {"x-token": f"Token {EXPIRED}"})
    places = {
        "header with a prefix": lambda shown: {"x-token": f"Token {shown}"},
        "header": lambda shown: {"x-other": shown},
        "query": lambda shown: {"query": f"?a=1&token={shown}"},
        "cookie": lambda shown: {"cookie": f"a=1; session={shown}"},
    }
    for place, asked in places.items():
        answers = [await ask(gateway, None, **asked(shown)) for shown in (EXPIRED, token())]
        assert [answer.status_code for answer in answers] == [401, 200], place
        said = answers[1].json()
        assert token().partition(".")[0] not in said["headers"].get("x-token", ""), "it is not passed on"
    assert (await ask(gateway, EXPIRED)).status_code == 200, "the usual place is not one of these"


async def test_what_a_token_says_is_passed_on(gateway: Caller, mesh: LiveMesh) -> None:
    rule = policy(
        key_set(KEY),
        forwardOriginalToken=True,
        outputPayloadToHeader="x-payload",
        outputClaimToHeaders=[
            {"header": "x-who", "claim": "sub"},
            {"header": "x-team", "claim": "work.team"},
            {"header": "x-level", "claim": "level"},
        ],
    )
    await in_force(gateway, mesh, rule, {"authorization": f"Bearer {EXPIRED}"})
    shown = token(work={"team": "toys"}, level=3)
    forged = {"x-who": "admin", "x-payload": "e30", "x-level": "9"}
    told = (await ask(gateway, shown, **forged)).json()["headers"]
    assert told["authorization"] == f"Bearer {shown}"
    payload = json.loads(base64.urlsafe_b64decode(told["x-payload"] + "=="))
    assert (payload["sub"], payload["work"]) == ("jason", {"team": "toys"})
    assert [told[name] for name in ("x-who", "x-team", "x-level")] == ["jason", "toys", "3"]


async def test_a_route_is_chosen_by_claims(gateway: Caller, mesh: LiveMesh) -> None:
    await in_force(gateway, mesh, policy(key_set(KEY)), {"authorization": f"Bearer {EXPIRED}"})
    claims = "@request.auth.claims"
    by_claims = {
        "/sub": {f"{claims}.sub": {"exact": "jason"}},
        "/team": {f"{claims}.work.team": {"prefix": "to"}},
        "/groups": {f"{claims}[groups]": {"exact": "admin"}},
        "/scope": {f"{claims}.scope": {"regex": "w.*"}},
    }
    teapot = {"directResponse": {"status": 418}}
    routes = [{"match": [{"uri": {"exact": path}, "headers": h}], **teapot} for path, h in by_claims.items()]
    stranger = {"uri": {"exact": "/stranger"}, "withoutHeaders": {f"{claims}.sub": {}}}
    meta = {"name": "by-claims"}
    host = "claims.example.com"
    spec = {
        "hosts": [host],
        "gateways": ["claims"],
        "http": [*routes, {"match": [stranger], **teapot}, {"directResponse": {"status": 204}}],
    }
    server = {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": [host]}
    api = {"apiVersion": "networking.istio.io/v1"}
    await mesh.apply(
        "claims.yaml",
        [
            {
                **api,
                "kind": "Gateway",
                "metadata": {"name": "claims"},
                "spec": {"selector": SELECTOR["matchLabels"], "servers": [server]},
            },
            {**api, "kind": "VirtualService", "metadata": meta, "spec": spec},
        ],
    )
    right = token(work={"team": "toys"}, groups=["user", "admin"], scope="read write")
    wrong = token(sub="mary", work={"team": "books"}, groups=["user"], scope="read")

    async def status(path: str, shown: str | None) -> int:
        headers = {"authorization": f"Bearer {shown}"} if shown else {}
        answer = await gateway.get(f"http://{host}{path}", headers={"connection": "close", **headers})
        return answer.status_code

    async def is_served() -> bool:
        return await status("/", None) == 204

    await eventually(is_served, "the host is served")
    found = {path: [await status(path, shown) for shown in (right, wrong, None)] for path in by_claims}
    assert found == {path: [418, 204, 204] for path in by_claims}
    assert [await status("/stranger", shown) for shown in (right, None)] == [204, 418]
