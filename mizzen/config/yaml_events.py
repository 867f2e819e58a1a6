"""The events of YAML text, as Istio's own readers produce them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, Final

import yaml

_REFUSED: Final = "found unexpected ':'"
"""What libyaml reports for a colon at the end of a plain scalar in brackets or
braces, as in `[2001:db8::]`."""

_LAST_COLON: Final = re.compile(r"(?<=[^\s\"'\[\]{},]):(?=[,\]}])")

_STAND_INS: Final = range(0xE000, 0xF900)
"""Characters for private use: YAML allows them in any scalar, and hardly any text has all of them."""


def events(text: str) -> Iterator[Any]:
    """Yield the parser's events of `text`.

    A plain scalar in brackets or braces may end with a colon: `[10.0.0.1, 2001:db8::]` has two texts. libyaml
    rejects that, and YAML 1.2 would read the second as a key (section 7.3.3). Go's YAML readers, which
    descend from libyaml, read a text, and so does istiod.

    Raises yaml.MarkedYAMLError and yaml.reader.ReaderError.
    """
    try:
        yield from _parsed(text)
        return
    except yaml.MarkedYAMLError as error:
        stand_in = _stand_in(text) if error.problem == _REFUSED else None
        if stand_in is None:
            raise
    # The changed text has the same length, so every mark is right. It first yields the same events again.
    changed = _LAST_COLON.sub(stand_in, text)
    for event in islice(_parsed(changed), _valid_events(text), None):
        if type(event) is yaml.ScalarEvent:
            event.value = event.value.replace(stand_in, ":")
        yield event


def _parsed(text: str) -> Iterator[Any]:
    """Return the events as `yaml.parse` does, which however checks for each one twice."""
    return iter(yaml.CSafeLoader(text).get_event, None)


def _valid_events(text: str) -> int:
    """Count the events before the first error."""
    count = 0
    with suppress(yaml.MarkedYAMLError):
        for count, _ in enumerate(_parsed(text), 1):  # noqa: B007
            pass
    return count


def _stand_in(text: str) -> str | None:
    """Return a character that can replace a colon because `text` does not have it; None if it has all."""
    used = set(text)
    return next((chr(code) for code in _STAND_INS if chr(code) not in used), None)
