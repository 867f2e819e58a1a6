"""What a client's next stream must know about its last one: what its clusters wait for, and what is in doubt.

A changed EDS cluster becomes warm only when its ClusterLoadAssignment arrives after it ("Resource warming").
If the stream breaks between the two, an incremental client comes back and truthfully claims both: the new
cluster and the old load assignment. By these versions it is owed nothing, and the cluster would stay cold
until `initial_fetch_timeout`. So the server remembers, for the node's next stream, what was not sent yet.

A client that rejects a response may have applied its good resources, and still claims the versions that it
had before. So the server also remembers which resources were unanswered or rejected when a stream ended.
"""

from collections.abc import Callable, Mapping, Set
from types import MappingProxyType
from typing import NamedTuple
from weakref import WeakValueDictionary

from mizzen.xds.response import ResponseContent

Child = tuple[str, str]
"""(type URL, name)."""

Doubts = Mapping[str, Mapping[str, str | None]]
"""By type URL, the names for which a client may have a different version than it claims, each with the
version that it will claim (None: no claim)."""

_NOTHING: frozenset[Child] = frozenset()


def _none() -> Doubts:
    return {}


_CHILDREN = 100_000
"""Most names that are remembered for the broken streams of a group; the oldest stream's are dropped first."""


class Warming:
    """The resources that the clusters of one stream wait for.

    Responses have increasing numbers: a resource in an earlier response than the cluster does not warm it.
    """

    __slots__ = ("__weakref__", "_waiting", "in_doubt")

    def __init__(self, in_doubt: Callable[[], Doubts] = _none) -> None:
        self._waiting: dict[Child, int] = {}
        self.in_doubt = in_doubt
        """Returns what is in doubt now."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def children(self) -> frozenset[Child]:
        """The resources that, as far as the server knows, have not arrived yet."""
        return frozenset(self._waiting)

    def expect(self, child: Child, number: int) -> None:
        """Response `number` has a cluster that waits for this resource."""
        self._waiting[child] = number

    def arrived(self, content: ResponseContent, number: int) -> None:
        """The client accepted response `number`: its resources, and names that it removes, have arrived for
        clusters of earlier responses.
        """
        for name in (*(resource.name for resource in content.resources), *content.removed):
            child = content.type_url, name
            if self._waiting.get(child, number) < number:
                del self._waiting[child]

    def warm(self, number: int, on_their_way: Set[Child] = _NOTHING) -> None:
        """The client accepted the clusters of response `number`. Envoy does so when they are warm, or at once
        in an old version; so resources in `on_their_way` still count as not arrived.
        """
        waiting = self._waiting.items()
        self._waiting = {child: since for child, since in waiting if since > number or child in on_their_way}


class Unfinished(NamedTuple):
    """What a node's streams left unfinished: the `children` that clusters wait for, and what is in doubt."""

    children: frozenset[Child] = _NOTHING
    doubts: Doubts = MappingProxyType({})

    @classmethod
    def by(cls, warming: Warming) -> "Unfinished":
        """What a stream leaves unfinished if it ends now."""
        return cls(warming.children, warming.in_doubt())

    @property
    def size(self) -> int:
        """Number of remembered names."""
        return len(self.children) + sum(len(names) or 1 for names in self.doubts.values())

    def __or__(self, later: "Unfinished") -> "Unfinished":
        doubts = {each: {**names, **self.doubts.get(each, {})} for each, names in later.doubts.items()}
        return Unfinished(self.children | later.children, {**self.doubts, **doubts})


class InterruptedStreams:
    """What the nodes of a group were waiting for when their streams ended. Open streams count too: a client
    whose connection broke may be back before the server notices the break.
    """

    __slots__ = ("_open", "_size", "_unfinished")

    def __init__(self) -> None:
        self._unfinished: dict[str, Unfinished] = {}
        self._open: WeakValueDictionary[str, Warming] = WeakValueDictionary()
        self._size = 0

    def __len__(self) -> int:
        return len(self._unfinished)

    def begin(self, node_id: str, warming: Warming) -> Unfinished:
        """A stream of this node begins: return what its earlier streams left unfinished, and forget what the
        ended ones left.
        """
        older = self._open.get(node_id)
        self._open[node_id] = warming
        found = self._forget(node_id) if self._unfinished else Unfinished()
        return found | Unfinished.by(older) if older is not None else found

    def end(self, node_id: str, warming: Warming) -> None:
        """A stream of this node ended."""
        if self._open.get(node_id) is warming:
            del self._open[node_id]
        unfinished = Unfinished.by(warming)
        warming.in_doubt = _none  # break the reference cycle with the stream
        if not unfinished.children and not unfinished.doubts:
            return
        self._unfinished[node_id] = unfinished = self._forget(node_id) | unfinished
        self._size += unfinished.size
        while self._size > _CHILDREN and len(self._unfinished) > 1:
            self._forget(next(iter(self._unfinished)))

    def _forget(self, node_id: str) -> Unfinished:
        found = self._unfinished.pop(node_id, Unfinished())
        self._size -= found.size
        return found
