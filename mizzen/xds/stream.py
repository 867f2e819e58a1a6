"""One stream of one client, without its transport: requests, changes and the clock go in, responses and
events come out.

    stream.receive(request, now)    handle a request of the client
    stream.poll(now)                the next response that is due, or None; poll again after every change
    stream.deadline                 when to poll again although nothing happened
    stream.events()                 the events since the last call

A response is made when the transport is ready to send it, so it has the newest state, and no queue grows.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf

from mizzen.xds import rejection
from mizzen.xds.channel import Channel, Nack
from mizzen.xds.channels import Channels
from mizzen.xds.events import Acked, Client, Event, Recovered, Rejected, Stuck, Subscribed
from mizzen.xds.group import Group, RejectedResource
from mizzen.xds.ordering import RETAINED, USERS, Arrival, Gate, MakeBeforeBreak, Phase, Policy
from mizzen.xds.outstanding import Outstanding, Reply
from mizzen.xds.resource import Resource
from mizzen.xds.response import Dialect, Response, ResponseContent
from mizzen.xds.snapshot import Collection, Snapshot
from mizzen.xds.stuck import probable_culprits
from mizzen.xds.subscription import Fallback, Subscription
from mizzen.xds.type_urls import CLUSTER
from mizzen.xds.warming import Child, Doubts, Warming
from mizzen.xds.wire import BadRequest, DeltaRequest, Request


class Stream:
    """The server's side of one stream.

    Args:
        client: the client; all events carry it.
        group: the client's group.
        dialect: the form of the responses.
        policy: the order of sending; a stream for one type has no order.
        only_type: the type of a stream that serves one type; None for the aggregated service.
        fallback: returns answers for names that do not exist.
        max_names: most names that the client may ask for, all types together; also the most resources of one
            type that it may claim to have.
    """

    def __init__(
        self,
        client: Client,
        group: Group,
        dialect: Dialect,
        policy: Policy,
        *,
        only_type: str | None = None,
        fallback: Fallback | None = None,
        max_names: int = 1_000_000,
    ) -> None:
        self.client = client
        self.group = group
        self.dialect = dialect
        self.policy = policy
        self._fallback = fallback
        self._only_type = only_type
        self._max_names = max_names
        self._gate: Gate | None = None
        if isinstance(policy, MakeBeforeBreak) and only_type is None:
            self._gate = Gate(policy.grace)
        self._channels = Channels(
            delta=dialect.delta, share=group.share, only_type=only_type, in_order=self._gate is not None
        )
        self.channels: Mapping[str, Channel] = self._channels.by_type
        self._nonces = 0
        self._warming = Warming(self._in_doubt)
        # Nothing is due before `_quiet_until` as long as `_quiet_goal` is the snapshot. Most polls find that.
        self._quiet_goal: Snapshot | None = None
        self._quiet_until = inf
        self.untold: list[Event] = []
        self._doubts: dict[str, Mapping[str, str | None]] = {}
        if only_type is None:
            left = group.interrupted.begin(client.node_id, self._warming)
            self._doubts.update(left.doubts)
            for child in left.children:
                self._warming.expect(child, 0)
                self._channel(child[0]).subscription.voided.add(child[1])

    @property
    def phase(self) -> Phase:
        """The phase of the client in the order of a change."""
        return self._gate.phase if self._gate is not None else Phase.REST

    def events(self) -> list[Event]:
        """The events since the last call."""
        events, self.untold = self.untold, []
        return events

    def end(self) -> None:
        """The transport is closed: the group remembers what the client's next stream must send again."""
        if self._only_type is None:
            self.group.interrupted.end(self.client.node_id, self._warming)

    def _in_doubt(self) -> Doubts:
        found = ((each.type_url, each.subscription.in_doubt) for each in self._channels.ranked)
        return {**self._doubts, **{type_url: names for type_url, names in found if names is not None}}

    @property
    def costly(self) -> bool:
        """True if the next step is costly: many resources were rejected, or many names do not exist."""
        return self.group.costly or (self._channels.may_be_costly and self._channels.costly)

    # In

    def receive(self, request: Request, now: float) -> bool:
        """Handle a request; return True if it changes what the clients of the group are sent: a resource was
        rejected, or accepted after all.

        Raises:
            BadRequest: the request breaks the protocol.
        """
        quiet, self._quiet_goal = self._quiet_goal, None
        channel = self.channels.get(request.type_url) or self._channel(request.type_url)
        subscription = channel.subscription
        if not subscription.started:
            self._check_claims(request)
        names, wildcard = subscription.names, subscription.wildcard
        before, before_for = subscription.accepted, subscription.accepted_for
        if before is channel.probe:
            before = None  # a probe must never be restored as the last accepted version
        reply, outstanding = channel.receive(request, now)
        if subscription.wildcard is not wildcard or subscription.names is not names:
            self._names_changed(subscription)
        if outstanding is None:
            if quiet is not None and channel.nack is None:
                self._take_claims(channel, quiet)
                if self._stays_quiet(channel, quiet):
                    self._quiet_goal = quiet
            return False
        if self._gate is not None and channel.type_url in USERS:
            self._gate.answered(now)
        if reply is Reply.ACK:
            content, nonce = outstanding.content, outstanding.nonce
            if outstanding.target is not channel.probe:
                self.group.accepted(outstanding.asked, outstanding.result, before, before_for)
            if self._warming:
                self._note_warmth(content, int(nonce, 16))
            waited = now - outstanding.sent_at
            recovered = None if channel.retried is None else self._released(channel)
            self.untold.append(
                Acked(self.client, channel.type_url, content.version, nonce, waited, recovered)
            )
            if quiet is not None and self._stays_quiet(channel, quiet):
                self._quiet_goal = quiet
            return recovered is not None
        if reply is Reply.NACK and request.error is not None:
            return self._rejected(channel, outstanding, request.error.message, now)
        return False

    def _check_claims(self, request: Request) -> None:
        claimed = len(request.initial_versions) if isinstance(request, DeltaRequest) else 0
        if claimed > self._max_names:
            raise BadRequest(f"{claimed} initial_resource_versions; the limit is {self._max_names}")

    def _note_warmth(self, content: ResponseContent, number: int) -> None:
        if content.type_url == CLUSTER:
            self._warming.warm(number, self._on_their_way())
        else:
            self._warming.arrived(content, number)

    def _on_their_way(self) -> set[Child]:
        """Resources that the client will be sent or may still reject: its clusters do not have them yet."""
        started = (each for each in self._channels.ranked if each.subscription.started)
        return {(each.type_url, name) for each in started for name in each.subscription.on_its_way}

    def _stays_quiet(self, channel: Channel, goal: Snapshot) -> bool:
        """True if it is certain that nothing is due. That is so after most ACKs, and when a client comes
        back that has everything.
        """
        if not self._rests_on(channel, goal) or channel.subscription.owes:
            return False
        if self._gate is not None:
            for each in self._channels.suppliers:
                if each.subscription.departed:
                    return False
        return channel.subscription.sent is goal.collection(channel.type_url)

    def _take_claims(self, channel: Channel, goal: Snapshot) -> None:
        """Believe a returning client's claims for this type, if nothing else can be due."""
        subscription = channel.subscription
        if subscription.sent is None and self._rests_on(channel, goal) and not self.group.has_rejected:
            target = goal.collection(channel.type_url)
            subscription.believe(target)
            if subscription.accepted is target:
                self.group.accepted(subscription.asked, target)

    def _rests_on(self, channel: Channel, goal: Snapshot) -> bool:
        """True if the client has this snapshot, or will have it without further steps of the order."""
        if goal is not self.group.effective or channel.isolation.parts:
            return False
        if self.dialect.ttl:
            return False  # heartbeats may have become due meanwhile
        return self._gate is None or self._gate.resting_on(goal)

    def _channel(self, type_url: str) -> Channel:
        known = len(self.channels)
        channel = self._channels.of(type_url)
        if len(self.channels) > known:
            channel.subscription.doubts = self._doubts.pop(channel.type_url, None)
            if channel.type_url == CLUSTER and self._gate is not None:
                self._gate.begin()
        return channel

    def _names_changed(self, subscription: Subscription) -> None:
        total = self._channels.names
        if total > self._max_names:
            raise BadRequest(f"{total} names are asked for on one stream; the limit is {self._max_names}")
        self.untold.append(
            Subscribed(self.client, subscription.type_url, subscription.wildcard, subscription.names)
        )

    def _rejected(self, channel: Channel, outstanding: Outstanding, message: str, now: float) -> bool:
        """Search for the resource to blame; return True if it is known now."""
        self._channels.may_be_costly = True
        subscription = channel.subscription
        if outstanding.target is channel.probe:
            subscription.rejected(outstanding, frozenset())
            return False  # the original bytes follow, and the client judges them in the same way
        new_names = outstanding.new_names
        suspects = {r.name: r for r in outstanding.content.resources if r.name in new_names}
        if channel.retried is not None and channel.retried.name in suspects:
            suspects[channel.retried.name] = channel.retried  # in its first form, whichever was sent
        on_trial = channel.isolation.on_trial
        if not on_trial.isdisjoint(suspects):
            # A resource that changed during the search may be to blame as well. Those that are tried later
            # were sent in their accepted version.
            good = partial(self.group.good, channel.type_url)
            suspects = {n: each for n, each in suspects.items() if n in on_trial or good(n) is not each}
        blamed = rejection.culprits(message, suspects)
        if blamed:
            channel.isolation.found(blamed)
            subscription.rejected(outstanding, blamed)
            # A fallback is in no collection, so no difference between collections would send it.
            subscription.owe(channel.isolation.on_trial)
        elif suspects:
            channel.isolation.rejected(suspects)
            subscription.rejected(outstanding, blamed)
        if blamed:
            self.group.reject([suspects[name] for name in blamed], message, self.client.node_id, now)
        retried, channel.retried = channel.retried is not None, None
        version = outstanding.content.version
        channel.nack = Nack(message, version, tuple(sorted(blamed or suspects)), now)
        self.untold.append(
            Rejected(
                self.client,
                channel.type_url,
                version,
                outstanding.nonce,
                message,
                tuple(suspects[name] for name in sorted(blamed)),
                () if blamed else tuple(suspects.values()),
                tuple(self.group.good(channel.type_url, name) for name in sorted(blamed)),
                retried,
            )
        )
        return bool(blamed)

    def _released(self, channel: Channel) -> RejectedResource | None:
        """The client has accepted a response: release the resource that was retried in it, if any."""
        retried, channel.retried = channel.retried, None
        if retried is None or channel.subscription.outstanding is not None:
            return None  # the answer came late: the retried resource had been taken back already
        return self.group.release(retried)

    # Out

    def poll(self, now: float) -> Response | None:
        """The next response; None if nothing is due now."""
        goal = self.group.effective
        if goal is None or (goal is self._quiet_goal and now < self._quiet_until):
            return None
        touched: frozenset[str] | None = None
        if self._quiet_goal is not None and now < self._quiet_until:
            touched = goal.since(self._quiet_goal, RETAINED).types  # the client was owed nothing before these
        else:
            self._look_at_the_clock(now)
        if self._gate is None:
            response = self._next(now, self._channels.ranked, goal.collection)
        else:
            response = self._next_in_order(self._gate, goal, now, touched)
        if response is None and self.group.has_rejected:
            response = self._try_again(goal, now)
        if response is None or (touched is not None and _is_all(response, touched)):
            self._quiet_goal = goal
            self._quiet_until = self._next_deadline()
        else:
            self._quiet_goal = None
        return response

    @property
    def quiet(self) -> bool:
        """True if it is already known that nothing is due, apart from deadlines."""
        return self._quiet_goal is not None and self._quiet_goal is self.group.effective

    def rests(self, now: float) -> bool:
        """True if it is already known that nothing is due at this time."""
        return self.quiet and now < self._quiet_until

    def _next_in_order(
        self, gate: Gate, goal: Snapshot, now: float, touched: frozenset[str] | None
    ) -> Response | None:
        """The next response in the order of the gate. `touched` are the types that changed since the client
        was owed nothing; None if it may be owed something else.
        """
        gate.aim(goal, now, self._still_needed)
        if touched is not None and not self.group.has_rejected and gate.resting_on(goal):
            channels = [each for each in self._channels.in_order if each.type_url in touched]
            return self._next(now, channels, gate.target)
        if gate.departs_at is not None and gate.departs_at <= now and self._channels.users_settled:
            for channel in self._channels.suppliers:
                if channel.subscription.departed:
                    channel.subscription.depart(goal.collection(channel.type_url))
        clusters = self.channels.get(CLUSTER)
        if gate.changed and not (clusters is not None and clusters.waiting):
            if clusters is None or clusters.settled:
                gate.arrive(Arrival.CLUSTERS_SETTLED, now)
            gate.arrive(Arrival.CHANGED, now)
        response = self._next(now, self._channels.suppliers, gate.target)
        if response is not None:
            return response
        if gate.phase is Phase.WARMING and not (clusters is not None and clusters.waiting):
            gate.arrive(Arrival.CLUSTERS_SETTLED, now)
        response = self._next(now, self._channels.users, gate.target)
        if response is None and gate.unreleased and self._channels.users_settled:
            gate.arrive(Arrival.USERS_SETTLED, now)
        return response

    def _still_needed(self, resource: Resource) -> Resource | None:
        """The resource that the client was sent under this name; else the removed one, if a cluster that was
        sent may make the client ask for it.
        """
        sent = self._sent(resource.type_url)
        if sent is not None and resource.name in sent:
            return sent[resource.name]
        return resource if resource.type_url != CLUSTER and self._sent(CLUSTER) is not None else None

    def _sent(self, type_url: str) -> Collection | None:
        channel = self.channels.get(type_url)
        return channel.subscription.sent if channel is not None else None

    def _next(
        self, now: float, channels: list[Channel], target_of: Callable[[str], Collection | None]
    ) -> Response | None:
        for channel in channels:
            if channel.waiting:
                continue
            target = target_of(channel.type_url)
            if target is None:
                continue
            subscription = channel.subscription
            if target is subscription.sent and not subscription.owes and self._is_plain(channel):
                self._note_recovery(channel)
                continue  # the usual case
            allowed = self._allowed(channel, target)
            content = channel.due(allowed, self._substitute, self.dialect, now)
            while content is None and channel.isolation.parts:
                channel.move_on()  # no resource of that part is left
                allowed = self._allowed(channel, target)
                content = channel.due(allowed, self._substitute, self.dialect, now)
            if subscription.cut_short:
                self._channels.may_be_costly = True
            if content is None:
                if subscription.accepted is not None and subscription.accepted is subscription.sent:
                    self.group.accepted(subscription.asked, subscription.accepted)
                self._note_recovery(channel)
                continue
            return self._respond(channel, content, allowed, now)
        return None

    def _respond(
        self, channel: Channel, content: ResponseContent, target: Collection, now: float
    ) -> Response:
        self._nonces += 1
        if channel.type_url == CLUSTER and self._only_type is None:
            self._void_children(channel, content, target)
        nonce = format(self._nonces, "x")
        data = content.encode(self.dialect, nonce)
        channel.sent(content, target, nonce, len(data), now, channel.answer_timeout(self.policy))
        return Response(channel.type_url, nonce, content.version, content.resources, content.removed, data)

    def _try_again(self, goal: Snapshot, now: float) -> Response | None:
        """Nothing is due: retry the first resource that the client rejected, if it is time."""
        retry = self._next_retry(goal)
        if retry is None or retry[0] > now:
            return None
        rejected = retry[1].resource
        channel = self.channels[rejected.type_url]
        target = self.group.acceptable(goal.collection(rejected.type_url)).updated([retry[1].form], ())
        content = channel.due(target, self._substitute, self.dialect, now)
        assert content is not None, "the client does not have it, as it rejected it"
        response = self._respond(channel, content, target, now)
        self.group.retried(retry[1], now)
        channel.retried = rejected
        return response

    def _next_retry(self, goal: Snapshot) -> tuple[float, RejectedResource] | None:
        """Return the time and entry of the next retry; None as long as another response may become due."""
        busy = any(each.waiting or each.isolation.parts for each in self._channels.ranked)
        if busy or (self._gate is not None and not self._gate.resting_on(goal)):
            return None
        can_take = {each.type_url: each.can_take for each in self._channels.ranked}
        return self.group.next_retry(self.client.node_id, can_take)

    def _is_plain(self, channel: Channel) -> bool:
        return not channel.isolation.parts and channel.beat_at is None and not self.group.has_rejected

    def _substitute(self, type_url: str, name: str) -> Resource | None:
        """The fallback's answer for a name that does not exist; None if that was rejected, or is tried later
        in the search for a bad resource.
        """
        if self._fallback is None or name in self.channels[type_url].isolation.waiting:
            return None
        found = self._fallback(type_url, name)
        return found if found is None or not self.group.is_rejected(found) else None

    def _note_recovery(self, channel: Channel) -> None:
        """Clear the NACK of a channel if the rejected resources are gone from the snapshot. The client has
        all the rest, so no ACK will do it.
        """
        rejected = channel.nack is not None and not channel.isolation.parts
        if not rejected or any(each.resource.type_url == channel.type_url for each in self.group.rejected):
            return
        channel.nack = None
        self.untold.append(Recovered(self.client, channel.type_url))

    def _allowed(self, channel: Channel, target: Collection) -> Collection:
        if self.group.has_rejected:
            target = self.group.acceptable(target)
        if not channel.isolation.parts:
            return target if channel.responses else channel.probing(target)
        return channel.isolation.allowed(target, partial(self.group.good, target.type_url))

    def _void_children(self, channel: Channel, content: ResponseContent, target: Collection) -> None:
        """ "Resource warming": the resources that a changed cluster waits for must arrive after it, even if
        they did not change.
        """
        sent = channel.subscription.sent
        if sent is None or channel.subscription.everything_owed:
            changed = {resource.name for resource in content.resources}
        else:
            changed = set(target.since(sent).changed) | channel.subscription.owed
        for name in changed:
            resource = target.find(name)
            if resource is None or not channel.subscription.asks_for(resource):
                continue
            for child in resource.children:
                # Also for a type that the client has not asked for yet: a reconnecting client may first ask
                # for clusters, and then claim to have the endpoints.
                if self.dialect.delta or sent is not None or self._sent(child[0]) is not None:
                    self._channel(child[0]).subscription.voided.add(child[1])
                    if self.dialect.delta and sent is not None:
                        self._warming.expect(child, self._nonces)

    # The clock

    @property
    def deadline(self) -> float:
        """When `poll` must be called although nothing happened; infinite for never."""
        return self._quiet_until if self._quiet_goal is not None else self._next_deadline()

    def _next_deadline(self) -> float:
        earliest = inf
        departing = False
        for channel in self._channels.ranked:
            if channel.deadline < earliest:
                earliest = channel.deadline
            if channel.beat_at is not None and not channel.waiting:
                earliest = min(earliest, channel.beat_at)
            if channel.subscription.departed:
                departing = True
        if (gate := self._gate) is not None:
            earliest = min(earliest, gate.deadline)
            if departing and gate.departs_at is not None and self._channels.users_settled:
                earliest = min(earliest, gate.departs_at)
        if self.group.has_rejected and (goal := self.group.effective) is not None:
            retry = self._next_retry(goal)
            earliest = min(earliest, retry[0] if retry is not None else inf)
        return earliest

    def _look_at_the_clock(self, now: float) -> None:
        for channel in self._channels.ranked:
            late = channel.given_up(now)
            if late is not None:
                channel.culprits = culprits = probable_culprits(late, self.channels)
                version, waited = late.content.version, now - channel.sent_at
                self.untold.append(
                    Stuck(self.client, channel.type_url, version, late.nonce, waited, culprits)
                )


def _is_all(response: Response, touched: frozenset[str]) -> bool:
    """True if this response brings all of a change of these types."""
    return len(touched) == 1 and response.type_url in touched and response.type_url != CLUSTER
