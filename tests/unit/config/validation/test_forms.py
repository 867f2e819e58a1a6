"""Forms of texts: hosts, addresses, labels, header values, cipher suites."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.validation.addresses import ip_subnet_problem, unix_address_problem
from mizzen.config.validation.durations import duration_text
from mizzen.config.validation.header_forms import header_value_problem, is_claim
from mizzen.config.validation.hosts import (
    dns_label_problem,
    fqdn_problem,
    gateway_domain_problem,
    is_dns_label,
    wildcard_domain_problem,
)
from mizzen.config.validation.labels import label_key_problem
from mizzen.config.validation.load_balancer import is_prime

LONG = "a" * 63


@pytest.mark.parametrize("label", ["a", "A", "1", "a-b", "a--b", LONG])
def test_labels(label: str) -> None:
    assert dns_label_problem(label, "label") is None


@pytest.mark.parametrize("label", ["", "-", "-a", "a-", "a.b", "a_b", "ä", "a\n", LONG + "a", "*"])
def test_no_labels(label: str) -> None:
    assert dns_label_problem(label, "label") == (
        f'"{label}" is not a valid label; write letters, digits and inner hyphens, at most 63 characters'
    )


@pytest.mark.parametrize("host", ["a", "a.b.c", "a.b.", "1a", "1.a", "a.1b", ".".join([LONG] * 3)])
def test_names(host: str) -> None:
    assert fqdn_problem(host) is None
    assert wildcard_domain_problem(host) is None
    assert host == host.strip("*") and wildcard_domain_problem("*." + host) is None  # noqa: PT018


@pytest.mark.parametrize(
    "host", ["", ".", "a..b", ".a", "a.1", "10.0.0.1", "a b", "a.b\n", ".".join([LONG] * 5)]
)
def test_no_names(host: str) -> None:
    assert fqdn_problem(host) is not None
    assert wildcard_domain_problem(host) is not None


@pytest.mark.parametrize(
    ("host", "valid"),
    [
        ("*", True),
        ("*a.b", True),
        ("*-a.b", True),
        ("*-", False),
        ("a*.b", False),
        ("**.a", False),
        ("a.*", False),
    ],
)
def test_wildcards(host: str, valid: bool) -> None:
    assert (wildcard_domain_problem(host) is None) is valid
    assert fqdn_problem(host) is not None


@pytest.mark.parametrize(
    ("host", "sni", "valid"),
    [
        ("outbound_.80_.v1_.a.b", True, True),
        ("outbound_.80_._.a.b", True, True),
        ("outbound_.80_._.a.b", False, False),
        ("outbound_._._.a.b", True, False),
        ("outbound_.80_._.1", True, False),
        ("outbound_.80", True, False),
        ("a.b", True, True),
    ],
)
def test_generated_sni(host: str, sni: bool, valid: bool) -> None:
    assert (gateway_domain_problem(host, sni=sni) is None) is valid


@given(st.text())
def test_a_label_is_a_name_unless_it_is_a_number(text: str) -> None:
    if is_dns_label(text):
        assert (fqdn_problem(text) is None) is (not text.isdigit())


@pytest.mark.parametrize("subnet", ["10.0.0.1", "::1", "10.0.0.1/8", "0.0.0.0/0", "::/128", "2001:db8::/32"])
def test_subnets(subnet: str) -> None:
    assert ip_subnet_problem(subnet) is None


@pytest.mark.parametrize(
    "subnet",
    ["", "a", "10.0.0", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/08", "10.0.0.1/255.0.0.0", "1.1.1.1/8/8", "/8"],
)
def test_no_subnets(subnet: str) -> None:
    assert ip_subnet_problem(subnet) is not None


@pytest.mark.parametrize(
    ("path", "valid"), [("/s", True), ("@s", True), ("s", False), ("", False), ("/s/", False)]
)
def test_sockets(path: str, valid: bool) -> None:
    assert (unix_address_problem("unix://" + path) is None) is valid


@pytest.mark.parametrize("key", ["a", "A.b_c-d", "a.io/b", f"a/{LONG}", "a" * 50 + ".b/c"])
def test_label_keys(key: str) -> None:
    assert label_key_problem(key) is None


@pytest.mark.parametrize(
    "key", ["", "a/", "/a", "-a", "a-", "a/b/c", "a_b/c", LONG + "a", ".".join(["a" * 60] * 5) + "/b"]
)
def test_no_label_keys(key: str) -> None:
    assert label_key_problem(key) is not None


def test_control_characters_and_too_much_text_are_no_header_values() -> None:
    assert header_value_problem("a\tb%PROTOCOL%") is None
    assert header_value_problem("\0") is not None
    assert header_value_problem("x" * 16385) is not None


@given(st.text(st.characters(min_codepoint=0x20, exclude_characters="%\x7f", exclude_categories=["Cs"])))
def test_plain_text_is_a_header_value_and_percents_can_be_escaped(text: str) -> None:
    assert header_value_problem(text) is None
    assert header_value_problem(f"%%{text}%%") is None
    assert header_value_problem(f"{text}%") is not None


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("@request.auth.claims.sub", True),
        ("@Request.Auth.Claims.a.b", True),
        ("@request.auth.claims[a][b]", True),
        ("@request.auth.claims", False),
        ("@request.auth.claims.", False),
        ("@request.auth.claims[]", False),
        ("x-@request.auth.claims.sub", False),
    ],
)
def test_claims(name: str, claim: bool) -> None:
    assert is_claim(name) is claim


def test_primes_as_envoy_sees_them() -> None:
    assert [number for number in range(30) if is_prime(number)] == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]


@pytest.mark.parametrize(
    ("duration", "text"),
    [(timedelta(seconds=90), "90s"), (timedelta(microseconds=500), "0.0005s"), (timedelta(0), "0s")],
)
def test_durations_in_words(duration: timedelta, text: str) -> None:
    assert duration_text(duration) == text
