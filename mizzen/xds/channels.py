"""The channels of one stream: one for each type that its client asks for."""

from bisect import insort
from operator import attrgetter
from typing import Final

from mizzen.xds.channel import Channel
from mizzen.xds.ordering import RETAINED, USERS
from mizzen.xds.subscription import Share, Subscription
from mizzen.xds.type_urls import short_name
from mizzen.xds.wire import BadRequest

_MAX_TYPES: Final = 64
_MAX_TYPE_URL: Final = 1000

_rank = attrgetter("rank")


def _user_rank(channel: Channel) -> int:
    return USERS.index(channel.type_url)


class Channels:
    """The channels of a stream.

    Args:
        delta: the client speaks the incremental variant.
        share: returns the equal set of names of another client, so that it exists once.
        only_type: the type of a stream that serves one type; None for the aggregated service.
        in_order: the stream sends suppliers (clusters, endpoints) before users.

    Attributes:
        by_type: all channels, by type URL.
        ranked: all channels, in the order in which their types are sent.
        suppliers: channels of all types but `ordering.USERS`, in the same order.
        users: channels of the types that wait for suppliers (`ordering.USERS`), in the order of that tuple.
        in_order: suppliers, then users.
        may_be_costly: False if `costly` is known to be False. Set it after a NACK, and after an answer about
            missing names that was cut short.
    """

    __slots__ = (
        "_delta",
        "_in_order",
        "_only_type",
        "_share",
        "by_type",
        "in_order",
        "may_be_costly",
        "ranked",
        "suppliers",
        "users",
    )

    def __init__(self, *, delta: bool, share: Share, only_type: str | None, in_order: bool) -> None:
        self._delta = delta
        self._share = share
        self._only_type = only_type
        self._in_order = in_order
        self.by_type: dict[str, Channel] = {}
        self.ranked: list[Channel] = []
        self.suppliers: list[Channel] = []
        self.users: list[Channel] = []
        self.in_order: list[Channel] = []
        self.may_be_costly = False

    def of(self, type_url: str) -> Channel:
        """Return the channel of a type; make it at the first request for the type.

        Raises:
            BadRequest: this stream does not serve the type, or already has the most types allowed.
        """
        if len(type_url) > _MAX_TYPE_URL:
            raise BadRequest(f"a type_url of {len(type_url)} characters; the limit is {_MAX_TYPE_URL}")
        if self._only_type is not None:
            if type_url not in ("", self._only_type):
                raise BadRequest(f"this service serves {short_name(self._only_type)}, not {type_url!r}")
            type_url = self._only_type
        return self.by_type.get(type_url) or self._added(type_url)

    def _added(self, type_url: str) -> Channel:
        if not type_url:
            raise BadRequest("a request to the aggregated service must name its type_url")
        if len(self.by_type) >= _MAX_TYPES:
            raise BadRequest(f"more than {_MAX_TYPES} types on one stream")
        subscription = Subscription(type_url, delta=self._delta, share=self._share)
        subscription.keeps_departed = self._in_order and type_url in RETAINED
        channel = self.by_type[type_url] = Channel(subscription)
        insort(self.ranked, channel, key=_rank)
        if type_url in USERS:
            insort(self.users, channel, key=_user_rank)
        else:
            insort(self.suppliers, channel, key=_rank)
        self.in_order = self.suppliers + self.users
        return channel

    @property
    def costly(self) -> bool:
        """True if the next step is costly: a search for a bad resource is running, or a client asks for many
        names that do not exist.
        """
        self.may_be_costly = False
        costly = False
        for each in self.ranked:
            if each.isolation.parts or each.subscription.cut_short:
                self.may_be_costly = True
                costly = costly or bool(each.isolation.parts or each.subscription.owed)
        return costly

    @property
    def names(self) -> int:
        """Number of names that the client asks for, all types together."""
        total = 0
        for each in self.ranked:
            # A name that the client gives up under the wildcard is owed an answer. It counts until then.
            names, owed = each.subscription.names, each.subscription.owed
            total += max(len(names), len(owed)) if owed else len(names)
        return total

    @property
    def users_settled(self) -> bool:
        """True if no channel of `users` waits for an answer."""
        for each in self.users:  # noqa: SIM110 - twice as fast as all(), and asked at each step
            if each.waiting:
                return False
        return True
