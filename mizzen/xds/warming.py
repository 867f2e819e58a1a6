"""What a client's next stream must know of its last: what its clusters wait for, and what is in doubt.

A changed EDS cluster warms only when its ClusterLoadAssignment arrives after it ("Resource warming"). If the
stream breaks between the two, an incremental client comes back and truthfully claims to hold both, the new
cluster and the old load assignment: by its versions it is owed nothing, and the cluster would stay cold until
`initial_fetch_timeout`. So what was on its way is remembered for the node's next stream.

A client that refuses a response may have applied the good resources of it, and still claims the versions that
it had before. So it is remembered too what of a stream's responses was unanswered or refused when it ended.
"""

from collections.abc import Callable, Mapping, Set
from types import MappingProxyType
from typing import NamedTuple
from weakref import WeakValueDictionary

from mizzen.xds.batch import Batch

Child = tuple[str, str]
"""(type URL, name)."""

Doubts = Mapping[str, Mapping[str, str | None]]
"""By type URL the names of which a client may hold another version than it claims, each with the version that
it claims then; None: it claims none."""

_NOTHING: frozenset[Child] = frozenset()


def _none() -> Doubts:
    return {}


_CHILDREN = 100_000
"""So many are remembered of the broken streams of a group; what the oldest left is forgotten first."""


class Warming:
    """What the clusters of one stream wait for.

    Responses are known by their numbers, which count up on a stream: what was sent before a cluster does not
    warm it.
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


class Left(NamedTuple):
    """What a node's streams left: `children` that clusters wait for, and what is in doubt."""

    children: frozenset[Child] = _NOTHING
    doubts: Doubts = MappingProxyType({})

    @classmethod
    def by(cls, warming: Warming) -> "Left":
        """What a stream leaves that ends now."""
        return cls(warming.children, warming.in_doubt())

    @property
    def size(self) -> int:
        """How many names are remembered."""
        return len(self.children) + sum(len(names) or 1 for names in self.doubts.values())

    def __or__(self, later: "Left") -> "Left":
        doubts = {each: {**names, **self.doubts.get(each, {})} for each, names in later.doubts.items()}
        return Left(self.children | later.children, {**self.doubts, **doubts})


class Interrupted:
    """What nodes of a group were waiting for when their streams ended, or will have been: a client whose
    connection broke may be back before the server knows of the break.
    """

    __slots__ = ("_left", "_open", "_size")

    def __init__(self) -> None:
        self._left: dict[str, Left] = {}
        self._open: WeakValueDictionary[str, Warming] = WeakValueDictionary()
        self._size = 0

    def __len__(self) -> int:
        return len(self._left)

    def begin(self, node_id: str, warming: Warming) -> Left:
        """A stream of this node begins; return what the streams before it left. What ended ones left is not
        remembered after that.
        """
        older = self._open.get(node_id)
        self._open[node_id] = warming
        found = self._forget(node_id) if self._left else Left()
        return found | Left.by(older) if older is not None else found

    def end(self, node_id: str, warming: Warming) -> None:
        """A stream of this node ended."""
        if self._open.get(node_id) is warming:
            del self._open[node_id]
        left = Left.by(warming)
        warming.in_doubt = _none  # it leads to the stream, which leads back
        if not left.children and not left.doubts:
            return
        self._left[node_id] = left = self._forget(node_id) | left
        self._size += left.size
        while self._size > _CHILDREN and len(self._left) > 1:
            self._forget(next(iter(self._left)))

    def _forget(self, node_id: str) -> Left:
        found = self._left.pop(node_id, Left())
        self._size -= found.size
        return found
