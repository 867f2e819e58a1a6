"""What the clients of a group accepted of one type, recorded as pointers to collections.

With an entry for each resource, memory would grow with groups times resources, and the cost of an ACK with
the size of the response. Pointers are shared: groups with the same collections (in Mizzen each proxy is a
group of its own) store each collection once.
"""

from collections.abc import Iterator, Mapping

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection

_STATES = 4
"""Most states in one record: clients of a group may ask for different names."""

_STEPS = 16
"""Most steps back from an accepted version that a client rejects later."""

Names = frozenset[str] | None
"""The names that a client asks for; None for all."""


class Accepted:
    """The states that clients accepted, and what they had before.

    Attributes:
        states: pairs of the names that a client asked for and the collection that it accepted; newest first.
        steps: pairs of the names that a client asked for before a step and the resources that the step
            replaced or removed (None for a resource that the step added); newest first.
    """

    __slots__ = ("states", "steps")

    def __init__(self) -> None:
        self.states: tuple[tuple[Names, Collection], ...] = ()
        self.steps: tuple[tuple[Names, Mapping[str, Resource | None]], ...] = ()

    def add(
        self, names: Names, collection: Collection, before: Collection | None, names_before: Names
    ) -> None:
        """Record that a client asking for `names` accepted `collection`. Before that it had `before`, and
        asked for `names_before`.
        """
        states = self.states
        if states and states[0][1] is collection and states[0][0] is names:
            return  # the usual case: the clients of a group accept the same
        alike = len(states) == 1 and states[0][0] is names
        if before is not None and before is not collection:
            replaced = collection.since(before).replaced
            # `alike`: no client of the group has accepted this collection yet, so no step leads to it.
            if replaced and (alike or not self._knows(replaced, names_before)):
                self.steps = ((names_before, replaced), *self.steps[: _STEPS - 1])
        if alike:
            self.states = ((names, collection),)
            return
        others = [state for state in states if state[0] is not names and not _includes(names, state[0])]
        self.states = ((names, collection), *others[: _STATES - 1])

    def _knows(self, replaced: Mapping[str, Resource | None], names: Names) -> bool:
        for asked, each in self.steps:  # noqa: SIM110 - twice as fast as any(), and asked at each ACK
            if each is replaced and _includes(asked, names):
                return True
        return False

    def versions(self, name: str) -> Iterator[Resource]:
        """The accepted versions of a resource, newest first; none for a removed resource."""
        for names, collection in self.states:
            found = collection.resources.get(name)
            if found is not None and _asks_for(names, found):
                yield found
                break
            if names is None or name in names:
                return
        for names, replaced in self.steps:
            if name in replaced:
                former = replaced[name]
                if former is None:
                    return
                if _asks_for(names, former):
                    yield former


def _asks_for(names: Names, resource: Resource) -> bool:
    return names is None or resource.name in names or not names.isdisjoint(resource.aliases)


def _includes(names: Names, others: Names) -> bool:
    return names is None or names is others or (others is not None and names >= others)
