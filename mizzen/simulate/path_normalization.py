"""How a connection manager rewrites the path before it looks for a route.

Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/header_sanitizing; the
rules of `normalize_path` are those of RFC 3986, section 6, as Chromium's URL library has them.
"""

from __future__ import annotations

import re
from typing import Final

_UNRESERVED: Final = re.compile(r"%(?:2[DdEe]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee])")
"""Escaped letters, digits, `-`, `.`, `_` and `~`."""
_SLASHES: Final = re.compile(r"/{2,}")
_ESCAPED_SLASH: Final = re.compile(r"%2f|%5c", re.IGNORECASE)
_NEEDS_WORK: Final = re.compile(r"/\.|%|\\|[\"<>`{}^|]")
_ESCAPED: Final = re.compile(r"[\"<>`{}^|]")
_INVALID: Final = re.compile(r"[^\x21-\x7e]|%00|#")


def is_valid(path: str) -> bool:
    """Return True if Envoy accepts the path: ASCII without blanks, fragments and escaped zero bytes."""
    return _INVALID.search(path) is None


def normalized(path: str) -> str:
    """Return the path (without a query) as `normalize_path` makes it: dot segments are resolved, unnecessary
    escapes are undone, necessary ones are added."""
    if not _NEEDS_WORK.search(path):
        return path
    path = _UNRESERVED.sub(lambda found: chr(int(found[0][1:], 16)), path.replace("\\", "/"))
    segments: list[str] = []
    parts = path.split("/")[1:]
    for index, part in enumerate(parts):
        plain = part.partition(";")[0]
        if plain in (".", ".."):
            if plain == ".." and segments:
                segments.pop()
            if index == len(parts) - 1:
                segments.append("")
        else:
            segments.append(part)
    return "/" + _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", "/".join(segments))


def slashes_merged(path: str) -> str:
    """Return the path with runs of slashes replaced by one slash, as `merge_slashes` does."""
    return _SLASHES.sub("/", path)


def has_escaped_slash(path: str) -> bool:
    """Return True if the path has an escaped slash or backslash."""
    return "%" in path and _ESCAPED_SLASH.search(path) is not None


def slashes_unescaped(path: str) -> str:
    """Return the path with escaped slashes and backslashes unescaped."""
    return _ESCAPED_SLASH.sub(lambda found: "/" if found[0].lower() == "%2f" else "\\", path)
