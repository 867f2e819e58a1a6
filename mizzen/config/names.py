"""Names that Kubernetes allows for objects, namespaces and labels.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../labels/.
"""

from __future__ import annotations

import re
from typing import Final

_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def object_name_error(name: str) -> str | None:
    """Return what is wrong with the name of an object; None if it is a DNS subdomain."""
    if len(name) <= 253 and _SUBDOMAIN.fullmatch(name):
        return None
    return (
        f'"{name[:60]}" is not an object name; use at most 253 lower-case letters, digits, `-` and `.`, '
        "beginning and ending with a letter or digit"
    )


def namespace_error(name: str) -> str | None:
    """Return what is wrong with the name of a namespace; None if it is a DNS label."""
    if _LABEL.fullmatch(name):
        return None
    return (
        f'"{name[:60]}" is not a namespace name; use at most 63 lower-case letters, digits and `-`, '
        "beginning and ending with a letter or digit"
    )


def label_key_error(key: str) -> str | None:
    """Return what is wrong with the key of a label; None if it is `[prefix/]name`."""
    prefix, slash, name = key.rpartition("/")
    if _QUALIFIED.fullmatch(name) and (not slash or (len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix))):
        return None
    return (
        f'"{key[:60]}" is not a label key; use at most 63 letters, digits, `-`, `_` and `.`, '
        "after an optional DNS name and `/`"
    )


def label_value_error(value: str) -> str | None:
    """Return what is wrong with the value of a label; None if nothing is."""
    if not value or _QUALIFIED.fullmatch(value):
        return None
    return (
        f'"{value[:70]}" is not a label value; use at most 63 letters, digits, `-`, `_` and `.`, '
        "beginning and ending with a letter or digit"
    )
