"""Which virtual host a request belongs to."""

from __future__ import annotations

import pytest

from mizzen.simulate import Failure
from tests.unit.simulate.simulated_proxy import get, http

_HOSTS = """
virtual_hosts:
  - name: exact
    domains: [Shop.example, "shop.example:8080"]
    routes: [{match: {prefix: /}, route: {cluster: c}}]
  - {name: near, domains: ["*.shop.example"], routes: [{match: {prefix: /}, route: {cluster: c}}]}
  - {name: far, domains: ["*.example"], routes: [{match: {prefix: /}, route: {cluster: c}}]}
  - {name: begin, domains: ["shop.*"], routes: [{match: {prefix: /}, route: {cluster: c}}]}
  - {name: longer, domains: ["shop.local.*"], routes: [{match: {prefix: /}, route: {cluster: c}}]}
"""
_REST = """  - {name: rest, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: c}}]}"""


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("shop.example", "exact"),
        ("SHOP.EXAMPLE", "exact"),
        ("shop.example:8080", "exact"),
        ("a.shop.example", "near"),
        (".shop.example", "far"),
        (".example", "rest"),
        ("shop.example:80", "begin"),
        ("shop.local", "begin"),
        ("shop.local.test", "longer"),
        ("shop.", "rest"),
        ("other", "rest"),
    ],
)
def test_exact_then_longest_suffix_then_longest_prefix_then_any(authority: str, host: str) -> None:
    verdict = http(_HOSTS + _REST).verdict(get(authority=authority))
    assert verdict.virtual_host is not None
    assert verdict.virtual_host.name == host


@pytest.mark.parametrize(
    ("authority", "host"), [("shop.example:80", "exact"), ("[::1]:80", None), ("a.shop.example:1", "near")]
)
def test_ports_do_not_count_if_the_configuration_says_so(authority: str, host: str | None) -> None:
    verdict = http(_HOSTS + "ignore_port_in_host_matching: true").verdict(get(authority=authority))
    assert (verdict.virtual_host.name if verdict.virtual_host else None) == host


def test_a_host_that_nobody_has_is_not_found() -> None:
    verdict = http(_HOSTS).verdict(get(authority="other"))
    assert (verdict.failure, verdict.status) == (Failure.NO_VIRTUAL_HOST, 404)


def test_a_host_that_requires_tls_redirects_plain_requests() -> None:
    simulator = http(
        "virtual_hosts: [{name: all, domains: ['*'], require_tls: ALL}]", manager="{use_remote_address: true}"
    )
    verdict = simulator.verdict(get("/cart?a=1", headers={"x-forwarded-proto": "https"}))
    assert (verdict.answered_by, verdict.status, verdict.location) == (
        "require_tls",
        301,
        "https://shop.example/cart?a=1",
    )


@pytest.mark.parametrize(
    ("authority", "name", "found"),
    [
        ("a.shop.example", "far", "a.shop.example, and a closer domain matches"),
        ("shop:8080", None, ""),
        ("shop.test:1", "exact", "shop.test:1"),
    ],
)
def test_the_runner_up_is_the_next_domain_or_one_that_is_like_it(
    authority: str, name: str | None, found: str
) -> None:
    hosts = _HOSTS.replace("shop.*", "other.*").replace("shop.local.*", "other.local.*")
    runners_up = http(hosts).verdict(get(authority=authority), runners_up=True).runners_up
    assert runners_up is not None
    lost = runners_up.virtual_host
    if name is None:
        assert lost is None or lost.found == authority
    else:
        assert lost is not None
        assert (lost.name, lost.found) == (name, found)
