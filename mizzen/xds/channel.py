"""The conversation about one type on one stream: its subscription, its clock and its record."""

from dataclasses import dataclass

from mizzen.xds.batch import Batch, Dialect
from mizzen.xds.isolation import Isolation
from mizzen.xds.ordering import Policy
from mizzen.xds.outstanding import Outstanding, Verdict
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection
from mizzen.xds.subscription import Fallback, Subscription
from mizzen.xds.type_urls import CLUSTER, UNTRIED, push_rank
from mizzen.xds.wire import Request


@dataclass(frozen=True, slots=True)
class Refusal:
    """The last NACK of a type, until the next ACK."""

    message: str
    version: str
    names: tuple[str, ...]
    at: float


class Channel:
    """One type on one stream.

    Attributes:
        retried: what the client had refused and the response in flight asks for again.
        probe: what the first response brought the client to, if it had something in other bytes, lest the
            client takes untried what it refused on a stream that nobody remembers.
    """

    __slots__ = (
        "accepted_at",
        "accepted_version",
        "beat_at",
        "bytes_sent",
        "culprits",
        "deadline",
        "isolation",
        "overdue",
        "probe",
        "rank",
        "refusal",
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
        self.deadline: float | None = None
        self.overdue = False
        self.culprits: tuple[Resource, ...] = ()
        self.refusal: Refusal | None = None
        self.isolation = Isolation()
        self.beat_at: float | None = None
        self.bytes_sent = 0
        self.responses = 0
        self.retried: Resource | None = None
        self.probe: Collection | None = None

    @property
    def waiting(self) -> bool:
        """Whether a response is in flight whose answer is still worth waiting for."""
        return self.subscription.outstanding is not None and not self.overdue

    @property
    def settled(self) -> bool:
        """Whether the last response was accepted, or its answer is not worth waiting for any more."""
        return self.overdue or (self.subscription.outstanding is None and self.refusal is None)

    def receive(self, request: Request, now: float) -> tuple[Verdict, Outstanding | None]:
        """Take a request; see `Subscription.receive`."""
        verdict, outstanding = self.subscription.receive(request)
        if outstanding is None:
            return verdict, None
        late = self.subscription.outstanding is not None
        if verdict is Verdict.ACK:
            self.accepted_at = now
            self.accepted_version = outstanding.batch.version
            if self.isolation and not late and outstanding.on_trial == self.isolation.on_trial:
                self.move_on()
            if not self.isolation:
                self.refusal = None
        if not late:
            self.deadline = None
            self.overdue = False
            self.culprits = ()
        return verdict, outstanding

    def move_on(self) -> None:
        """What was on trial is good, or nothing is left of it: what comes next in the search is sent."""
        self.isolation.accepted()
        self.subscription.owe(self.isolation.on_trial)

    def due(
        self, target: Collection, fallback: Fallback | None, dialect: Dialect, now: float
    ) -> Batch | None:
        """The next response, a heartbeat if there is nothing else; None if there is nothing to say."""
        batch = self.subscription.due(target, fallback)
        if not dialect.ttl:
            return batch
        if batch is None and self.beat_at is not None and self.beat_at <= now:
            batch = self._heartbeat(target)
            self.beat_at = None
        interval = _heartbeat_interval(self._with_ttl(target))
        if interval is None:
            self.beat_at = None
        elif self.beat_at is None or self.beat_at > now + interval:
            self.beat_at = now + interval
        return batch

    def _with_ttl(self, target: Collection) -> list[Resource]:
        subscription = self.subscription
        return [r for r in target.with_ttl if subscription.asks_for(r)]

    def _heartbeat(self, target: Collection) -> Batch | None:
        """ "TTL": the same version without a body. LDS and CDS in state of the world send all, as always."""
        resources = self._with_ttl(target)
        if not resources:
            return None
        if self.subscription.full_state:
            self.subscription.everything_owed = True
            return self.subscription.due(target)
        return Batch(self.type_url, target.version, tuple(resources), heartbeat=True)

    def probing(self, target: Collection) -> Collection:
        """Return what the client is to be brought to first: `target`, but in other bytes (`Resource.again`)
        what it does not claim to hold, and would take untried if it had refused it before.
        """
        subscription = self.subscription
        if self.type_url not in UNTRIED or self.responses or subscription.accepted is not None:
            return target
        found = map(target.find, target.keys() if subscription.wildcard else subscription.names)
        other = [
            r.again for r in found if r is not None and r.again is not None and not subscription.claims(r)
        ]
        if other:
            self.probe = target = target.updated(other, ())
        return target

    def can_take(self, resource: Resource) -> bool:
        """Whether the client asks for a resource and has answered what it was sent."""
        subscription = self.subscription
        return subscription.started and subscription.outstanding is None and subscription.asks_for(resource)

    def patience(self, policy: Policy) -> float:
        """Return the seconds for which the answer to the next response is worth waiting for."""
        if self.type_url != CLUSTER:
            return policy.answer_timeout.total_seconds()
        overdue = self.overdue and self.subscription.outstanding is not None
        return (policy.stuck_timeout if overdue else policy.warm_timeout).total_seconds()

    def sent(
        self, batch: Batch, target: Collection, nonce: str, size: int, now: float, timeout: float
    ) -> None:
        """A response of that many bytes was given to the transport; its answer is worth waiting for that
        long.
        """
        self.subscription.sent_out(batch, target, nonce, now, self.isolation.on_trial)
        self.retried = None
        self.sent_at = now
        self.sent_version = batch.version
        self.deadline = now + timeout
        self.overdue = False
        self.culprits = ()
        self.bytes_sent += size
        self.responses += 1


def _heartbeat_interval(resources: list[Resource]) -> float | None:
    """A third of the shortest TTL, so that one lost or late heartbeat does no harm."""
    return min((r.ttl.total_seconds() / 3 for r in resources if r.ttl is not None), default=None)
