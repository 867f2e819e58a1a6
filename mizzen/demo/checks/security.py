"""Checks of access control: mutual TLS between workloads, tokens, and a path that a policy denies."""

from __future__ import annotations

import httpx

from mizzen.demo.checks.outcome import CheckResult, brief, echo, sidecar
from mizzen.demo.security import DENIED_PATH, GUARDED_APP, TokenIssuer
from mizzen.demo.shop import Shop
from mizzen.demo.topology import SERVICE_PORT, spiffe_id

_SERVICE = f"{GUARDED_APP}:{SERVICE_PORT}"


async def plain_text(shop: Shop) -> CheckResult:
    """A workload's proxy refuses a call in plain text."""
    expected = "the connection is closed"
    guarded = next(each for each in shop.topology.workloads if each.app == GUARDED_APP)
    try:
        response = await shop.client.get(f"http://{guarded.address}:{SERVICE_PORT}/echo")
    except httpx.TransportError:
        return CheckResult(expected, expected, passed=True)
    return CheckResult(expected, brief(response), passed=False)


async def peer_identity(shop: Shop) -> CheckResult:
    """Calls between workloads use mutual TLS, and the program learns its caller."""
    caller = next(each for each in shop.topology.workloads if each.app == "productpage")
    expected = f"{GUARDED_APP} is told URI={spiffe_id(caller)}"
    said = echo(await sidecar(shop, _SERVICE).get("/echo"))
    certificate = str(said.get("headers", {}).get("x-forwarded-client-cert", ""))
    told = [part for part in certificate.replace(",", ";").split(";") if part.startswith("URI=")]
    seen = f"{said.get('workload', 'nobody')} is told {' '.join(told) or 'of no peer'}"
    return CheckResult(expected, seen, f"URI={spiffe_id(caller)}" in told)


async def wrong_token(shop: Shop) -> CheckResult:
    """A token with a wrong signature is refused."""
    response = await _with_token(shop, TokenIssuer().token())
    return CheckResult("401 by the proxy", brief(response), response.status_code == 401)


async def right_token(shop: Shop) -> CheckResult:
    """A token of the issuer is accepted."""
    response = await _with_token(shop, shop.issuer.token())
    seen = f"{response.status_code}, {echo(response).get('workload', 'nobody')} answers"
    return CheckResult(f"200, {GUARDED_APP} answers", seen, seen == f"200, {GUARDED_APP} answers")


async def denied_path(shop: Shop) -> CheckResult:
    """An AuthorizationPolicy denies a path."""
    response = await sidecar(shop, _SERVICE).get(DENIED_PATH)
    passed = response.status_code == 403 and "x-shop-version" not in response.headers
    return CheckResult("403 by the proxy", brief(response), passed)


async def _with_token(shop: Shop, token: str) -> httpx.Response:
    return await sidecar(shop, _SERVICE).get("/echo", {"authorization": f"Bearer {token}"})
