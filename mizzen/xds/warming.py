"""What a client's clusters wait for, so that it is sent even if the stream breaks before it arrives.

A changed EDS cluster warms only when its ClusterLoadAssignment arrives after it ("Resource warming"). If the
stream breaks between the two, an incremental client comes back and truthfully claims to hold both, the new
cluster and the old load assignment: by its versions it is owed nothing, and the cluster would stay cold until
`initial_fetch_timeout`. So what was on its way is remembered for the node's next stream.
"""

from mizzen.xds.batch import Batch

Child = tuple[str, str]
"""(type URL, name)."""

_NODES = 10_000
"""So many broken streams of a group are remembered; the oldest is forgotten first."""


class Warming:
    """What the clusters of one stream wait for.

    Responses are known by their numbers, which count up on a stream: what was sent before a cluster does not
    warm it.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[Child, int] = {}

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

    def warm(self, number: int) -> None:
        """The client accepted the clusters of response `number`, which it does when they are warm."""
        self._waiting = {child: since for child, since in self._waiting.items() if since > number}


class Interrupted:
    """What nodes of a group were waiting for when their streams ended."""

    __slots__ = ("_children",)

    def __init__(self) -> None:
        self._children: dict[str, frozenset[Child]] = {}

    def __len__(self) -> int:
        return len(self._children)

    def remember(self, node_id: str, children: frozenset[Child]) -> None:
        """The stream of this node ended before these arrived."""
        self._children[node_id] = children | self._children.pop(node_id, frozenset())
        if len(self._children) > _NODES:
            del self._children[next(iter(self._children))]

    def take(self, node_id: str) -> frozenset[Child]:
        """What the next stream of this node must be sent; it is not remembered after that."""
        return self._children.pop(node_id, frozenset()) if self._children else frozenset()
