"""What a client's clusters wait for, so that it is sent even if the stream breaks before it arrives.

A changed EDS cluster warms only when its ClusterLoadAssignment arrives after it ("Resource warming"). If the
stream breaks between the two, an incremental client comes back and truthfully claims to hold both, the new
cluster and the old load assignment: by its versions it is owed nothing, and the cluster would stay cold until
`initial_fetch_timeout`. So what was on its way is remembered for the node's next stream.

A state-of-the-world client that refuses clusters or listeners may have applied the good ones, and still names
the version that it accepted before. So it is remembered too that a stream ended with an unanswered or refused
response of these types.
"""

from collections.abc import Set
from weakref import WeakValueDictionary

from mizzen.xds.batch import Batch

Child = tuple[str, str]
"""(type URL, name)."""

_NOTHING: frozenset[Child] = frozenset()

_CHILDREN = 100_000
"""So many are remembered of the broken streams of a group; what the oldest left is forgotten first."""


class Warming:
    """What the clusters of one stream wait for.

    Responses are known by their numbers, which count up on a stream: what was sent before a cluster does not
    warm it.
    """

    __slots__ = ("__weakref__", "_waiting", "unsure")

    def __init__(self) -> None:
        self._waiting: dict[Child, int] = {}
        self.unsure: set[str] = set()
        """The types of which the client may hold more than it accepted."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def children(self) -> frozenset[Child]:
        """What did not arrive yet, as far as we know."""
        return frozenset(self._waiting)

    def expect(self, child: Child, number: int) -> None:
        """A cluster that waits for this is in response `number`."""
        self._waiting[child] = number

    def arrived(self, batch: Batch, number: int) -> None:
        """The client accepted a later response; what does not exist is not waited for either."""
        for name in (*(resource.name for resource in batch.resources), *batch.removed):
            child = batch.type_url, name
            if self._waiting.get(child, number) < number:
                del self._waiting[child]

    def warm(self, number: int, on_their_way: Set[Child] = _NOTHING) -> None:
        """The client accepted the clusters of response `number`, which it does when they are warm, or at once
        if it is an old one: what is still on its way is waited for.
        """
        waiting = self._waiting.items()
        self._waiting = {child: since for child, since in waiting if since > number or child in on_their_way}


class Interrupted:
    """What nodes of a group were waiting for when their streams ended, or will have been: a client whose
    connection broke may be back before the server knows of the break.
    """

    __slots__ = ("_children", "_open", "_size", "_unsure")

    def __init__(self) -> None:
        self._children: dict[str, frozenset[Child]] = {}
        self._open: WeakValueDictionary[str, Warming] = WeakValueDictionary()
        self._size = 0
        self._unsure: dict[str, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self._children)

    def begin(self, node_id: str, warming: Warming) -> frozenset[Child]:
        """A stream of this node begins; return what it must be sent. What an ended stream left is not
        remembered after that.
        """
        older = self._open.get(node_id)
        self._open[node_id] = warming
        found = self._forget(node_id) if self._children else _NOTHING
        return found | older.children if older else found

    def unsure(self, node_id: str, warming: Warming) -> frozenset[str]:
        """A stream of this node begins; return the types of which it may hold more than it says."""
        older = self._open.get(node_id)
        self._open[node_id] = warming
        found = self._unsure.pop(node_id, frozenset())
        return found | older.unsure if older is not None else found

    def end(self, node_id: str, warming: Warming) -> None:
        """A stream of this node ended."""
        if self._open.get(node_id) is warming:
            del self._open[node_id]
        if warming.unsure:
            self._unsure[node_id] = frozenset(warming.unsure)
        while len(self._unsure) > _CHILDREN:
            del self._unsure[next(iter(self._unsure))]
        if not warming:
            return
        children = warming.children | self._forget(node_id)
        self._children[node_id] = children
        self._size += len(children)
        while self._size > _CHILDREN and len(self._children) > 1:
            self._forget(next(iter(self._children)))

    def _forget(self, node_id: str) -> frozenset[Child]:
        found = self._children.pop(node_id, _NOTHING)
        self._size -= len(found)
        return found
