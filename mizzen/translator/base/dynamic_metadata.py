"""Conditions on the dynamic metadata that filters write for a request, such as the claims of its token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from envoy.type.matcher.v3 import metadata_pb2

JWT_FILTER: Final = "envoy.filters.http.jwt_authn"
JWT_PAYLOAD: Final = "payload"
"""The key in that filter's metadata that holds the claims of a valid token."""


def found_out(filter_name: str, path: Sequence[str], text: Any | None, *, invert: bool = False) -> Any:
    """Return the MetadataMatcher for the value that a filter wrote under `path`.

    The value matches if it is a text, or a list that contains a text, that the StringMatcher `text` matches.
    With None, any value matches.
    """
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
    """Return the MetadataMatcher for a claim of the request's token; see `found_out`."""
    return found_out(JWT_FILTER, (JWT_PAYLOAD, *path), text, invert=invert)
