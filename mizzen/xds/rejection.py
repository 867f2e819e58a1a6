"""The resources that the `error_detail` of a NACK blames.

The protocol has no field for their names; clients write prose. The forms known here come from real clients:

* Envoy, for a resource with a wrong meaning: `Error adding/updating cluster(s) NAME: reason, NAME: reason`
  and `Error adding/updating listener(s) NAME: reason` with a line for each.
* Envoy, for a message that breaks a field's constraint: `Proto constraint validation failed (...)`,
  sometimes with the message in text form, where the name is a field.
* gRPC: `xDS response validation errors: [resource index 0: NAME: reason; ...]`.

The cost is bounded for any message: it is read once, not searched for each name.
"""

import re
from collections.abc import Iterable, Iterator

_LISTED = re.compile(r"Error adding/updating (?:cluster|listener)\(s\) (.*)", re.DOTALL)
_NEXT_ITEM = re.compile(r", |\n")
_INDEXED = re.compile(r"resource index \d+: ")
_IN_TEXT_FORM = re.compile(r'\b(?:cluster_)?name: "([^"]*)"')
_QUOTE = re.compile("['\"`]")


def culprits(message: str, candidates: Iterable[str]) -> frozenset[str]:
    """The candidates that a NACK's message blames; empty if the message does not tell.

    A single candidate is to blame, whatever the message says.
    """
    names = frozenset(candidates)
    if len(names) <= 1:
        return names
    listed = _LISTED.search(message)
    if listed is not None:
        items = listed[1]
        return frozenset(_heads(items, [0, *(each.end() for each in _NEXT_ITEM.finditer(items))], names))
    indexed = [each.end() for each in _INDEXED.finditer(message)]
    if indexed:
        return frozenset(_heads(message, indexed, names))
    return names.intersection(_IN_TEXT_FORM.findall(message)) or names.intersection(
        _QUOTE.split(message)[1:-1]
    )


def _heads(text: str, starts: Iterable[int], names: frozenset[str]) -> Iterator[str]:
    """The names at one of the starts, followed by `: `. A name may contain `: ` itself."""
    longest = max(map(len, names))
    for start in starts:
        end = text.find(": ", start, start + longest + 2)
        while end != -1:
            if text[start:end] in names:
                yield text[start:end]
            end = text.find(": ", end + 2, start + longest + 2)
