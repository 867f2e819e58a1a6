"""Why a response may stay unanswered: a resource that it needs has not arrived."""

from collections.abc import Mapping

from mizzen.xds.channel import Channel
from mizzen.xds.outstanding import Outstanding
from mizzen.xds.resource import Resource

_MOST = 10


def probable_culprits(outstanding: Outstanding, channels: Mapping[str, Channel]) -> tuple[Resource, ...]:
    """Return the changed resources of an unanswered response that wait for a child; if there are none, all
    its changed resources. `channels` are the channels of the stream, by type URL.
    """
    new_names = outstanding.new_names
    changed = [r for r in outstanding.content.resources if r.name in new_names]
    missing = [
        r for r in changed if any(not _answered(channels.get(kind), name) for kind, name in r.children)
    ]
    return tuple((missing or changed)[:_MOST])


def _answered(channel: Channel | None, name: str) -> bool:
    if channel is None or not (channel.subscription.wildcard or name in channel.subscription.names):
        return False
    outstanding = channel.subscription.outstanding
    if outstanding is not None and any(r.name == name for r in outstanding.content.resources):
        return False
    accepted = channel.subscription.accepted
    return accepted is not None and accepted.find(name) is not None
