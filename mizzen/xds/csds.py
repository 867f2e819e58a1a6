"""The client status discovery service: what each client has accepted, for Envoy's own tools.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/status/v3/csds.proto
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.status.v3 import csds_pb2
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from mizzen.xds.callbacks import CallbackError, PeerUnauthenticated
from mizzen.xds.channel import Channel
from mizzen.xds.connection import StreamConnection, uncancelled
from mizzen.xds.group import RejectedResource
from mizzen.xds.peer import Peer
from mizzen.xds.resource import Resource
from mizzen.xds.snapshot import Collection
from mizzen.xds.type_urls import SECRET
from mizzen.xds.wire import Node

Connections = Callable[[], list[StreamConnection]]

Admit = Callable[[Any], Awaitable[None]]
"""Aborts a call of this service (by its context) if the peer may not see other clients' status."""

Stoppable = Callable[[Callable[[Any], Awaitable[None]]], Callable[[Any, Any], Awaitable[None]]]
"""Wraps the handler of a stream so that the stream ends when the server stops."""


def essential_node(node: Node) -> bytes:
    """The encoded `Node` without the client's list of extensions, which is most of its bytes. The list is
    removed from `node` too.
    """
    node.ClearField("extensions")
    return bytes(node.SerializeToString())


async def anyone(_: Any) -> None:
    """Admit every peer."""


def only_for(peer_of: Callable[[Any], Awaitable[Peer]], may_know: Callable[[Peer], bool]) -> Admit:
    """Admit a peer if it is authenticated and `may_know` returns True for it."""

    async def admit(context: Any) -> None:
        try:
            allowed = may_know(await peer_of(context))
        except PeerUnauthenticated as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
        except CallbackError as error:
            await context.abort(grpc.StatusCode.INTERNAL, str(error))
        if not allowed:
            await context.abort(
                grpc.StatusCode.PERMISSION_DENIED,
                "this server does not show the status of clients to this peer",
            )

    return admit


def handlers(connections: Connections, until_stopped: Stoppable, admit: Admit = anyone) -> dict[str, Any]:
    """The methods of the service, for `grpc.method_handlers_generic_handler`."""

    one_at_a_time = asyncio.Lock()  # an answer may be as large as all resources of all clients

    async def fetch(_: Any, context: Any) -> bytes:
        # Registered as a streaming method, though it has one request: else gRPC would read the request before
        # the peer is checked.
        await admit(context)
        data = await context.read()
        if data is grpc.aio.EOF:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the call has no request")
        async with one_at_a_time:
            return await _answer(data, context, connections)

    async def stream(context: Any) -> None:
        await admit(context)
        while (data := await context.read()) is not grpc.aio.EOF:
            async with one_at_a_time:
                answer = await _answer(data, context, connections)
            await uncancelled(context.write(answer))

    return {
        "FetchClientStatus": grpc.stream_unary_rpc_method_handler(fetch),
        "StreamClientStatus": grpc.stream_stream_rpc_method_handler(until_stopped(stream)),
    }


async def _answer(data: bytes, context: Any, connections: Connections) -> bytes:
    try:
        request = csds_pb2.ClientStatusRequest.FromString(data)
    except DecodeError as error:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"cannot decode a ClientStatusRequest: {error}")
    response = csds_pb2.ClientStatusResponse()
    for connection in connections():
        await asyncio.sleep(0)  # let the clients' streams run in between
        node = base_pb2.Node.FromString(connection.node)
        if not request.node_matchers or any(_matches(matcher, node) for matcher in request.node_matchers):
            config = response.config.add(node=node)
            rejected_resources = connection.stream.group.rejected
            for channel in connection.stream.channels.values():
                configs = _configs(
                    channel, rejected_resources, contents=not request.exclude_resource_contents
                )
                config.generic_xds_configs.extend(configs)
    return bytes(response.SerializeToString())


def _matches(matcher: Any, node: Node) -> bool:
    """True if the matcher selects the node by its id. A matcher with other conditions matches nothing."""
    if matcher.node_metadatas or not matcher.HasField("node_id"):
        return False
    kind = matcher.node_id.WhichOneof("match_pattern")
    value, wanted = node.id, getattr(matcher.node_id, kind) if kind else ""
    if matcher.node_id.ignore_case and isinstance(wanted, str):
        value, wanted = value.lower(), wanted.lower()
    match kind:
        case "exact":
            return bool(value == wanted)
        case "prefix":
            return bool(value.startswith(wanted))
        case "suffix":
            return bool(value.endswith(wanted))
        case "contains":
            return wanted in value
    return False


def _configs(
    channel: Channel, rejected_resources: tuple[RejectedResource, ...], *, contents: bool
) -> Iterator[Any]:
    subscription = channel.subscription
    collection = subscription.sent
    known: Collection | dict[str, Resource] = collection if collection is not None else {}
    rejected = _rejected(channel, rejected_resources)
    # A rejected resource without an accepted version is not in the collection that the client was sent.
    names = known.keys() | rejected.keys() if subscription.wildcard else subscription.names
    for name in sorted(names):
        resource = collection.find(name) if collection is not None else None
        config = csds_pb2.ClientConfig.GenericXdsConfig(type_url=channel.type_url, name=name)
        config.client_status = _status(channel, name, resource, rejected)
        if resource is not None:
            config.version_info = resource.version
            if contents and channel.type_url != SECRET:
                config.xds_config.CopyFrom(AnyMessage(type_url=resource.type_url, value=resource.value))
        if name in rejected:
            config.error_state.details, config.error_state.version_info = rejected[name]
        yield config


def _rejected(
    channel: Channel, rejected_resources: tuple[RejectedResource, ...]
) -> dict[str, tuple[str, str]]:
    """By name: the client's message and the rejected version, for resources that are withheld since a
    rejection and for those of the last NACK.
    """
    rejected = {
        each.resource.name: (each.message, each.resource.version)
        for each in rejected_resources
        if each.resource.type_url == channel.type_url
    }
    if channel.nack is not None:
        for name in channel.nack.names:
            rejected.setdefault(name, (channel.nack.message, channel.nack.version))
    return rejected


def _status(
    channel: Channel, name: str, resource: Resource | None, rejected: dict[str, tuple[str, str]]
) -> int:
    from envoy.admin.v3 import config_dump_shared_pb2 as shared

    if name in rejected:
        return int(shared.ClientResourceStatus.NACKED)
    if resource is None:
        return int(shared.ClientResourceStatus.REQUESTED)
    accepted = channel.subscription.accepted
    has = accepted.get(name) if accepted is not None else None
    if has is not None and has.version == resource.version:
        return int(shared.ClientResourceStatus.ACKED)
    return int(shared.ClientResourceStatus.REQUESTED)
