"""The public keys of token issuers in the state directory, so that tokens are accepted after a restart."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from mizzen.config.json_web_keys import public_key_set
from mizzen.identity.private_file import write_private
from mizzen.mesh.rules.token_keys import KeySource

FILE: Final = "token-keys.json"


class KeySetFile:
    """A file in the state directory. If it cannot be read it counts as missing: the keys are fetched
    again."""

    def __init__(self, directory: Path, on_failure: Callable[[], None] = lambda: None) -> None:
        self._path = directory / FILE
        self._on_failure = on_failure
        self._log = structlog.get_logger("mizzen.state")

    def read(self) -> Mapping[KeySource, tuple[str, float]]:
        """Return the stored keys, with the time at which they were fetched."""
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            found = {
                KeySource(str(row["uri"]), row["discovered"] is True): (
                    public_key_set(row["keys"])[0],
                    float(row["fetched"]),
                )
                for row in rows
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self._failed(f"{self._path} cannot be read ({type(error).__name__}); the keys are fetched again")
            return {}
        return {source: kept for source, kept in found.items() if kept[0]}

    def write(self, keys: Mapping[KeySource, tuple[str, float]]) -> None:
        """Replace the stored keys by these, atomically."""
        rows = [
            {"uri": source.uri, "discovered": source.discovered, "keys": text, "fetched": fetched}
            for source, (text, fetched) in sorted(keys.items())
        ]
        try:
            write_private(self._path, json.dumps(rows).encode())
        except OSError as error:
            self._failed(f"{self._path} cannot be written ({error.strerror})")

    def _failed(self, words: str) -> None:
        self._on_failure()
        self._log.error(words)
