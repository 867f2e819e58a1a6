"""What both sides of TLS demand of a certificate, and the name of the socket that does it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.type.matcher.v3 import string_pb2

TLS_SOCKET = "envoy.transport_sockets.tls"


def add_subject_alt_names(validation: Any, names: Iterable[str]) -> None:
    """Demand that a certificate holds one of `names`, exactly; no names demand nothing."""
    validation.match_subject_alt_names.extend(string_pb2.StringMatcher(exact=name) for name in names)
