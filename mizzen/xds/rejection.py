"""Who is meant by the `error_detail` of a NACK.

The protocol has no field for it; clients write prose. The forms known here were read from real clients:

* Envoy, a resource that breaks a rule of meaning: `Error adding/updating cluster(s) NAME: reason, NAME:
  reason` and `Error adding/updating listener(s) NAME: reason` with a line for each.
* Envoy, a message that breaks a field's constraint: `Proto constraint validation failed (...)`, at times
  with the message in text form, where the name is a field.
* gRPC: `xDS response validation errors: [resource index 0: NAME: reason; ...]`.
"""

import re
from collections.abc import Iterable

_LISTED = re.compile(r"Error adding/updating (?:cluster|listener)\(s\) (.*)", re.DOTALL)
_INDEXED = "resource index "


def culprits(message: str, candidates: Iterable[str]) -> frozenset[str]:
    """Those of the candidates that a NACK's message blames; empty if it cannot be told.

    A single candidate is to blame whatever the message says.
    """
    names = list(candidates)
    if len(names) == 1:
        return frozenset(names)
    listed = _LISTED.search(message)
    if listed is not None:
        found = [name for name in names if _heads_an_item(name, listed[1])]
    elif _INDEXED in message:
        found = [n for n in names if re.search(rf"resource index \d+: {re.escape(n)}: ", message)]
    else:
        found = _in_text_form(message, names) or [name for name in names if _quoted(name, message)]
    return frozenset(found)


def _heads_an_item(name: str, items: str) -> bool:
    """Whether `NAME: ` stands at the beginning, or after a comma or a new line."""
    head = name + ": "
    return items.startswith(head) or f", {head}" in items or f"\n{head}" in items


def _in_text_form(message: str, names: list[str]) -> list[str]:
    return [n for n in names if f'name: "{n}"' in message]


def _quoted(name: str, message: str) -> bool:
    return any(f"{mark}{name}{mark}" in message for mark in ("'", '"', "`"))
