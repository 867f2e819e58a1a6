"""What the clients of a group accepted of one type, as pointers to collections.

An entry for each resource would cost every group as much as its resources are many, and every ACK as much
as the response holds. Groups that are given the same collections (each proxy of Mizzen is a group of its
own) share what is kept here.
"""

from collections.abc import Iterator, Mapping

from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection

_STATES = 4
"""Clients of one group that ask for different names are remembered so many times."""

_STEPS = 16
"""From a version that was accepted, and that a client refuses later, the way back is so long."""

Names = frozenset[str] | None
"""The names that a client asks for; None for all."""


class Accepted:
    """The states that clients were brought to, and what they had before.

    Attributes:
        states: what was asked for, and the collection that it was brought to; newest first.
        steps: what had been asked for before the step, and the resources that it replaced or took away, None
            for those that it brought; newest first.
    """

    __slots__ = ("states", "steps")

    def __init__(self) -> None:
        self.states: tuple[tuple[Names, Collection], ...] = ()
        self.steps: tuple[tuple[Names, Mapping[str, Resource | None]], ...] = ()

    def add(
        self, names: Names, collection: Collection, before: Collection | None, names_before: Names
    ) -> None:
        """A client that asks for `names` accepted `collection`; it had `before`, when it asked for
        `names_before`.
        """
        if self.states and self.states[0][1] is collection and self.states[0][0] is names:
            return  # the clients of a group accept the same, so this is usually so
        if before is not None and before is not collection:
            replaced = collection.since(before).replaced
            known = any(replaced is each and _includes(asked, names_before) for asked, each in self.steps)
            if replaced and not known:
                self.steps = ((names_before, replaced), *self.steps[: _STEPS - 1])
        others = [state for state in self.states if not _includes(names, state[0])]
        self.states = ((names, collection), *others[: _STATES - 1])

    def versions(self, name: str) -> Iterator[Resource]:
        """The accepted versions of a resource, newest first. What was removed has none."""
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
