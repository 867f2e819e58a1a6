"""Validating certificates: what TLS towards clients and TLS towards endpoints have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.type.matcher.v3 import string_pb2

TLS_SOCKET = "envoy.transport_sockets.tls"


def add_subject_alt_names(validation: Any, names: Iterable[str]) -> None:
    """Require that a certificate holds one of `names`, compared exactly; without names, require nothing."""
    validation.match_subject_alt_names.extend(string_pb2.StringMatcher(exact=name) for name in names)
