"""The public keys of token issuers: from a file that may change, or fetched repeatedly from a URI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import jwt
import structlog

from mizzen.identity.token import TokenKeyError, parse_key_set, read_key_set
from mizzen.mesh.rules.token_keys import KeySource, TokenKeys
from mizzen.server.faults import Faults
from mizzen.server.key_set_file import KeySetFile
from mizzen.server.key_set_refresh import KeySetRefresh
from mizzen.server.metrics import Metrics
from mizzen.server.options import ServeOptions

IssuerKeys = Callable[[], Sequence[jwt.PyJWK]]
"""Returns the current keys of an issuer; empty if they are not known."""


class FileKeys:
    """The keys in a file. The file is read again when it changes; if it is invalid then, the old keys stay.

    Raises TokenKeyError if the file is invalid at first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._keys = read_key_set(path)

    def __call__(self) -> Sequence[jwt.PyJWK]:
        """Return the current keys."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._keys = read_key_set(self._path)
            except TokenKeyError as error:
                log = structlog.get_logger("mizzen.server")
                log.error("the keys of an issuer of tokens stay as they were", error=str(error))
        return self._keys


class FetchedIssuerKeys:
    """The keys that were last fetched from `source`; `told` returns them as a key set in JSON."""

    def __init__(self, source: KeySource, told: Callable[[KeySource], str]) -> None:
        self._source = source
        self._told = told
        self._parsed: tuple[str, Sequence[jwt.PyJWK]] = ("", ())

    def __call__(self) -> Sequence[jwt.PyJWK]:
        """Return the current keys."""
        text = self._told(self._source)
        if text != self._parsed[0]:
            self._parsed = (text, parse_key_set(text))
        return self._parsed[1]


def key_set_refresh(
    options: ServeOptions, changed: Callable[[TokenKeys], Awaitable[None]], metrics: Metrics, faults: Faults
) -> KeySetRefresh:
    """Return the refresh of the keys of all issuers, including those of `--token-issuer`."""
    store = KeySetFile(options.state, metrics.state_failures.inc) if options.state is not None else None
    always = [keys for _, keys in options.token_issuers if isinstance(keys, KeySource)]
    refresh = options.jwks_refresh_seconds
    return KeySetRefresh(changed, metrics, faults, always=always, store=store, refresh=refresh)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino
