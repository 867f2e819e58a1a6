"""The algebra of host names: exact ones, and wildcards that start with `*`.

A wildcard is for every name that ends with what follows its `*`: `*.a.com` for `b.a.com`, not for `a.com`.
Names of hosts mean the same in capitals and in small letters (RFC 4343). The models write them in small ones,
so that nothing behind the models has to think of case.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def _namespaced(text: str) -> str:
    namespace, slash, host = text.rpartition("/")
    return namespace + slash + host.lower()


HostName = Annotated[str, AfterValidator(str.lower)]
"""The name of a host, in small letters."""

NamespacedHost = Annotated[str, AfterValidator(_namespaced)]
"""`namespace/host` or a host alone; the host is in small letters."""


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
