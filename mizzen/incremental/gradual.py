"""Functions of the members of a collection that are brought up to date in parts, when their owner has
time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from collections.abc import Set as AbstractSet
from itertools import islice
from traceback import clear_frames
from typing import Generic, TypeVar

from mizzen.incremental.collection import Collection
from mizzen.incremental.database import CheckError, Database, Failure
from mizzen.incremental.node import mark
from mizzen.incremental.query import Query
from mizzen.persistent import LayeredDict

Key = TypeVar("Key", bound=Hashable)
Source = TypeVar("Source")
Value = TypeVar("Value")


class Gradual(Generic[Key, Source, Value]):
    """What `function(key, member)` returns for each member of `source`, but None. Other reads of the function
    are recorded. Only `go_on` does the work, some members at a time: for functions that take long. If a
    function raises, also what queries do not remember, what it returned last stays."""

    __slots__ = ("_query", "_seen", "_source", "results")

    def __init__(
        self,
        database: Database,
        name: str,
        source: Collection[Key, Source],
        function: Callable[[Key, Source], Value | None],
    ) -> None:
        self._query = Query(database, name, lambda key: function(key, source.members[key]))
        self._source = source
        self._seen: LayeredDict[Key, Source] = LayeredDict()
        self.results: dict[Key, Value] = {}
        """The results as `go_on` last found them; reading this is not recorded."""

    @property
    def due(self) -> AbstractSet[tuple[Key]]:
        """The members that changed, or for which something that the function read changed."""
        query, before = self._query, self._seen
        if query.database.unsettled:
            query.database.settle()
        self._seen = self._source.members
        if self._seen is not before:
            changed = [(key,) for key in self._seen.differing(before)]
            mark(filter(None, map(query.nodes.get, changed)))
            query.stale.update(dict.fromkeys(changed))
        return query.stale.keys()

    def go_on(self, most: int) -> list[Key]:
        """Call the function for at most `most` of the members that are due; return the keys of those whose
        result changed."""
        query, changed = self._query, []
        for (key,) in list(islice(self.due, most)):
            node, before = query.node((key,)), self.results.get(key)
            result, node.is_watched = None, False
            if key in self._seen:
                try:
                    node.refresh()
                except CheckError:
                    raise
                except Exception as error:
                    clear_frames(error.__traceback__)  # after a MemoryError they may hold very much
                    node.fail(error)
                failed = isinstance(node.value, Failure)
                result = before if failed else node.value
                node.is_watched = failed or bool(node.reads)
            if not node.is_watched:
                node.evict()  # most functions read nothing but the member
            del query.stale[key,]
            if result is None:
                self.results.pop(key, None)
            else:
                self.results[key] = result
            if result != before:
                changed.append(key)
        return changed
