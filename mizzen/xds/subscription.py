"""What one client has asked for of one type, and what it is owed: the heart of the protocol, for both
transports.

The words in quotation marks are headings of the specification,
https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol.

A subscription remembers what the client was sent as a pointer to a `Collection`; nothing is kept for each
resource. `receive` takes what the client says, `due` says what to send it so that it comes to a given
collection, `sent_out` records that this was sent.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from types import MappingProxyType

from mizzen.xds.batch import Batch, distinct
from mizzen.xds.outstanding import Outstanding, Verdict
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection, Difference
from mizzen.xds.type_urls import FULL_STATE, UNRESOLVED
from mizzen.xds.wire import DeltaRequest, Request, SotwRequest

WILDCARD = "*"

Fallback = Callable[[str, str], Resource | None]
"""(type URL, name) to the answer for a name that was asked for and does not exist; None for no answer."""

Share = Callable[[str, frozenset[str], frozenset[str]], frozenset[str]]
"""Of a type URL, names, and those of them that came just now: an equal set that others hold already, if there
is one."""

_NOTHING: Mapping[str, str] = MappingProxyType({})

_MISSING_AT_ONCE = 200
"""So many names that do not exist are answered in one response; the next one follows the answer to it."""

_SUPERSEDED = 4
"""Responses that were not answered in time: so many may still be answered after later ones were sent."""


class Subscription:
    """One type on one stream."""

    __slots__ = (
        "_claimed",
        "_claimed_version",
        "_cut",
        "_gone",
        "_held",
        "_said",
        "_share",
        "accepted",
        "accepted_for",
        "delta",
        "departed",
        "doubts",
        "everything_owed",
        "full_state",
        "keeps_departed",
        "named",
        "names",
        "nonce",
        "outstanding",
        "owed",
        "sent",
        "started",
        "superseded",
        "type_url",
        "voided",
        "wildcard",
    )

    def __init__(self, type_url: str, *, delta: bool, share: Share = lambda _, names, __: names) -> None:
        self.type_url = type_url
        self.delta = delta
        self.full_state = not delta and type_url in FULL_STATE
        self.started = False
        self.named = False
        self.wildcard = False
        self.names: frozenset[str] = frozenset()
        self.nonce = ""
        self.outstanding: Outstanding | None = None
        self.superseded: tuple[Outstanding, ...] = ()
        self.sent: Collection | None = None
        self.accepted: Collection | None = None
        self.accepted_for: frozenset[str] | None = None
        self.owed: set[str] = set()
        self.everything_owed = False
        self.voided: set[str] = set()
        self._claimed: Mapping[str, str] = _NOTHING
        self._held: Mapping[str, str] = _NOTHING
        """What it claimed to hold when it came, until it accepts something."""
        self._claimed_version = ""
        self.doubts: Mapping[str, str | None] | None = None
        """As it refused a response: names that the client may hold in another version than it claims, with
        the version that it claims. None: no doubts. State of the world: it counts whether there are any."""
        self._gone: frozenset[str] = frozenset()
        self._said: list[str] | None = None
        self._cut = False
        self.keeps_departed = False
        self.departed: frozenset[str] = frozenset()
        self._share = share

    # What the client says

    def receive(self, request: Request) -> tuple[Verdict, Outstanding | None]:
        """Take a request; return what it says of which response. If another is still outstanding after that,
        it came late: the server had gone on without it.

        After a NACK the caller must say with `rejected` what was wrong, if anything can be tried in its
        place.
        """
        first, self.started = not self.started, True
        verdict, outstanding = self._judge(request, first)
        if isinstance(request, DeltaRequest):
            self._change_names(request, first)
        elif first or request.nonce == self.nonce:
            # "Resource updates": a request with a stale nonce is not answered. Nothing is lost, for the
            # client repeats all its names when it gets to the newer response.
            self._replace_names(request, first)
        return verdict, outstanding

    def _judge(self, request: Request, first: bool) -> tuple[Verdict, Outstanding | None]:
        if first:
            return Verdict.NOTHING, None  # "Basic Protocol Overview": a nonce does not survive its stream
        outstanding = self._answered(request.nonce)
        if outstanding is not None:
            later = self.superseded if self.outstanding is None else (*self.superseded, self.outstanding)
            if request.error is not None:  # "ACK and NACK semantics summary": this and nothing else
                for each in later:
                    each.refused |= outstanding.news - each.spoken_of
                return Verdict.NACK, outstanding
            self.accepted, self.accepted_for = outstanding.held, outstanding.asked
            self._settled(outstanding)
            for each in later:
                each.before = self.accepted
            return Verdict.ACK, outstanding
        if request.nonce == self.nonce or (self.delta and not request.nonce):
            return Verdict.NOTHING, None  # "Resource updates": new names, at an answered response or not
        return Verdict.STALE, None

    def _answered(self, nonce: str) -> Outstanding | None:
        """The response with this nonce, if it waits for its answer. Those before it are not waited for any
        longer: clients answer in order.
        """
        waiting = self.superseded
        if self.outstanding is not None:
            waiting = (*waiting, self.outstanding)
        for place, each in enumerate(waiting):
            if each.nonce == nonce:
                self.superseded = self.superseded[place + 1 :]
                if each is self.outstanding:
                    self.outstanding = None
                return each
        return None

    def _replace_names(self, request: SotwRequest, first: bool) -> None:
        """State of the world: `resource_names` is the whole list ("Unsubscribing From Resources")."""
        if first and not request.names and self.doubts is None:
            self._claimed_version = request.version
        if not request.names and not self.named:
            # "How the client specifies what resources to return": never having named anything is the
            # wildcard.
            self.everything_owed |= not self.wildcard
            self.wildcard = True
            return
        self.named = True
        wanted = frozenset(request.names)
        wildcard = WILDCARD in wanted
        if wildcard:
            wanted -= {WILDCARD}
        if wanted != self.names:
            # Same section: what is newly asked for is sent, even if unchanged and even if sent before
            # unasked.
            wanted = self._share(self.type_url, wanted, wanted)
            self.owed |= wanted - self.names
            self.owed &= wanted
            self.names = wanted
        self.everything_owed = wildcard and (self.everything_owed or not self.wildcard)
        self.wildcard = wildcard

    def _change_names(self, request: DeltaRequest, first: bool) -> None:
        """Incremental: names come and go, whatever the nonce ("Incremental xDS", the note on stale
        nonces).
        """
        if first and not request.subscribe and not request.unsubscribe:
            self.wildcard = self.everything_owed = True  # the legacy wildcard, as above
        if request.unsubscribe:
            gone = self.names.intersection(request.unsubscribe)
            self.names = self._share(self.type_url, self.names - gone, frozenset())
            self.owed -= gone
            if WILDCARD in request.unsubscribe:
                self.wildcard = self.everything_owed = False
            if self.wildcard:
                # "Unsubscribing from Resources", the exception: the client does not know whether the wildcard
                # covers the name, so it is told, in `resources` or in `removed_resources`.
                self.owed |= gone
        if request.subscribe:
            wanted = frozenset(request.subscribe)
            if WILDCARD in wanted:
                self.wildcard = self.everything_owed = True
                wanted -= {WILDCARD}
            # "Subscribing to Resources": sent even if we believe that the client has them; it may have
            # forgotten.
            self.owed |= wanted
            names = self.names | wanted if self.names else wanted
            self.names = self._share(self.type_url, names, wanted)
        if first:
            self._take_claims(request.initial_versions)

    def _take_claims(self, claimed: Mapping[str, str]) -> None:
        """Keep what a client says that it holds, and none of its words for what is in doubt."""
        self._claimed = self._held = claimed
        if self.doubts:
            asked = self.doubts.keys() if self.wildcard else self.doubts.keys() & self.names
            # Where it claims something else now, it has accepted that since.
            left = {name: self.doubts[name] for name in asked if claimed.get(name) == self.doubts[name]}
            self.doubts = left or None
            self._claimed = {**claimed, **dict.fromkeys(left, "")}

    def rejected(self, outstanding: Outstanding, culprits: frozenset[str]) -> None:
        """The client refused a response. The caller leads it to a collection without the culprits, and the
        rest is sent again: Envoy applies either all but the culprits or nothing, and does not say which.
        """
        if self.outstanding is None:  # else a later response has gone on from there
            self.sent = outstanding.before
            self.everything_owed |= outstanding.owed_all and self.wildcard
            if self.sent is None:  # no difference will say that a name came meanwhile
                self.owed |= self.names
                self.everything_owed |= self.wildcard
        fresh = {name: self._claim(name) for name in outstanding.news - culprits}
        self.doubts = {**fresh, **(self.doubts or {})} or None
        again = outstanding.news - culprits | (culprits & outstanding.owed)
        self.owed |= {name for name in again if self._wants(name, outstanding.target, outstanding.before)}
        self.owed |= self.names.intersection(outstanding.owed_by_alias)
        if outstanding.gone:
            here: Mapping[str, Resource] = self.sent.resources if self.sent is not None else {}
            back = (here.get(name) for name in outstanding.gone)
            self._gone |= outstanding.gone - {r.name for r in back if r is not None and self.asks_for(r)}

    def _settled(self, accepted: Outstanding) -> None:
        """The client holds what this response says, whatever was in doubt before."""
        self._held = _NOTHING
        if self.doubts is not None:
            spoken_of = accepted.spoken_of
            left = {name: last for name, last in self.doubts.items() if name not in spoken_of}
            self.doubts = None if self.full_state else left or None

    @property
    def in_doubt(self) -> Mapping[str, str | None] | None:
        """What the client may hold in another version than it would claim if the stream broke now; None if
        there is nothing. Who had nothing and refused nothing will claim nothing.
        """
        waiting = [each for each in (*self.superseded, self.outstanding) if each is not None]
        if not self.delta:
            return {} if self.full_state and (waiting or self.doubts is not None) else None
        found: dict[str, str | None] = {}
        if self._held or self.accepted is not None:
            found.update((name, self._claim(name)) for each in waiting for name in each.news)
        return {**found, **(self.doubts or {})} or None

    def claims(self, resource: Resource) -> bool:
        """Whether a client that accepted nothing yet said that it has this resource, and is believed."""
        believed = self.doubts is None or resource.name not in self.doubts
        return believed and self._held.get(resource.name) == resource.version

    def _claim(self, name: str) -> str | None:
        """The version that the client would claim of a name."""
        if self.accepted is None:
            return self._held.get(name)
        held = self.accepted.resources.get(name)
        asked_for = held is not None and (self.accepted_for is None or name in self.accepted_for)
        return held.version if held is not None and asked_for else None

    def owe(self, names: frozenset[str]) -> None:
        """Send these, as far as they are asked for, whether they changed or not."""
        self.owed |= {name for name in names if self._wants(name, self.sent)}

    def depart(self, target: Collection) -> None:
        """Nothing that the client uses needs what went while it was away: now it is told."""
        self._gone = frozenset(name for name in self.departed if name not in target)
        self.departed = frozenset()

    # What the client is owed

    @property
    def owes(self) -> bool:
        """Whether something must be said although the client was brought to the newest state."""
        return bool(self.owed or self.voided or self.everything_owed or self._gone)

    @property
    def asks_too_much(self) -> bool:
        """Whether names that do not exist must be answered in more than one response."""
        return self._cut and bool(self.owed)

    @property
    def on_its_way(self) -> Set[str]:
        """The names that are owed whether they changed or not, and those in the response in flight."""
        in_flight = self.outstanding.spoken_of if self.outstanding is not None else frozenset()
        return self.voided | self.owed | in_flight

    @property
    def asked(self) -> frozenset[str] | None:
        """The names that are asked for; None for all."""
        return None if self.wildcard else self.names

    def asks_for(self, resource: Resource) -> bool:
        """Whether the client asks for this resource, by its name, by an alias or by the wildcard."""
        if self.wildcard or resource.name in self.names:
            return True
        return bool(resource.aliases) and not self.names.isdisjoint(resource.aliases)

    def due(self, target: Collection, fallback: Fallback | None = None) -> Batch | None:
        """What brings the client to `target`; None if there is nothing to say ("When to send an update")."""
        if not self.started:
            return None
        if self.sent is None:
            self.believe(target)
        if self.voided:
            self.owed |= {name for name in self.voided if self.wildcard or name in self.names}
            self.voided = set()
        if self.sent is target and not (self.owed or self.everything_owed or self._gone):
            return None
        self._said, self._cut = None, False
        difference = target.since(self.sent) if self.sent is not None else None
        batch = self._full(target, difference, fallback) if self.full_state else None
        if not self.full_state:
            batch = self._partial(target, difference, fallback)
        if batch is None:
            self._arrive(target)
        return batch

    def sent_out(
        self,
        batch: Batch,
        target: Collection,
        nonce: str,
        now: float,
        on_trial: frozenset[str] = frozenset(),
    ) -> None:
        """`batch` of `due(target)` was sent under this nonce; `on_trial` as in `Outstanding`."""
        before = self.sent
        if self.outstanding is not None:
            before = self.outstanding.before  # a NACK may as well mean what was in that response
            self.superseded = (*self.superseded[1 - _SUPERSEDED :], self.outstanding)
        asked, gone = self.asked, self._gone
        owed = frozenset(self.owed if self._said is None else self._said)
        self.outstanding = Outstanding(
            nonce, batch, target, before, owed, self.everything_owed, asked, gone, now, on_trial
        )
        self.nonce = nonce
        self._arrive(target)

    def _arrive(self, target: Collection) -> None:
        if self.outstanding is None and self.sent is self.accepted:
            # Nothing differs for this client: it has accepted this too.
            self.accepted, self.accepted_for = target, self.asked
        self.sent = target
        if self._said is not None:
            self.owed.difference_update(self._said)
            self._said = None
        elif self.owed:
            self.owed = set()
        self.everything_owed = False
        self._gone = frozenset()

    def believe(self, target: Collection) -> None:
        """Use what a reconnecting client said that it has, once: it is brought to `target` but for what it is
        owed.
        """
        if self._claimed_version:
            # "ACK/NACK and resource type instance version": only for LDS and CDS with nothing but the
            # wildcard.
            if self.full_state and not self.named and self._claimed_version == target.version:
                self.everything_owed = False
                self.sent = self.accepted = target
                self.accepted_for = self.asked
            self._claimed_version = ""
        if self._claimed:
            # "Incremental xDS": initial_resource_versions; what is the same is not sent, what is gone is
            # said.
            claimed, self._claimed = self._claimed, _NOTHING
            everything, self.everything_owed = self.everything_owed, False
            self.owed = target.unlike(claimed, self.owed, everything=everything)
            if self.owed or not (self.wildcard or claimed.keys() <= self.names):
                here = ((name, target.resources.get(name)) for name in claimed)
                self._gone = frozenset(n for n, each in here if each is None or not self.asks_for(each))
                self.owed -= self._gone
                if self.keeps_departed:
                    self.departed, self._gone = self._gone, frozenset()
            self.sent = target
            if not self.owed and not self._gone:
                self.accepted, self.accepted_for = target, self.asked
                self._held = _NOTHING

    def _full(
        self, target: Collection, difference: Difference | None, fallback: Fallback | None
    ) -> Batch | None:
        """ "Grouping Resources into Responses": LDS and CDS always list everything, and an absent name is
        deleted.
        """
        if not self.everything_owed and not self.owed and difference is not None:
            touched = difference.changed.keys() | difference.removed
            if not touched or not (self.wildcard or any(self._wants(n, target, self.sent) for n in touched)):
                return None
        if self.wildcard:
            return target.everything
        if not self.names and not self.owed:
            return None
        found = (target.find(name) or self._substitute(name, fallback) for name in self.names)
        return Batch(self.type_url, target.version, distinct(found))

    def _partial(
        self, target: Collection, difference: Difference | None, fallback: Fallback | None
    ) -> Batch | None:
        """Only what is new. In state of the world nothing can be deleted ("Deleting Resources")."""
        gone = difference is not None and self.delta and bool(difference.removed)
        if self.everything_owed and not gone and not (self.owed - target.keys()):
            everything = target.everything
            # An empty answer to the wildcard tells an incremental client that there is nothing to wait for.
            return everything if everything.resources or self.delta else None
        nothing_owed = not (self.owed or self.everything_owed or self._gone)
        if nothing_owed and difference is not None and self._covers(difference):
            batch = difference.batch
            return batch if batch.resources or (self.delta and batch.removed) else None
        found: list[Resource | None] = []
        removed = list(self._gone)
        if self.everything_owed:
            found += target.resources.values()
        elif difference is not None:
            found += [r for name, r in difference.changed.items() if self._wants(name, target)]
        if difference is not None:
            removed += [
                name
                for name in difference.replaced
                if self._wants(name, self.sent) and not (name in target and self._wants(name, target))
            ]
        said: list[str] = []
        missing = 0
        for name in self.owed:
            resource = target.find(name)
            if resource is None:
                missing += 1
                if missing > _MISSING_AT_ONCE:
                    self._said, self._cut = said, True
                    break
                if name in self.names:
                    resource = self._substitute(name, fallback, removed)
            said.append(name)
            if resource is None or not self.asks_for(resource):
                removed.append(name)  # "Knowing When a Requested Resource Does Not Exist"
            else:
                found.append(resource)
        resources = distinct(found)
        spoken_of = {resource.name for resource in resources}
        names = tuple(n for n in dict.fromkeys(removed) if n not in spoken_of) if self.delta else ()
        return Batch(self.type_url, target.version, resources, names) if resources or names else None

    def _substitute(
        self, name: str, fallback: Fallback | None, removed: Sequence[str] = ()
    ) -> Resource | None:
        """The answer for a name that is asked for and does not exist; None for none."""
        found = fallback(self.type_url, name) if fallback is not None else None
        if found is None and self.delta and self.type_url in UNRESOLVED and name not in removed:
            return Resource.unresolved(self.type_url, name)
        return found

    def _covers(self, difference: Difference) -> bool:
        if self.wildcard:
            return True
        return self.names.issuperset(difference.changed) and self.names.issuperset(difference.removed)

    def _wants(self, name: str, *collections: Collection | None) -> bool:
        """Whether the client asks for this name, or for an alias that it has in one of the collections."""
        if self.wildcard or name in self.names:
            return True
        found = (each.resources.get(name) for each in collections if each is not None)
        return any(self.asks_for(each) for each in found if each is not None)
