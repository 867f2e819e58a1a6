"""The option `--token-issuer` of `mizzen serve`: whose tokens count, and where their keys are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mizzen.cli.failure import Failure

if TYPE_CHECKING:
    from mizzen.mesh.rules.token_keys import KeySource

_ISSUER_BY_URI = re.compile(r"(.+?)=(https?://.*)")
"""ISSUER=URL. The issuer is often a URI itself, and the URL of its keys may have more equals signs."""


def token_issuers(texts: Iterable[str]) -> tuple[tuple[str, Path | KeySource], ...]:
    """Return the issuers that the option names, each with the file or URL of its keys. Raises Failure for a
    text that is none, and for an issuer that is named twice."""
    from mizzen.identity.token import ISSUER

    found: dict[str, Path | KeySource] = {}
    for text in texts:
        issuer, keys = _issuer(text)
        if issuer == ISSUER:
            raise Failure(f"--token-issuer {text}: {ISSUER} is this control plane itself", exit_code=2)
        if issuer in found:
            raise Failure(f"--token-issuer {text}: {issuer} is named already", exit_code=2)
        found[issuer] = keys
    return tuple(found.items())


def _issuer(text: str) -> tuple[str, Path | KeySource]:
    from urllib.parse import urlsplit

    from mizzen.config.validation.request_authentication import key_uri_problem
    from mizzen.mesh.rules.token_keys import KeySource
    from mizzen.server.address import Address

    by_uri = _ISSUER_BY_URI.fullmatch(text)
    if by_uri is None:
        issuer, found, file = text.rpartition("=")
        if not found or not issuer or not file:
            raise Failure(f"--token-issuer {text}: write ISSUER=FILE or ISSUER=URL", exit_code=2)
        return issuer, Path(file)
    issuer, uri = by_uri.groups()
    if problem := key_uri_problem(uri):
        raise Failure(f"--token-issuer {issuer}: {problem}", exit_code=2)
    parts = urlsplit(uri)
    if parts.scheme == "http" and not Address(parts.hostname or "", 0).is_loopback:
        raise Failure(
            f"--token-issuer {issuer}: whoever is on the way could change the keys; write https://",
            exit_code=2,
        )
    return issuer, KeySource(uri)
