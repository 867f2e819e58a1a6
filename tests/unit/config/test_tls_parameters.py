"""Which cipher suites and curves of a list are sent to Envoy."""

from __future__ import annotations

import pytest

from mizzen.config.tls_parameters import effective_cipher_suites, effective_curves

_A, _B = "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305"


@pytest.mark.parametrize(
    ("listed", "sent"),
    [
        ([_A, "TLS_AES_128_GCM_SHA256"], [_A]),
        ([_A, _B, _A, ""], [_A, _B]),
        ([f"[{_A}|{_B}]"], [f"[{_A}|{_B}]"]),
        ([f"[{_A}|FOO]", _B], [_B]),
        (["ALL", f"!{_A}"], ["ALL", f"!{_A}"]),
        (["ALL", "!FOO"], ["ALL"]),
        (["ALL", "-ALL"], []),
        ([f"!{_A}"], []),
        (["FOO"], []),
    ],
)
def test_cipher_suites(listed: list[str], sent: list[str]) -> None:
    assert list(effective_cipher_suites(listed)) == sent


def test_curves() -> None:
    assert effective_curves(["P-224", "P-256", "FOO", "P-256", "X25519"]) == ("P-256", "X25519")
