"""Conditions on what filters have found out about a request, above all on the claims of its token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from envoy.type.matcher.v3 import metadata_pb2

JWT_FILTER: Final = "envoy.filters.http.jwt_authn"
JWT_PAYLOAD: Final = "payload"
"""The key of that filter's metadata under which the claims of a valid token stand."""


def found_out(filter_name: str, path: Sequence[str], text: Any | None, *, invert: bool = False) -> Any:
    """Return the MetadataMatcher for what a filter has found out under `path`: a text, or a list with a text,
    that the StringMatcher `text` matches. None: it is there, whatever it is."""
    out = metadata_pb2.MetadataMatcher(filter=filter_name, invert=invert)
    for key in path:
        out.path.add(key=key)
    if text is None:
        out.value.present_match = True
        return out
    either = out.value.or_match.value_matchers
    either.add().list_match.one_of.string_match.CopyFrom(text)
    either.add().string_match.CopyFrom(text)
    return out


def claim(path: Sequence[str], text: Any | None, *, invert: bool = False) -> Any:
    """Return the same for a claim of the request's token."""
    return found_out(JWT_FILTER, (JWT_PAYLOAD, *path), text, invert=invert)
