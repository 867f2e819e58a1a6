"""Cipher suites and curves: which of a user's list Envoy accepts.

Envoy rejects a whole listener or cluster for one unknown name, or for a curve that is listed twice. So only
known names are sent, each once, as Istio does; a warning names each that is left out. The names are those of
Envoy's BoringSSL:
https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/transport_sockets/tls/v3/common.proto
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

CIPHER_SUITES: Final = frozenset(
    {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
    }
)
CURVES: Final = ("P-256", "P-384", "P-521", "X25519", "X25519MLKEM768")
_ALL: Final = "ALL"


def is_cipher_suite(text: str) -> bool:
    """Tell whether Envoy knows the suites of a list item.

    An item is a suite, `ALL`, a group of equal rank `[A|B]`, or a suite or `ALL` after an operator: `!A`,
    `-A`, `+A`.
    """
    return not text or _suites(text) is not None


def effective_cipher_suites(listed: Sequence[str]) -> tuple[str, ...]:
    """Return the items of a list that are sent: known ones, each once; none if they leave no suite."""
    known = tuple(dict.fromkeys(text for text in listed if text and is_cipher_suite(text)))
    chosen: set[str] = set()
    for text in known:
        suites = _suites(text) or frozenset()
        if text[0] in "!-":
            chosen -= suites
        elif text[0] != "+":
            chosen |= suites
    return known if chosen else ()


def effective_curves(listed: Sequence[str]) -> tuple[str, ...]:
    """Return the curves of a list that are sent: known ones, each once."""
    return tuple(dict.fromkeys(curve for curve in listed if curve in CURVES))


def ignored_cipher_suites(listed: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the index of each item that is not sent, and the reason."""
    for index, suite in enumerate(listed):
        if not is_cipher_suite(suite):
            yield (
                index,
                f'"{suite}" is not a known cipher suite and is ignored; write one of OpenSSL\'s names',
            )
        elif suite in listed[:index]:
            yield index, f'"{suite}" is given twice; leave one out'
    given = [text for text in listed if is_cipher_suite(text) and text]
    if given and not effective_cipher_suites(listed):
        yield (
            listed.index(given[0]),
            "the list leaves no cipher suite, so Envoy's own are used; write those that are meant",
        )


def ignored_curves(listed: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the index of each curve that is not sent, and the reason."""
    for index, curve in enumerate(listed):
        if curve not in CURVES:
            yield index, f'"{curve}" is not a known curve and is ignored; known are {", ".join(CURVES)}'
        elif curve in listed[:index]:
            yield index, f'"{curve}" is given twice; leave one out'


def _suites(text: str) -> frozenset[str] | None:
    """Return the suites that an item names; None if Envoy does not know one of them."""
    name = text[1:] if text[:1] in ("!", "-", "+") else text
    if name == _ALL:
        return CIPHER_SUITES
    names = frozenset(name[1:-1].split("|") if name == text and name[:1] + name[-1:] == "[]" else (name,))
    return names if names <= CIPHER_SUITES else None
