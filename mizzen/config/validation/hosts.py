"""Host names: DNS labels, fully qualified names, wildcards.

Each function returns what is wrong with a text and what would be right, or None. The forms are those of
Istio's pkg/config/labels and pkg/config/validation/agent (RFC 1123, either case).
"""

from __future__ import annotations

import re
from typing import Final

LABEL_PATTERN: Final = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_LABEL: Final = re.compile(LABEL_PATTERN)
_WILDCARD_LABEL: Final = re.compile(rf"\*|(?:\*|\*-)?{LABEL_PATTERN}")
_LONGEST_LABEL: Final = 63
_LONGEST_NAME: Final = 255
_LABEL_FORM: Final = "letters, digits and inner hyphens, at most 63 characters"
_NUMERIC: Final = re.compile(r"[+-]?[0-9]+")


def is_dns_label(text: str) -> bool:
    """Tell whether `text` is one label of a DNS name."""
    return len(text) <= _LONGEST_LABEL and _LABEL.fullmatch(text) is not None


def dns_label_problem(text: str, what: str) -> str | None:
    """`text` must be a DNS label; `what` names it in the message."""
    if is_dns_label(text):
        return None
    return f'"{text}" is not a valid {what}; write {_LABEL_FORM}'


def fqdn_problem(host: str) -> str | None:
    """`host` must be a DNS name without a wildcard. It may end with a dot."""
    return _length_problem(host) or _labels_problem(host, host)


def wildcard_domain_problem(host: str) -> str | None:
    """`host` must be a DNS name whose first label may be `*` or start with `*` or `*-`."""
    if problem := _length_problem(host):
        return problem
    first, dot, rest = host.partition(".")
    if len(first) > _LONGEST_LABEL or _WILDCARD_LABEL.fullmatch(first) is None:
        return _bad_label(host, first)
    return _labels_problem(host, rest) if dot else None


def partial_wildcard_problem(host: str) -> str | None:
    """`host` must not have a `*` for part of a label (`*foo.com`)."""
    if "*" in host and host != "*" and not host.startswith("*."):
        return f'"{host}" has a wildcard for a part of a label; write a whole label, such as *.example.com'
    return None


def gateway_domain_problem(host: str, *, sni: bool) -> str | None:
    """`host`, in a VirtualService for gateways: with `sni` it may be a generated `outbound_.80_.v1_.host`."""
    if not (sni and host.startswith("outbound_")):
        return wildcard_domain_problem(host)
    if problem := _length_problem(host):
        return problem
    parts = host.split("_")
    if len(parts) < 4 or not re.search("[0-9]", parts[1]) or not re.search("[a-zA-Z]", parts[3]):
        return f'"{host}" is not a generated SNI name; its form is outbound_.<port>_.<subset>_.<host>'
    return None


def _length_problem(host: str) -> str | None:
    if not host:
        return "the host is empty; write a DNS name"
    if len(host.encode()) > _LONGEST_NAME:
        return f"the host has {len(host.encode())} characters; at most {_LONGEST_NAME} are possible"
    return None


def _labels_problem(host: str, labels_text: str) -> str | None:
    labels = labels_text.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return f'"{host}" is not a valid host: its last label is a number; write a DNS name'
    for index, label in enumerate(labels):
        if index == len(labels) - 1 and not label:
            return None
        if not is_dns_label(label):
            return _bad_label(host, label)
    return None


def _bad_label(host: str, label: str) -> str:
    return f'"{host}" is not a valid host: its label "{label}" is invalid; labels are {_LABEL_FORM}'
