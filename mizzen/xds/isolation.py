"""The search for the bad resource in a response that was rejected as a whole, without a name.

Envoy drops a response when one message in it breaks a field's constraint, and its error does not name the
resource. So the new resources of the response are tried again in halves: first one half (all others stay at
the version that the client accepted before), then, depending on the answer, a half of that half, or the
rest. If one of n new resources is bad, the search takes about 2 log2(n) further responses. After these the
bad resource is known, and all others are delivered.
"""

from collections.abc import Callable, Iterable

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection


class Isolation:
    """The search in one type of one client. It changes nothing while no search is running.

    Attributes:
        parts: the parts of the names that are still to be tried, the one on trial first; empty while no
            search is running.
    """

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: list[frozenset[str]] = []

    @property
    def on_trial(self) -> frozenset[str]:
        """The names that are tried now. A response has all other names as the client accepted them before."""
        return self.parts[0] if self.parts else frozenset()

    @property
    def waiting(self) -> frozenset[str]:
        """The names that are tried later."""
        return frozenset().union(*self.parts[1:])

    def rejected(self, suspects: Iterable[str]) -> None:
        """The client rejected a response with these new names (two or more): split them."""
        names = sorted(suspects)
        middle = (len(names) + 1) // 2
        tried = frozenset(names)
        rest = [part - tried for part in self.parts]
        self.parts = [frozenset(names[:middle]), frozenset(names[middle:]), *filter(None, rest)]

    def found(self, culprits: frozenset[str]) -> None:
        """These names are to blame: try the others of their part again without them."""
        rest = [part - culprits for part in self.parts]
        self.parts = [part for part in rest if part]

    def accepted(self) -> None:
        """The client accepted a response: the names on trial are good."""
        if self.parts:
            del self.parts[0]

    def allowed(self, target: Collection, good: Callable[[str], Resource | None]) -> Collection:
        """The collection to send now: `target`, where each name that is tried later has the version that
        `good` returns, or is left out if that is None.
        """
        return target.without(self.waiting, good) if len(self.parts) > 1 else target
