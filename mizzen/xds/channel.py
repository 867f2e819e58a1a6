"""The exchange about one type on one stream: its subscription, deadlines and counters."""

from dataclasses import dataclass
from math import inf

from mizzen.xds.isolation import Isolation
from mizzen.xds.ordering import Policy
from mizzen.xds.outstanding import Outstanding, Reply
from mizzen.xds.resource import Resource
from mizzen.xds.response import Dialect, ResponseContent
from mizzen.xds.snapshot import Collection
from mizzen.xds.subscription import Fallback, Subscription
from mizzen.xds.type_urls import CLUSTER, UNTRIED, push_rank
from mizzen.xds.wire import Request


@dataclass(frozen=True, slots=True)
class Nack:
    """The last NACK of a type. The next ACK deletes it."""

    message: str
    version: str
    names: tuple[str, ...]
    at: float


class Channel:
    """One type on one stream.

    Attributes:
        deadline: until when to wait for the answer to the response in flight; infinite if none is waited for.
        overdue: the response in flight was not answered in time.
        retried: the resource that the client had rejected, and that the response in flight tries again.
        probe: the collection of the first response, if that has resources in changed bytes
            (`Resource.again`); else None. A client may accept, without trying them, bytes that it rejected
            on an earlier stream, and the server may not know of that stream.
    """

    __slots__ = (
        "accepted_at",
        "accepted_version",
        "beat_at",
        "bytes_sent",
        "culprits",
        "deadline",
        "isolation",
        "nack",
        "overdue",
        "probe",
        "rank",
        "responses",
        "retried",
        "sent_at",
        "sent_version",
        "subscription",
        "type_url",
    )

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.type_url = subscription.type_url
        self.rank = push_rank(self.type_url)
        self.sent_at = 0.0
        self.sent_version = ""
        self.accepted_at = 0.0
        self.accepted_version = ""
        self.deadline = inf
        self.overdue = False
        self.culprits: tuple[Resource, ...] = ()
        self.nack: Nack | None = None
        self.isolation = Isolation()
        self.beat_at: float | None = None
        self.bytes_sent = 0
        self.responses = 0
        self.retried: Resource | None = None
        self.probe: Collection | None = None

    @property
    def waiting(self) -> bool:
        """True if a response is in flight and its deadline has not passed."""
        return self.subscription.outstanding is not None and not self.overdue

    @property
    def settled(self) -> bool:
        """True if the client accepted the last response, or has not answered it before the deadline."""
        return self.overdue or (self.subscription.outstanding is None and self.nack is None)

    def receive(self, request: Request, now: float) -> tuple[Reply, Outstanding | None]:
        """Handle a request; see `Subscription.receive`."""
        reply, outstanding = self.subscription.receive(request)
        if outstanding is None:
            return reply, None
        late = self.subscription.outstanding is not None
        if reply is Reply.ACK:
            self.accepted_at = now
            self.accepted_version = outstanding.content.version
            if self.isolation.parts and not late and outstanding.on_trial == self.isolation.on_trial:
                self.move_on()
            if not self.isolation.parts:
                self.nack = None
        if not late:
            self.deadline = inf
            self.overdue = False
            self.culprits = ()
        return reply, outstanding

    def given_up(self, now: float) -> Outstanding | None:
        """Stop waiting if the deadline has passed; return the response that is not waited for any more."""
        if self.deadline > now:
            return None
        self.overdue = True
        self.deadline = inf
        return self.subscription.outstanding

    def move_on(self) -> None:
        """The resources on trial are good, or none of them is left: send the next part of the search."""
        self.isolation.accepted()
        self.subscription.owe(self.isolation.on_trial)

    def due(
        self, target: Collection, fallback: Fallback | None, dialect: Dialect, now: float
    ) -> ResponseContent | None:
        """The next response; a heartbeat if only that is due; None if nothing is due."""
        content = self.subscription.due(target, fallback)
        if not dialect.ttl:
            return content
        if content is None and self.beat_at is not None and self.beat_at <= now:
            content = self._heartbeat(target)
            self.beat_at = None
        interval = _heartbeat_interval(self._with_ttl(target))
        if interval is None:
            self.beat_at = None
        elif self.beat_at is None or self.beat_at > now + interval:
            self.beat_at = now + interval
        return content

    def _with_ttl(self, target: Collection) -> list[Resource]:
        subscription = self.subscription
        return [r for r in target.with_ttl if subscription.asks_for(r)]

    def _heartbeat(self, target: Collection) -> ResponseContent | None:
        """ "TTL": the same version without a body. LDS and CDS in state of the world send everything, as in
        every response.
        """
        resources = self._with_ttl(target)
        if not resources:
            return None
        if self.subscription.full_state:
            self.subscription.everything_owed = True
            return self.subscription.due(target)
        return ResponseContent(self.type_url, target.version, tuple(resources), heartbeat=True)

    def probing(self, target: Collection) -> Collection:
        """Return the collection for the first response: `target`, with changed bytes (`Resource.again`) for
        each resource that the client does not claim to have. The client may have rejected the original bytes
        before, and would then accept them without trying them.
        """
        subscription = self.subscription
        if self.type_url not in UNTRIED or subscription.accepted is not None:
            return target
        found = map(target.find, target.keys() if subscription.wildcard else subscription.names)
        other = [
            r.again for r in found if r is not None and r.again is not None and not subscription.claims(r)
        ]
        if other:
            self.probe = target = target.updated(other, ())
        return target

    def can_take(self, resource: Resource) -> bool:
        """True if the client asks for this resource and has answered the last response."""
        subscription = self.subscription
        return subscription.started and subscription.outstanding is None and subscription.asks_for(resource)

    def answer_timeout(self, policy: Policy) -> float:
        """Return how many seconds to wait for the answer to the next response."""
        if self.type_url != CLUSTER:
            return policy.answer_timeout.total_seconds()
        overdue = self.overdue and self.subscription.outstanding is not None
        return (policy.stuck_timeout if overdue else policy.warm_timeout).total_seconds()

    def sent(
        self, content: ResponseContent, target: Collection, nonce: str, size: int, now: float, timeout: float
    ) -> None:
        """Record that a response of `size` bytes was given to the transport. Wait `timeout` seconds for its
        answer.
        """
        self.subscription.sent_out(content, target, nonce, now, self.isolation.on_trial)
        self.retried = None
        self.sent_at = now
        self.sent_version = content.version
        self.deadline = now + timeout
        self.overdue = False
        self.culprits = ()
        self.bytes_sent += size
        self.responses += 1


def _heartbeat_interval(resources: list[Resource]) -> float | None:
    """A third of the shortest TTL: then one lost or late heartbeat does no harm."""
    return min((r.ttl.total_seconds() / 3 for r in resources if r.ttl is not None), default=None)
