"""Operations on host names: exact names, and wildcards that start with `*`.

A wildcard covers every name that ends with the text after its `*`: `*.a.com` covers `b.a.com`, not `a.com`.
Host names are case-insensitive (RFC 4343). The models convert them to lower case, so no code behind the
models handles case.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def _namespaced(text: str) -> str:
    namespace, slash, host = text.rpartition("/")
    return namespace + slash + host.lower()


HostName = Annotated[str, AfterValidator(str.lower)]
"""The name of a host, in lower case."""

NamespacedHost = Annotated[str, AfterValidator(_namespaced)]
"""`namespace/host` or a host alone; the host is in lower case."""


def is_wildcard(host: str) -> bool:
    """Tell whether `host` is a wildcard."""
    return host.startswith("*")


def matches(one: str, other: str) -> bool:
    """Tell whether some name is covered by both hosts. Symmetric."""
    if is_wildcard(one):
        if is_wildcard(other):
            return one[1:].endswith(other[1:]) or other[1:].endswith(one[1:])
        return other.endswith(one[1:])
    if is_wildcard(other):
        return one.endswith(other[1:])
    return one == other


def is_subset_of(one: str, other: str) -> bool:
    """Tell whether every name that `one` covers is covered by `other`."""
    if not is_wildcard(other):
        return one == other
    if is_wildcard(one) and len(one) < len(other):
        return False
    return one.removeprefix("*").endswith(other[1:])
