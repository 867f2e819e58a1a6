"""What one client has asked for in one type, and what it is owed: the heart of the protocol, for both
variants.

The words in quotation marks are headings of the specification,
https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol.

A subscription remembers what the client was sent as a pointer to a `Collection`, with no entry for each
resource. `receive` handles a request, `due` returns the response that brings the client to a given
collection, `sent_out` records that the response was sent.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from types import MappingProxyType

from mizzen.xds.outstanding import Outstanding, Reply
from mizzen.xds.resource import Resource
from mizzen.xds.response import ResponseContent, distinct
from mizzen.xds.snapshot import Collection, Difference
from mizzen.xds.type_urls import FULL_STATE, UNRESOLVED
from mizzen.xds.wire import DeltaRequest, Request, SotwRequest

WILDCARD = "*"

Fallback = Callable[[str, str], Resource | None]
"""Returns the answer for a requested (type URL, name) that does not exist; None for no answer."""

Share = Callable[[str, frozenset[str], frozenset[str]], frozenset[str]]
"""Returns, for (type URL, names, newly added names), the equal set of another client if there is one."""

_NOTHING: Mapping[str, str] = MappingProxyType({})

_MISSING_AT_ONCE = 200
"""Most names that do not exist in one response. The next such response follows the answer to it."""

_SUPERSEDED = 4
"""Most responses, not answered in time, whose late answer still counts after later ones were sent."""


class Subscription:
    """One type on one stream."""

    __slots__ = (
        "_claimed",
        "_claimed_version",
        "_gone",
        "_initial_versions",
        "_said",
        "_share",
        "accepted",
        "accepted_for",
        "cut_short",
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
        self._initial_versions: Mapping[str, str] = _NOTHING
        """The versions that the client claimed when it came, until it accepts a response."""
        self._claimed_version = ""
        self.doubts: Mapping[str, str | None] | None = None
        """After a NACK: names for which the client may have a different version than it claims, with the
        version that it claims. None: no doubts. In state of the world only None or not None matters."""
        self._gone: frozenset[str] = frozenset()
        self._said: list[str] | None = None
        self.cut_short = False
        """The last answer about names that do not exist had room for some of them only."""
        self.keeps_departed = False
        self.departed: frozenset[str] = frozenset()
        self._share = share

    # What the client says

    def receive(self, request: Request) -> tuple[Reply, Outstanding | None]:
        """Handle a request; return what it says about which response. If a response is still outstanding
        after that, the answer came late: the server had gone on without it.

        After a NACK the caller calls `rejected` with the names to blame, if it has anything to send instead.
        """
        first, self.started = not self.started, True
        reply, outstanding = self._judge(request, first)
        if isinstance(request, DeltaRequest):
            if first or request.subscribe or request.unsubscribe:
                self._change_names(request, first)
        elif first or request.nonce == self.nonce:
            # "Resource updates": a request with a stale nonce is not answered. No names are lost: the client
            # repeats all of them in its answer to the newer response.
            self._replace_names(request, first)
        return reply, outstanding

    def _judge(self, request: Request, first: bool) -> tuple[Reply, Outstanding | None]:
        if first:
            return Reply.NOTHING, None  # "Basic Protocol Overview": a nonce does not survive its stream
        outstanding = self._answered(request.nonce)
        if outstanding is not None:
            later = self.superseded if self.outstanding is None else (*self.superseded, self.outstanding)
            if request.error is not None:  # "ACK and NACK semantics summary": this and nothing else
                for each in later:
                    each.rejected |= outstanding.new_names - each.all_names
                return Reply.NACK, outstanding
            self.accepted, self.accepted_for = outstanding.result, outstanding.asked
            self._settled(outstanding)
            for each in later:
                each.before = self.accepted
            return Reply.ACK, outstanding
        if request.nonce == self.nonce or (self.delta and not request.nonce):
            return Reply.NOTHING, None  # "Resource updates": new names, at an answered response or not
        return Reply.STALE, None

    def _answered(self, nonce: str) -> Outstanding | None:
        """The response with this nonce, if it waits for its answer. Earlier responses then no longer wait:
        clients answer in order.
        """
        newest = self.outstanding
        if newest is not None and newest.nonce == nonce:
            self.superseded, self.outstanding = (), None
            return newest
        for place, each in enumerate(self.superseded):
            if each.nonce == nonce:
                self.superseded = self.superseded[place + 1 :]
                return each
        return None

    def _replace_names(self, request: SotwRequest, first: bool) -> None:
        """State of the world: `resource_names` is the whole list ("Unsubscribing From Resources")."""
        if first and not request.names and self.doubts is None:
            self._claimed_version = request.version
        if not request.names and not self.named:
            # "How the client specifies what resources to return": a client that has never sent a name asks
            # for the wildcard.
            self.everything_owed |= not self.wildcard
            self.wildcard = True
            return
        self.named = True
        wanted = frozenset(request.names)
        wildcard = WILDCARD in wanted
        if wildcard:
            wanted -= {WILDCARD}
        if wanted != self.names:
            # Same section: a newly requested resource is sent, even if it is unchanged and was sent before.
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
                # covers the name, so the server tells it, in `resources` or in `removed_resources`.
                self.owed |= gone
        if request.subscribe:
            wanted = frozenset(request.subscribe)
            if WILDCARD in wanted:
                self.wildcard = self.everything_owed = True
                wanted -= {WILDCARD}
            # "Subscribing to Resources": sent even if we believe that the client has them, because it may
            # have dropped them.
            self.owed |= wanted
            names = self.names | wanted if self.names else wanted
            self.names = self._share(self.type_url, names, wanted)
        if first:
            self._take_claims(request.initial_versions)

    def _take_claims(self, claimed: Mapping[str, str]) -> None:
        """Store what a client claims to have. Claims about names in doubt are not believed."""
        self._claimed = self._initial_versions = claimed
        if self.doubts:
            asked = self.doubts.keys() if self.wildcard else self.doubts.keys() & self.names
            # A claim that differs now: the client has accepted that version since.
            left = {name: self.doubts[name] for name in asked if claimed.get(name) == self.doubts[name]}
            self.doubts = left or None
            self._claimed = {**claimed, **dict.fromkeys(left, "")}

    def rejected(self, outstanding: Outstanding, culprits: frozenset[str]) -> None:
        """The client rejected a response. The next target of the caller has no culprits, and the rest is sent
        again: Envoy applies either all but the culprits or nothing, and does not say which.
        """
        if self.outstanding is None:  # else a later response was built on this one
            self.sent = outstanding.before
            self.everything_owed |= outstanding.owed_all and self.wildcard
            if self.sent is None:  # there is no difference that would include a name added meanwhile
                self.owed |= self.names
                self.everything_owed |= self.wildcard
        fresh = {name: self._claim(name) for name in outstanding.new_names - culprits}
        self.doubts = {**fresh, **(self.doubts or {})} or None
        again = outstanding.new_names - culprits | (culprits & outstanding.owed)
        self.owed |= {name for name in again if self._wants(name, outstanding.target, outstanding.before)}
        self.owed |= self.names.intersection(outstanding.owed_by_alias)
        if outstanding.gone:
            here: Mapping[str, Resource] = self.sent.resources if self.sent is not None else {}
            back = (here.get(name) for name in outstanding.gone)
            self._gone |= outstanding.gone - {r.name for r in back if r is not None and self.asks_for(r)}

    def _settled(self, accepted: Outstanding) -> None:
        """The client has accepted this response: names in it are no longer in doubt."""
        self._initial_versions = _NOTHING
        if self.doubts is not None:
            spoken_of = accepted.all_names
            left = {name: last for name, last in self.doubts.items() if name not in spoken_of}
            self.doubts = None if self.full_state else left or None

    @property
    def in_doubt(self) -> Mapping[str, str | None] | None:
        """Names for which the client may have a different version than it would claim if the stream broke
        now; None if there are none. A client that accepted and rejected nothing will claim nothing.
        """
        waiting = [each for each in (*self.superseded, self.outstanding) if each is not None]
        if not self.delta:
            return {} if self.full_state and (waiting or self.doubts is not None) else None
        found: dict[str, str | None] = {}
        if self._initial_versions or self.accepted is not None:
            found.update((name, self._claim(name)) for each in waiting for name in each.new_names)
        return {**found, **(self.doubts or {})} or None

    def claims(self, resource: Resource) -> bool:
        """True if a client that has accepted nothing yet claimed this resource, and the claim is believed."""
        believed = self.doubts is None or resource.name not in self.doubts
        return believed and self._initial_versions.get(resource.name) == resource.version

    def _claim(self, name: str) -> str | None:
        """The version that the client would claim of a name."""
        if self.accepted is None:
            return self._initial_versions.get(name)
        accepted = self.accepted.resources.get(name)
        asked_for = accepted is not None and (self.accepted_for is None or name in self.accepted_for)
        return accepted.version if accepted is not None and asked_for else None

    def owe(self, names: frozenset[str]) -> None:
        """Send these names, changed or not, if the client asks for them."""
        self.owed |= {name for name in names if self._wants(name, self.sent)}

    def depart(self, target: Collection) -> None:
        """Tell the client now which resources were removed while it was away: it uses none of them."""
        self._gone = frozenset(name for name in self.departed if name not in target)
        self.departed = frozenset()

    # What the client is owed

    @property
    def owes(self) -> bool:
        """True if a response is due although the client was sent the newest state."""
        return bool(self.owed or self.voided or self.everything_owed or self._gone)

    @property
    def on_its_way(self) -> Set[str]:
        """The names that will be sent even if unchanged, and those in the response in flight."""
        in_flight = self.outstanding.all_names if self.outstanding is not None else frozenset()
        return self.voided | self.owed | in_flight

    @property
    def asked(self) -> frozenset[str] | None:
        """The names that the client asks for; None for all."""
        return None if self.wildcard else self.names

    def asks_for(self, resource: Resource) -> bool:
        """True if the client asks for this resource, by its name, an alias or the wildcard."""
        if self.wildcard or resource.name in self.names:
            return True
        return bool(resource.aliases) and not self.names.isdisjoint(resource.aliases)

    def due(self, target: Collection, fallback: Fallback | None = None) -> ResponseContent | None:
        """The response that brings the client to `target`; None if none is due ("When to send an update")."""
        if not self.started:
            return None
        if self.sent is None:
            self.believe(target)
        if self.voided:
            self.owed |= {name for name in self.voided if self.wildcard or name in self.names}
            self.voided = set()
        if self.sent is target and not (self.owed or self.everything_owed or self._gone):
            return None
        self._said, self.cut_short = None, False
        difference = target.since(self.sent) if self.sent is not None else None
        content = self._full(target, difference, fallback) if self.full_state else None
        if not self.full_state:
            content = self._partial(target, difference, fallback)
        if content is None:
            self._arrive(target)
        return content

    def sent_out(
        self,
        content: ResponseContent,
        target: Collection,
        nonce: str,
        now: float,
        on_trial: frozenset[str] = frozenset(),
    ) -> None:
        """Record that `content`, the result of `due(target)`, was sent with this nonce; `on_trial` is that of
        `Outstanding`.
        """
        before = self.sent
        if self.outstanding is not None:
            before = self.outstanding.before  # a NACK may also mean resources of that earlier response
            self.superseded = (*self.superseded[1 - _SUPERSEDED :], self.outstanding)
        asked, gone = self.asked, self._gone
        owed = frozenset(self.owed if self._said is None else self._said)
        self.outstanding = Outstanding(
            nonce, content, target, before, owed, self.everything_owed, asked, gone, now, on_trial
        )
        self.nonce = nonce
        self._arrive(target)

    def _arrive(self, target: Collection) -> None:
        if self.outstanding is None and self.sent is self.accepted:
            # For this client nothing differs, so it has accepted this collection too.
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
        """Use the claims of a reconnecting client, once: it counts as having `target`, except for the names
        that it is owed.
        """
        if self._claimed_version:
            # "ACK/NACK and resource type instance version": only for LDS and CDS with the wildcard alone.
            if self.full_state and not self.named and self._claimed_version == target.version:
                self.everything_owed = False
                self.sent = self.accepted = target
                self.accepted_for = self.asked
            self._claimed_version = ""
        if self._claimed:
            # "Incremental xDS": initial_resource_versions. Equal versions are not sent; removed names are.
            claimed, self._claimed = self._claimed, _NOTHING
            everything, self.everything_owed = self.everything_owed, False
            self.owed = target.mismatched(claimed, self.owed, everything=everything)
            if self.owed or not (self.wildcard or claimed.keys() <= self.names):
                here = ((name, target.resources.get(name)) for name in claimed)
                self._gone = frozenset(n for n, each in here if each is None or not self.asks_for(each))
                self.owed -= self._gone
                if self.keeps_departed:
                    self.departed, self._gone = self._gone, frozenset()
            self.sent = target
            if not self.owed and not self._gone:
                self.accepted, self.accepted_for = target, self.asked
                self._initial_versions = _NOTHING

    def _full(
        self, target: Collection, difference: Difference | None, fallback: Fallback | None
    ) -> ResponseContent | None:
        """ "Grouping Resources into Responses": LDS and CDS always list everything, and the client deletes an
        absent name.
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
        return ResponseContent(self.type_url, target.version, distinct(found))

    def _partial(
        self, target: Collection, difference: Difference | None, fallback: Fallback | None
    ) -> ResponseContent | None:
        """Only new and changed resources. State of the world cannot delete here ("Deleting Resources")."""
        gone = difference is not None and self.delta and bool(difference.removed)
        if self.everything_owed and not gone and not (self.owed - target.keys()):
            everything = target.everything
            # An empty answer to the wildcard tells an incremental client that there is nothing to wait for.
            return everything if everything.resources or self.delta else None
        nothing_owed = not (self.owed or self.everything_owed or self._gone)
        if nothing_owed and difference is not None and self._covers(difference):
            content = difference.content
            return content if content.resources or (self.delta and content.removed) else None
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
                    self._said, self.cut_short = said, True
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
        return (
            ResponseContent(self.type_url, target.version, resources, names) if resources or names else None
        )

    def _substitute(
        self, name: str, fallback: Fallback | None, removed: Sequence[str] = ()
    ) -> Resource | None:
        """The answer for a requested name that does not exist; None for no answer."""
        found = fallback(self.type_url, name) if fallback is not None else None
        if found is None and self.delta and self.type_url in UNRESOLVED and name not in removed:
            return Resource.unresolved(self.type_url, name)
        return found

    def _covers(self, difference: Difference) -> bool:
        if self.wildcard:
            return True
        return self.names.issuperset(difference.changed) and self.names.issuperset(difference.removed)

    def _wants(self, name: str, *collections: Collection | None) -> bool:
        """True if the client asks for this name, or for an alias of it in one of the collections."""
        if self.wildcard or name in self.names:
            return True
        found = (each.resources.get(name) for each in collections if each is not None)
        return any(self.asks_for(each) for each in found if each is not None)
