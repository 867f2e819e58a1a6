"""Finding the bad one in a response that was refused as a whole, without a name.

Envoy drops a response when one message in it breaks a field's constraint, and its error does not say whose
field it was. So the resources that were new in the response are tried again in halves: first one half (the
others stay at the version that the client accepted before), then, depending on the answer, a half of that
half, or the rest. A response with n new resources of which one is bad takes about 2 log2(n) further
responses; after these the bad one is known and all others are delivered.
"""

from collections.abc import Callable, Iterable

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection


class Isolation:
    """The search of one client in one type. Without a search going on, it changes nothing."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[frozenset[str]] = []

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def on_trial(self) -> frozenset[str]:
        """The names whose turn it is; all others in a response are as the client accepted them before."""
        return self._parts[0] if self._parts else frozenset()

    @property
    def waiting(self) -> frozenset[str]:
        """The names whose turn has not come."""
        return frozenset().union(*self._parts[1:])

    def refused(self, suspects: Iterable[str]) -> None:
        """The client refused a response in which these, two or more, were new."""
        names = sorted(suspects)
        middle = (len(names) + 1) // 2
        tried = frozenset(names)
        rest = [part - tried for part in self._parts]
        self._parts = [frozenset(names[:middle]), frozenset(names[middle:]), *filter(None, rest)]

    def found(self, culprits: frozenset[str]) -> None:
        """These are to blame; what was tried with them is tried again without them."""
        rest = [part - culprits for part in self._parts]
        self._parts = [part for part in rest if part]

    def accepted(self) -> None:
        """The client accepted a response: what was on trial is good."""
        if self._parts:
            del self._parts[0]

    def allowed(self, target: Collection, good: Callable[[str], Resource | None]) -> Collection:
        """The collection that may be tried now: `target`, with the names whose turn has not come as
        `good` tells, or absent.
        """
        return target.without(self.waiting, good) if len(self._parts) > 1 else target
